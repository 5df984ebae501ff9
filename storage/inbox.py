"""The inbox: images that are stored and acknowledged, of which their study has not been told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from actors.domain.commands import Patient

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.pool import Connection

WAITING = """
SELECT inbox_id, tenant_id, study_uid, body
  FROM rr.inbox
 WHERE shard = ANY($1::integer[])
 ORDER BY inbox_id
 LIMIT 5000
"""
STORED = """
SELECT d.tenant_id, d.study_uid, d.images, p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex
  FROM unnest($1::text[], $2::text[]) AS x(tenant_id, study_uid)
  JOIN rr.dicom_study d ON d.tenant_id = x.tenant_id AND d.study_uid = x.study_uid
  JOIN rr.patient p ON p.tenant_id = d.tenant_id AND p.patient_id = d.patient_id
"""


class Entry(NamedTuple):
    """One row of the inbox."""

    inbox_id: int
    tenant_id: str
    study_uid: str
    body: dict[str, Any]


async def waiting(conn: Connection, shards: Sequence[int]) -> list[Entry]:
    """Return what waits for the studies of these shards, oldest first (role rr_timer)."""
    rows = await conn.fetch(WAITING, list(shards))
    return [Entry(r["inbox_id"], r["tenant_id"], r["study_uid"], msgspec.json.decode(r["body"])) for r in rows]


async def stored(conn: Connection, studies: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, Patient]]:
    """Return how many images of each study are stored, and whose they are."""
    keys = list(studies)
    rows = await conn.fetch(STORED, [k[0] for k in keys], [k[1] for k in keys])
    return {(r["tenant_id"], r["study_uid"]): (r["images"], Patient(*tuple(r)[3:])) for r in rows}
