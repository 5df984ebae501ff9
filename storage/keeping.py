"""Retention: which studies have been kept long enough, what is on hold, and the rows of what goes (role rr_keeper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage import closed

if TYPE_CHECKING:
    from datetime import datetime

    from storage.pool import Connection

TENANTS = "SELECT tenant_id FROM rr.tenant ORDER BY 1"
# What is closed, has not changed for as long as the policy says, and is on no hold.
EXPIRED = f"""
SELECT d.study_uid, d.site_id, d.images, greatest(d.last_image_at, j.at) AS changed_at, k.years
  FROM rr.dicom_study d
  JOIN rr.retention r ON r.tenant_id = d.tenant_id
{closed.STATE}
  LEFT JOIN rr.patient p ON p.tenant_id = d.tenant_id AND p.patient_id = coalesce(s.patient_id, d.patient_id)
  CROSS JOIN LATERAL (
       SELECT coalesce(max(coalesce((r.modalities->>e.modality)::double precision, r.years)), r.years) AS years
         FROM rr.series e WHERE e.tenant_id = d.tenant_id AND e.study_uid = d.study_uid) k
 WHERE d.tenant_id = $1 AND ($3::text IS NULL OR d.study_uid = $3)
{closed.CLOSED}
   AND greatest(d.last_image_at, j.at) + make_interval(secs => k.years * 31557600) <= $2
   AND (r.until_age IS NULL OR (p.birth_date <> '' AND p.birth_date::date + make_interval(years => r.until_age) <= $2))
   AND NOT EXISTS (
       SELECT 1 FROM rr.legal_hold h LEFT JOIN rr.patient n ON n.tenant_id = h.tenant_id AND n.patient_id = h.patient_id
        WHERE h.tenant_id = d.tenant_id AND h.lifted_at IS NULL
          AND (h.study_uid = d.study_uid OR h.patient_id IN (d.patient_id, s.patient_id)
               OR coalesce(n.survivor, n.patient_id) = s.patient_id OR n.survivor = d.patient_id))
 ORDER BY d.study_uid
"""  # noqa: S608 - constants only
LOCK = "SELECT 1 FROM rr.dicom_study WHERE tenant_id = $1 AND study_uid = $2 FOR UPDATE"
# A directory is a site's and a header's UID: a study of another patient that came under the same UID lies there too.
MARK = r"""
INSERT INTO rr.erasure (tenant_id, study_uid, site_id, images, bytes, paths, keys)
SELECT d.tenant_id, d.study_uid, d.site_id, d.images, coalesce(f.bytes, 0), coalesce(f.paths, '{}'),
       CASE WHEN EXISTS (SELECT 1 FROM rr.dicom_study o WHERE o.tenant_id = d.tenant_id AND o.site_id = d.site_id
                            AND o.header_study_uid = d.header_study_uid AND o.study_uid <> d.study_uid)
            THEN '{}' ELSE coalesce(f.keys, '{}') END
  FROM rr.dicom_study d CROSS JOIN LATERAL (
       SELECT sum(x.size)::bigint AS bytes, array_agg(x.path) AS paths,
              array_agg(DISTINCT regexp_replace(x.path, '^\.cold/|/[^/]*$', '', 'g')) AS keys
         FROM (SELECT i.path, i.size FROM rr.instance i WHERE i.tenant_id = d.tenant_id AND i.study_uid = d.study_uid
               UNION ALL
               SELECT a.path, 0 FROM rr.kept_apart a WHERE a.tenant_id = d.tenant_id AND a.study_uid = d.study_uid
               UNION ALL
               SELECT unnest(m.old_paths), 0 FROM rr.tier_move m
                WHERE m.tenant_id = d.tenant_id AND m.study_uid = d.study_uid) x) f
 WHERE d.tenant_id = $1 AND d.study_uid = $2
ON CONFLICT DO NOTHING
"""
UNDER_WAY = """
SELECT study_uid, paths, keys, destroyed_at IS NOT NULL AS destroyed
  FROM rr.erasure
 WHERE tenant_id = $1 AND erased_at IS NULL AND coalesce(destroyed_at, marked_at) <= now() - make_interval(secs => $2)
 ORDER BY study_uid
"""
UNMARK = "DELETE FROM rr.erasure WHERE tenant_id = $1 AND study_uid = $2 AND destroyed_at IS NULL"
BEGUN = "UPDATE rr.erasure SET destroyed_at = now() WHERE tenant_id = $1 AND study_uid = $2 AND destroyed_at IS NULL"
ROWS = (
    """DELETE FROM rr.performed_step x USING rr.dicom_study d WHERE d.tenant_id = $1 AND d.study_uid = $2
          AND x.tenant_id = d.tenant_id AND x.site_id = d.site_id AND x.study_uid = d.header_study_uid""",
    """DELETE FROM rr.notice x USING rr.dicom_study d WHERE d.tenant_id = $1 AND d.study_uid = $2
          AND x.tenant_id = d.tenant_id AND x.site_id = d.site_id AND x.study_uid = d.header_study_uid""",
    """DELETE FROM rr.report_conflict x USING rr.report r WHERE r.tenant_id = $1 AND r.study_uid = $2
          AND x.tenant_id = r.tenant_id AND x.report_id = r.report_id""",
    """DELETE FROM rr.report_version x USING rr.report r WHERE r.tenant_id = $1 AND r.study_uid = $2
          AND x.tenant_id = r.tenant_id AND x.report_id = r.report_id""",
    *(
        f"DELETE FROM rr.{table} WHERE tenant_id = $1 AND study_uid = $2"  # noqa: S608 - names above
        for table in (
            "report", "explanation", "inference_job", "orders", "study_archive", "study", "kept_apart", "instance", "series",
            "tier_move",
        )
    ),
)  # fmt: skip
# The patient goes with her last study, unless another number was given up for hers.
LAST = """
WITH gone AS (DELETE FROM rr.dicom_study WHERE tenant_id = $1 AND study_uid = $2 RETURNING patient_id)
SELECT patient_id FROM gone
"""
PATIENT = """
DELETE FROM rr.patient p WHERE p.tenant_id = $1 AND p.patient_id = ANY($2::text[])
   AND NOT EXISTS (SELECT 1 FROM rr.dicom_study d WHERE d.tenant_id = $1 AND d.patient_id = p.patient_id)
   AND NOT EXISTS (SELECT 1 FROM rr.study s WHERE s.tenant_id = $1 AND s.patient_id = p.patient_id)
   AND NOT EXISTS (SELECT 1 FROM rr.orders o WHERE o.tenant_id = $1 AND o.patient_id = p.patient_id)
   AND NOT EXISTS (SELECT 1 FROM rr.patient m WHERE m.tenant_id = $1 AND m.merged_into = p.patient_id)
"""
WHOSE = "SELECT patient_id FROM rr.study WHERE tenant_id = $1 AND study_uid = $2"
ERASED = """
UPDATE rr.erasure SET erased_at = now(), paths = '{}', keys = '{}'
 WHERE tenant_id = $1 AND study_uid = $2 AND erased_at IS NULL
"""
TOLD = "INSERT INTO rr.access (tenant_id, user_id, act, subject) VALUES ($1, NULL, 'study_erased', $2)"


@dataclass(frozen=True, slots=True)
class Expired:
    """A study that has been kept long enough."""

    study_uid: str
    site_id: str
    images: int
    changed_at: datetime
    years: float


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An erasure whose next step is due."""

    study_uid: str
    paths: list[str]
    keys: list[str]
    destroyed: bool


async def tenants(conn: Connection) -> list[str]:
    """Return every group."""
    return [r["tenant_id"] for r in await conn.fetch(TENANTS)]


async def expired(conn: Connection, tenant_id: str, now: datetime, study_uid: str | None = None) -> list[Expired]:
    """Return the studies of a group that its policy lets go at an instant, or that one if it is among them."""
    return [Expired(*row) for row in await conn.fetch(EXPIRED, tenant_id, now, study_uid)]


async def mark(conn: Connection, tenant_id: str, study_uid: str, now: datetime) -> bool:
    """Mark a study as going, if it still may: no image of it is taken from now on."""
    await conn.fetchval(LOCK, tenant_id, study_uid)
    if not await expired(conn, tenant_id, now, study_uid):
        return False
    return await conn.execute(MARK, tenant_id, study_uid) == "INSERT 0 1"


async def under_way(conn: Connection, tenant_id: str, after_s: float) -> list[UnderWay]:
    """Return erasures whose last step was so long ago."""
    return [UnderWay(*row) for row in await conn.fetch(UNDER_WAY, tenant_id, after_s)]


async def begin(conn: Connection, tenant_id: str, study_uid: str, now: datetime) -> bool:
    """Say that a marked study is destroyed now; take the mark back if it may not go any more."""
    await conn.fetchval(LOCK, tenant_id, study_uid)
    if not await expired(conn, tenant_id, now, study_uid):
        await conn.execute(UNMARK, tenant_id, study_uid)
        return False
    await conn.execute(BEGUN, tenant_id, study_uid)
    return True


async def forget(conn: Connection, tenant_id: str, study_uid: str) -> None:
    """Delete the rows of a study whose files are gone, and note that it was erased."""
    whose = {r["patient_id"] for r in await conn.fetch(WHOSE, tenant_id, study_uid)}
    for statement in ROWS:
        await conn.execute(statement, tenant_id, study_uid)
    whose |= {r["patient_id"] for r in await conn.fetch(LAST, tenant_id, study_uid)}
    await conn.execute(PATIENT, tenant_id, sorted(whose))
    await conn.execute(ERASED, tenant_id, study_uid)
    await conn.execute(TOLD, tenant_id, study_uid)
