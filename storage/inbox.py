"""The inbox: images that are stored and acknowledged, of which their study has not been told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from actors.domain.commands import Patient
from storage.placement import spread

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from actors.domain.placement import Slot
    from storage.pool import Connection

# Not of studies that are being told or are to hear later: under a flood of images those would be read again and again,
# and stand before the first image of another study.
WAITING = """
SELECT i.inbox_id, i.tenant_id, i.study_uid, i.body
  FROM (SELECT inbox_id, tenant_id, study_uid, body
          FROM rr.inbox
         WHERE shard = ANY($1::integer[]) AND tenant_id <> ALL($2::text[])
        UNION ALL
        SELECT i.inbox_id, i.tenant_id, i.study_uid, i.body
          FROM rr.inbox i
          JOIN unnest($3::text[], $4::integer[]) AS x(tenant_id, shard)
            ON i.tenant_id = x.tenant_id AND i.shard = x.shard) AS i
 WHERE NOT EXISTS (SELECT FROM unnest($5::text[], $6::text[]) AS held(tenant_id, study_uid)
                    WHERE held.tenant_id = i.tenant_id AND held.study_uid = i.study_uid)
 ORDER BY inbox_id
 LIMIT 5000
"""
# One study after the other, each part by its key: OFFSET 0 keeps the planner, which knows nothing of new tables, from
# joining all patients of a tenant with all its studies.
STORED = """
SELECT x.tenant_id, x.study_uid, coalesce(d.images, 0) AS images,
       rr.announced(x.tenant_id, coalesce(d.site_id, s.site_id), coalesce(d.header_study_uid, x.study_uid)) AS expected,
       p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex
  FROM unnest($1::text[], $2::text[]) AS x(tenant_id, study_uid)
  LEFT JOIN LATERAL (SELECT d.study_uid, d.images, d.site_id, d.header_study_uid, d.patient_id FROM rr.dicom_study d
                      WHERE d.tenant_id = x.tenant_id AND d.study_uid = x.study_uid OFFSET 0) AS d ON true
  LEFT JOIN LATERAL (SELECT s.site_id, s.patient_id FROM rr.study s
                      WHERE s.tenant_id = x.tenant_id AND s.study_uid = x.study_uid AND d.study_uid IS NULL OFFSET 0) AS s ON true
 CROSS JOIN LATERAL (SELECT coalesce(n.survivor, n.patient_id) AS patient_id FROM rr.patient n
                      WHERE n.tenant_id = x.tenant_id AND n.patient_id = coalesce(d.patient_id, s.patient_id) OFFSET 0) AS n
 CROSS JOIN LATERAL (SELECT p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex FROM rr.patient p
                      WHERE p.tenant_id = x.tenant_id AND p.patient_id = n.patient_id OFFSET 0) AS p
"""


class Entry(NamedTuple):
    """One row of the inbox."""

    inbox_id: int
    tenant_id: str
    study_uid: str
    body: dict[str, Any]


async def waiting(
    conn: Connection, slots: Iterable[Slot], apart: Iterable[str], held: Collection[tuple[str, str]]
) -> list[Entry]:
    """Return what waits for the studies of these slots, oldest first (rr_timer).

    Args:
        conn: of rr_timer, which sees who is to be told.
        slots: the shards, and of whom.
        apart: tenants that have slots of their own.
        held: tenants and UIDs of studies that shall not hear now.
    """
    of = [tenant_id for tenant_id, _ in held], [study_uid for _, study_uid in held]
    rows = await conn.fetch(WAITING, *spread(slots, apart), *of)
    return [Entry(r["inbox_id"], r["tenant_id"], r["study_uid"], msgspec.json.decode(r["body"])) for r in rows]


class Stored(NamedTuple):
    """How many images of a study are stored, how many were announced, and whose they are."""

    images: int
    expected: int | None
    patient: Patient


async def stored(conn: Connection, studies: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
    """Return what is stored of each study; of one that was only ordered, nothing yet."""
    keys = list(studies)
    rows = await conn.fetch(STORED, [k[0] for k in keys], [k[1] for k in keys])
    return {(r["tenant_id"], r["study_uid"]): Stored(r["images"], r["expected"], Patient(*tuple(r)[4:])) for r in rows}
