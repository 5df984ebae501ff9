"""Rosters that make shifts, and absences that cut them (roles rr_app and rr_admin). Each change is audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from uuid_utils import uuid7

from actors.domain.errors import BadPayload, NotFound, StaleVersion
from actors.domain.instant import instant
from actors.domain.roster import Pattern, expand
from storage import access, readers, shifts

if TYPE_CHECKING:
    from datetime import datetime, time

    from storage.pool import Connection

_ROW = """
SELECT r.roster_id, r.user_id, r.body, r.version,
       (SELECT count(*) FROM rr.shift s WHERE s.tenant_id = r.tenant_id AND s.roster_id = r.roster_id) AS shifts
  FROM rr.roster r WHERE r.tenant_id = $1
"""
PAGE = _ROW + " AND ($2::text IS NULL OR r.user_id = $2) AND r.roster_id > $3 ORDER BY r.roster_id LIMIT $4"
ONE = _ROW + " AND r.roster_id = $2"
PUT = """
INSERT INTO rr.roster AS r (tenant_id, roster_id, user_id, body) VALUES ($1, $2, $3, $4::jsonb)
ON CONFLICT (tenant_id, roster_id) DO UPDATE SET user_id = excluded.user_id, body = excluded.body, version = r.version + 1
"""
DELETE = "DELETE FROM rr.roster WHERE tenant_id = $1 AND roster_id = $2"
DELETE_LATER = "DELETE FROM rr.shift WHERE tenant_id = $1 AND roster_id = $2 AND starts_at > $3"

_ABSENCE = "SELECT absence_id, user_id, starts_at, ends_at, reason, version FROM rr.absence WHERE tenant_id = $1"
ABSENCES = (
    _ABSENCE + " AND ends_at > $2 AND starts_at < $3 AND ($4::text IS NULL OR user_id = $4) AND absence_id > $5"
    " ORDER BY absence_id LIMIT $6"
)
ABSENCE = _ABSENCE + " AND absence_id = $2"
ABSENCE_PUT = """
INSERT INTO rr.absence AS a (tenant_id, absence_id, user_id, starts_at, ends_at, reason) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, absence_id) DO UPDATE SET user_id = excluded.user_id, starts_at = excluded.starts_at,
  ends_at = excluded.ends_at, reason = excluded.reason, version = a.version + 1
"""
ABSENCE_DELETE = "DELETE FROM rr.absence WHERE tenant_id = $1 AND absence_id = $2"


def _clock(at: time) -> str:
    return at.strftime("%H:%M")


def shown_roster(row: Any) -> dict[str, Any]:
    """Return a roster as REST shows it."""
    p = msgspec.json.decode(row["body"], type=Pattern)
    return {
        "roster_id": row["roster_id"],
        "radiologist_id": row["user_id"],
        "time_zone": p.time_zone,
        "weekdays": sorted(p.weekdays),
        "starts": _clock(p.starts),
        "ends": _clock(p.ends),
        "first_day": p.first_day.isoformat(),
        "last_day": p.last_day.isoformat(),
        "kind": p.kind.value,
        "breaks": [{"starts": _clock(a), "ends": _clock(b)} for a, b in p.breaks],
        "shifts": row["shifts"],
        "version": row["version"],
    }


async def page(conn: Connection, tenant_id: str, who: str | None, after: str, limit: int) -> list[dict[str, Any]]:
    """Return at most ``limit`` rosters, of one reader or all."""
    return [shown_roster(r) for r in await conn.fetch(PAGE, tenant_id, who, after, limit)]


async def one(conn: Connection, tenant_id: str, roster_id: str) -> dict[str, Any]:
    """Return a roster.

    Raises:
        NotFound: there is none.
    """
    row = await conn.fetchrow(ONE, tenant_id, roster_id)
    if row is None:
        raise NotFound
    return shown_roster(row)


def _seen(now: dict[str, Any], version: int | None) -> None:
    if version is not None and version != now["version"]:
        raise StaleVersion("Somebody has changed this since you saw it.", {"row": now})


async def put(  # noqa: PLR0913, PLR0917 - who, which, what, upon which version, when
    conn: Connection,
    tenant_id: str,
    roster_id: str | None,
    to: tuple[str, Pattern],
    version: int | None,
    by: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Make a roster and its shifts, or put others in place of those to come. Shifts changed by hand stay.

    Raises:
        NotFound, StaleVersion, BadPayload: as they say.
    """
    await readers.turn(conn, tenant_id)
    who, pattern = to
    await readers.one(conn, tenant_id, who)
    coming = expand(pattern)
    before = None if roster_id is None else await one(conn, tenant_id, roster_id)
    if roster_id is not None and before is not None:
        _seen(before, version)
        await conn.execute(DELETE_LATER, tenant_id, roster_id, now)
        coming = [s for s in coming if s.starts_at > now]
    if not coming:
        raise BadPayload("last_day: no shift of this roster is still to come.", {"field": "last_day"})
    new = [(who, shift) for shift in coming]
    await shifts.free(conn, tenant_id, new)
    act = "roster_added" if roster_id is None else "roster_changed"
    roster_id = roster_id or str(uuid7())
    await conn.execute(PUT, tenant_id, roster_id, who, msgspec.json.encode(pattern).decode())
    await shifts.insert(conn, tenant_id, new, roster_id)
    after = await one(conn, tenant_id, roster_id)
    await access.changed(conn, tenant_id, by, act, roster_id, before, after)
    return after


async def remove(  # noqa: PLR0913, PLR0917 - who, which, upon which version, when
    conn: Connection, tenant_id: str, roster_id: str, version: int | None, by: str | None, now: datetime
) -> None:
    """End a roster with its shifts to come; what has begun stays.

    Raises:
        NotFound, StaleVersion: as they say.
    """
    await readers.turn(conn, tenant_id)
    before = await one(conn, tenant_id, roster_id)
    _seen(before, version)
    await conn.execute(DELETE_LATER, tenant_id, roster_id, now)
    await conn.execute(DELETE, tenant_id, roster_id)
    await access.changed(conn, tenant_id, by, "roster_removed", roster_id, before, None)


# -- absences -------------------------------------------------------------------------------------
def shown_absence(row: Any) -> dict[str, Any]:
    """Return an absence as REST shows it."""
    return {
        "absence_id": row["absence_id"],
        "radiologist_id": row["user_id"],
        "starts_at": instant(row["starts_at"]),
        "ends_at": instant(row["ends_at"]),
        "reason": row["reason"],
        "version": row["version"],
    }


async def absences(  # noqa: PLR0913 - what is wanted
    conn: Connection, tenant_id: str, *, starts_at: datetime, ends_at: datetime, who: str | None, after: str, limit: int
) -> list[dict[str, Any]]:
    """Return at most ``limit`` absences that touch a stretch of time."""
    rows = await conn.fetch(ABSENCES, tenant_id, starts_at, ends_at, who, after, limit)
    return [shown_absence(r) for r in rows]


async def absence(conn: Connection, tenant_id: str, absence_id: str) -> dict[str, Any]:
    """Return an absence.

    Raises:
        NotFound: there is none.
    """
    row = await conn.fetchrow(ABSENCE, tenant_id, absence_id)
    if row is None:
        raise NotFound
    return shown_absence(row)


async def put_absence(  # noqa: PLR0913 - a row
    conn: Connection,
    tenant_id: str,
    absence_id: str | None,
    *,
    who: str,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    version: int | None,
    by: str | None,
) -> dict[str, Any]:
    """Say that a reader is away, or change it.

    Raises:
        NotFound, StaleVersion, BadPayload: as they say.
    """
    if ends_at <= starts_at:
        raise BadPayload("ends_at: an absence ends after it begins.", {"field": "ends_at"})
    await readers.turn(conn, tenant_id)
    await readers.one(conn, tenant_id, who)
    before = None if absence_id is None else await absence(conn, tenant_id, absence_id)
    if before is not None:
        _seen(before, version)
    act = "absence_added" if absence_id is None else "absence_changed"
    absence_id = absence_id or str(uuid7())
    await conn.execute(ABSENCE_PUT, tenant_id, absence_id, who, starts_at, ends_at, reason)
    after = await absence(conn, tenant_id, absence_id)
    await access.changed(conn, tenant_id, by, act, absence_id, before, after)
    return after


async def remove_absence(
    conn: Connection, tenant_id: str, absence_id: str, version: int | None, by: str | None
) -> None:
    """Take an absence back.

    Raises:
        NotFound, StaleVersion: as they say.
    """
    await readers.turn(conn, tenant_id)
    before = await absence(conn, tenant_id, absence_id)
    _seen(before, version)
    await conn.execute(ABSENCE_DELETE, tenant_id, absence_id)
    await access.changed(conn, tenant_id, by, "absence_removed", absence_id, before, None)
