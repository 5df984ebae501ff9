"""Which stored files were checked, and which are not what was written (role rr_ingest; rr_admin lists them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.identity import study_key

if TYPE_CHECKING:
    from storage.pool import Connection

NEXT = """
SELECT i.study_uid, i.series_uid, i.sop_uid, i.path, i.size, i.sha256
  FROM rr.instance i
 WHERE i.tenant_id = $1 AND (i.study_uid, i.series_uid, i.sop_uid) > (
       SELECT coalesce(max(s.study_uid), ''), coalesce(max(s.series_uid), ''), coalesce(max(s.sop_uid), '')
         FROM rr.scrub s WHERE s.tenant_id = $1)
 ORDER BY i.study_uid, i.series_uid, i.sop_uid LIMIT $2
"""
REACHED = """
INSERT INTO rr.scrub AS s (tenant_id, study_uid, series_uid, sop_uid, round_at) VALUES ($1, $2, $3, $4, NULL)
ON CONFLICT (tenant_id) DO UPDATE SET study_uid = $2, series_uid = $3, sop_uid = $4,
  round_at = CASE WHEN $2 = '' THEN now() ELSE s.round_at END
"""
# Told once a file; not of one that is being erased, or whose row went meanwhile.
FOUND = """
INSERT INTO rr.damage (tenant_id, path, site_id, study_uid, sop_uid, cause, found_by)
SELECT i.tenant_id, i.path, i.site_id, i.study_uid, i.sop_uid, $4, $5
  FROM rr.instance i
 WHERE i.tenant_id = $1 AND i.study_uid = $2 AND i.path = $3
   AND NOT EXISTS (SELECT 1 FROM rr.erasure e WHERE e.tenant_id = $1 AND e.study_uid = $2 AND e.erased_at IS NULL)
ON CONFLICT (tenant_id, path) DO UPDATE SET found_at = now(), healed_at = NULL, cause = excluded.cause,
  found_by = excluded.found_by WHERE rr.damage.healed_at IS NOT NULL
RETURNING study_uid, site_id, sop_uid
"""
TELL = """
INSERT INTO rr.inbox (tenant_id, study_uid, shard, body)
SELECT s.tenant_id, s.study_uid, $3, $4::jsonb FROM rr.study s WHERE s.tenant_id = $1 AND s.study_uid = $2
"""
HEALED = "UPDATE rr.damage SET healed_at = now() WHERE tenant_id = $1 AND path = $2 AND healed_at IS NULL"
_LIST = """
SELECT tenant_id, study_uid, sop_uid, path, cause, found_by, found_at FROM rr.damage WHERE healed_at IS NULL
 ORDER BY found_at, path
"""
_ROUNDS = "SELECT tenant_id, round_at FROM rr.scrub ORDER BY 1"


@dataclass(frozen=True, slots=True)
class File:
    """A stored instance and what it must be."""

    study_uid: str
    series_uid: str
    sop_uid: str
    path: str
    size: int
    sha256: bytes


async def following(conn: Connection, tenant_id: str, most: int) -> list[File]:
    """Return the files after those that were checked last; none at the end of a round."""
    return [File(*row) for row in await conn.fetch(NEXT, tenant_id, most)]


async def reached(conn: Connection, tenant_id: str, file: File | None) -> None:
    """Note that files up to this one were checked; None ends the round."""
    where = ("", "", "") if file is None else (file.study_uid, file.series_uid, file.sop_uid)
    await conn.execute(REACHED, tenant_id, *where)


async def found(  # noqa: PLR0913, PLR0917 - a row
    conn: Connection, tenant_id: str, study_uid: str, path: str, cause: str, found_by: str
) -> int | None:
    """Note a file that is not what was written and tell its study; return the shard to nudge, None when it was known."""
    row = await conn.fetchrow(FOUND, tenant_id, study_uid, path, cause, found_by)
    if row is None:
        return None
    shard = study_key(tenant_id, study_uid).shard
    body = msgspec.json.encode({"kind": "damaged", "site_id": row["site_id"], "sop_uid": row["sop_uid"]}).decode()
    await conn.execute(TELL, tenant_id, study_uid, shard, body)
    return shard


async def healed(conn: Connection, tenant_id: str, path: str) -> None:
    """Note that a file is right, if it was not before."""
    await conn.execute(HEALED, tenant_id, path)


async def listed(conn: Connection) -> list[dict[str, Any]]:
    """Return the files that are not what was written, oldest find first."""
    return [dict(row) for row in await conn.fetch(_LIST)]


async def rounds(conn: Connection) -> list[dict[str, Any]]:
    """Return when every file of each group had been checked last."""
    return [dict(row) for row in await conn.fetch(_ROUNDS)]
