"""Patients whose numbers were given up, and the studies that a late correction touches (role rr_host)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.commands import Patient

if TYPE_CHECKING:
    from storage.pool import Connection

# Who stands under a patient's number today: she herself, or the one it was given up for.
SURVIVING = """
SELECT q.patient_id, q.name, q.mrn, q.issuer, q.birth_date, q.sex
  FROM rr.patient p JOIN rr.patient q ON q.tenant_id = p.tenant_id AND q.patient_id = coalesce(p.survivor, p.patient_id)
 WHERE p.tenant_id = $1 AND p.patient_id = $2
"""
# Studies whose images came under a number, or one that was given up for it.
IMAGES_OF = """
WITH RECURSIVE under AS (
  SELECT patient_id FROM rr.patient WHERE tenant_id = $1 AND patient_id = $2
  UNION SELECT p.patient_id FROM rr.patient p JOIN under u ON p.tenant_id = $1 AND p.merged_into = u.patient_id
)
SELECT d.study_uid FROM rr.dicom_study d JOIN under USING (patient_id) WHERE d.tenant_id = $1
"""
# A study of a patient, to stand for all of hers; those in view of the caller's sites first.
ONE_OF = """
SELECT s.study_uid, s.site_id FROM rr.study s
 WHERE s.tenant_id = $1 AND s.patient_id = $2 AND s.doc->>'moved_to' IS NULL
 ORDER BY ($3::text[] IS NULL OR s.site_id = ANY($3)) DESC, s.study_uid LIMIT 1
"""


async def surviving(conn: Connection, tenant_id: str, patient_id: str) -> Patient | None:
    """Return who stands under a patient's number today, None when nobody ever did."""
    row = await conn.fetchrow(SURVIVING, tenant_id, patient_id)
    return None if row is None else Patient(**row)


async def images_of(conn: Connection, tenant_id: str, patient_id: str) -> frozenset[str]:
    """Return the studies whose images came under a patient's number."""
    return frozenset(r["study_uid"] for r in await conn.fetch(IMAGES_OF, tenant_id, patient_id))


async def one_of(
    conn: Connection, tenant_id: str, patient_id: str, sites: frozenset[str] | None
) -> tuple[str, str] | None:
    """Return the UID and site of a study of a patient, preferably at one of ``sites``; None when she has none."""
    row = await conn.fetchrow(ONE_OF, tenant_id, patient_id, None if sites is None else sorted(sites))
    return None if row is None else (row["study_uid"], row["site_id"])
