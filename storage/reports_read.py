"""Reports as they are read: the signed and the draft, their addenda, the copies that lost a conflict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.instant import instant
from storage.second_reads import READINGS, UNSEEN, signatures

if TYPE_CHECKING:
    import asyncpg

    from storage.pool import Connection

_REPORT = f"""
SELECT r.report_id, r.study_uid, r.status, r.version, r.sections, r.signed_by, r.signed_at, r.addenda,
       {READINGS} AS readings
  FROM rr.report r
 WHERE r.tenant_id = $1
"""  # noqa: S608 - constants only
_BY_ID = f"{_REPORT} AND r.report_id = $2 AND ($3::text IS NULL OR NOT {UNSEEN.format('$3')})"
_PAGE = f"""
{_REPORT}
   AND ($2::text IS NULL OR r.study_uid = $2)
   AND (NOT $3 OR r.status = 'final')
   AND ($4::text IS NULL OR EXISTS (
        SELECT 1 FROM rr.study s
         WHERE s.tenant_id = r.tenant_id AND s.study_uid = r.study_uid AND s.referring = $4))
   AND ($5::text IS NULL OR r.report_id < $5)
   AND ($7::text IS NULL OR NOT {UNSEEN.format("$7")})
 ORDER BY r.report_id DESC LIMIT $6
"""  # noqa: S608 - constants only

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
        **{name: value for name, value in record.items() if name != "readings"},
        "sections": msgspec.json.decode(record["sections"]),
        "signed_at": instant(record["signed_at"]),
        "addenda": msgspec.json.decode(record["addenda"]),
        "signatures": signatures(record),
    }


async def by_id(conn: Connection, tenant_id: str, report_id: str, blind_to: str | None = None) -> dict[str, Any] | None:
    """Return a report in view, or None; ``blind_to`` names a reader who may have to read the study herself."""
    record = await conn.fetchrow(_BY_ID, tenant_id, report_id, blind_to)
    return None if record is None else _report(record)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which reports: of one study, only final ones, only of studies whose order names a physician."""

    study_uid: str | None = None
    final: bool = False
    referring: str | None = None
    blind_to: str | None = None  # a reader, who sees no first report while a blind second reading is open


async def page(conn: Connection, tenant_id: str, wanted: Wanted, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Return at most ``limit`` reports, newest first, from below the report ``after``."""
    w = wanted
    found = await conn.fetch(_PAGE, tenant_id, w.study_uid, w.final, w.referring, after, limit, w.blind_to)
    return [_report(r) for r in found]


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
