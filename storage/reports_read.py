"""Reports as they are read: the signed and the draft, their addenda, the copies that lost a conflict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.instant import instant

if TYPE_CHECKING:
    import asyncpg

    from storage.pool import Connection

_REPORT = """
SELECT report_id, study_uid, status, version, sections, signed_by, signed_at, addenda
  FROM rr.report WHERE tenant_id = $1
"""
_BY_ID = _REPORT + " AND report_id = $2"
_OF_STUDY = _REPORT + " AND study_uid = $2 ORDER BY report_id DESC LIMIT 1"
_PAGE = """
SELECT report_id, study_uid, status, version, sections, signed_by, signed_at, addenda
  FROM rr.report
 WHERE tenant_id = $1
   AND ($2::text IS NULL OR study_uid = $2)
   AND (NOT $3 OR status = 'final')
   AND ($4::text IS NULL OR EXISTS (
        SELECT 1 FROM rr.study s
         WHERE s.tenant_id = report.tenant_id AND s.study_uid = report.study_uid AND s.referring = $4))
   AND ($5::text IS NULL OR report_id < $5)
 ORDER BY report_id DESC LIMIT $6
"""

_CONFLICTS = """
SELECT conflict_id, sections, by, at FROM rr.report_conflict
 WHERE tenant_id = $1 AND report_id = $2 AND ($3::text IS NULL OR conflict_id > $3)
 ORDER BY conflict_id LIMIT $4
"""

_NAMES = """
SELECT p.user_id, p.name FROM rr.membership m JOIN rr.person p USING (user_id)
 WHERE m.tenant_id = $1 AND m.user_id = ANY($2)
"""


def _report(record: asyncpg.Record) -> dict[str, Any]:
    return {
        **record,
        "sections": msgspec.json.decode(record["sections"]),
        "signed_at": instant(record["signed_at"]),
        "addenda": msgspec.json.decode(record["addenda"]),
    }


async def by_id(conn: Connection, tenant_id: str, report_id: str) -> dict[str, Any] | None:
    """Return a report in view, or None."""
    record = await conn.fetchrow(_BY_ID, tenant_id, report_id)
    return None if record is None else _report(record)


async def of_study(conn: Connection, tenant_id: str, study_uid: str) -> dict[str, Any] | None:
    """Return the report of a study, or None."""
    record = await conn.fetchrow(_OF_STUDY, tenant_id, study_uid)
    return None if record is None else _report(record)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which reports: of one study, only final ones, only of studies whose order names a physician."""

    study_uid: str | None = None
    final: bool = False
    referring: str | None = None


async def page(conn: Connection, tenant_id: str, wanted: Wanted, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Return at most ``limit`` reports, newest first, from below the report ``after``."""
    w = wanted
    return [_report(r) for r in await conn.fetch(_PAGE, tenant_id, w.study_uid, w.final, w.referring, after, limit)]


async def conflicts(
    conn: Connection, tenant_id: str, report_id: str, after: str | None, limit: int
) -> list[tuple[str, dict[str, Any]]]:
    """Return ``(conflict_id, {sections, by, at})`` of the drafts that were refused, oldest first."""
    records = await conn.fetch(_CONFLICTS, tenant_id, report_id, after, limit)
    return [
        (r["conflict_id"], {"sections": msgspec.json.decode(r["sections"]), "by": r["by"], "at": instant(r["at"])})
        for r in records
    ]


async def names(conn: Connection, tenant_id: str, user_ids: list[str]) -> dict[str, str]:
    """Return the names of people of the group, by user id."""
    return {r["user_id"]: r["name"] for r in await conn.fetch(_NAMES, tenant_id, user_ids)}
