"""``/api/rosters``: patterns that make shifts; ``/api/absences``: vacations that cut them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload
from actors.domain.roster import Kind, Pattern
from gateway import schema, staffing
from gateway.api.route import Route, json
from gateway.api.shifts import LISTED, moment, reader_of_body, reader_of_query, seen_version, stretch
from gateway.api.writing import once
from storage import rosters
from storage.hydrate import time_zone

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.api.route import Call
    from storage.pool import Connection


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadPayload(f"{field}: {text!r} is not a day; one is 2026-03-01.", {"field": field}) from None


async def _pattern(conn: Connection, call: Call) -> tuple[str, Pattern]:
    body: staffing.RosterIn = call.body
    return body.radiologist_id, Pattern(
        body.time_zone or await time_zone(conn, call.who.tenant_id),
        frozenset(body.weekdays),
        time.fromisoformat(body.starts),
        time.fromisoformat(body.ends),
        _day(body.first_day, "first_day"),
        _day(body.last_day, "last_day"),
        Kind(body.kind),
        tuple((time.fromisoformat(b.starts), time.fromisoformat(b.ends)) for b in body.breaks),
    )


async def seen(call: Call) -> None:
    """The roster of the path, and the reader that the body names."""
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await rosters.one(conn, call.who.tenant_id, call.path("roster_id"))
    await reader_of_body(call)


async def page(call: Call) -> dict[str, Any]:
    """List rosters, of one reader or all."""
    limit, after = call.page()
    async with call.deps.app_db.view(call.who) as conn:
        found = await rosters.page(conn, call.who.tenant_id, call.query("reader"), after or "", limit + 1)
    return {"items": found[:limit], "next": found[limit - 1]["roster_id"] if len(found) > limit else None}


async def one(call: Call) -> dict[str, Any]:
    """Read a roster."""
    found: dict[str, Any] = call.seen
    return found


async def _put(call: Call, roster_id: str | None, version: int | None) -> dict[str, Any]:
    who = call.who

    async def work(conn: Connection) -> dict[str, Any]:
        to = await _pattern(conn, call)
        return await rosters.put(conn, who.tenant_id, roster_id, to, version, who.user_id, datetime.now(UTC))

    return await once(call, work)


async def add(call: Call) -> web.Response:
    """Make a roster and its shifts."""
    return json(await _put(call, None, None), 201)


async def change(call: Call) -> dict[str, Any]:
    """Put other shifts in place of those of the roster that are still to come."""
    return await _put(call, call.seen["roster_id"], call.body.version)


async def remove(call: Call) -> dict[str, Any]:
    """End a roster with its shifts to come."""
    who, version = call.who, seen_version(call)

    async def work(conn: Connection) -> dict[str, Any]:
        roster_id, now = call.seen["roster_id"], datetime.now(UTC)
        await rosters.remove(conn, who.tenant_id, roster_id, version, who.user_id, now)
        return {}

    return await once(call, work)


# -- absences -------------------------------------------------------------------------------------
async def absence_seen(call: Call) -> None:
    """The absence of the path, and the reader that the body names."""
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await rosters.absence(conn, call.who.tenant_id, call.path("absence_id"))
    await reader_of_body(call)


async def absences(call: Call) -> dict[str, Any]:
    """List absences that touch a stretch of time, of one reader or all."""
    limit, after = call.page()
    begin, end = stretch(call)
    async with call.deps.app_db.view(call.who) as conn:
        found = await rosters.absences(
            conn, call.who.tenant_id, starts_at=begin, ends_at=end, who=call.query("reader"), after=after or "",
            limit=limit + 1,
        )  # fmt: skip
    return {"items": found[:limit], "next": found[limit - 1]["absence_id"] if len(found) > limit else None}


async def _put_absence(call: Call, absence_id: str | None, version: int | None) -> dict[str, Any]:
    body, who = call.body, call.who
    starts_at, ends_at = moment(body.starts_at, "starts_at"), moment(body.ends_at, "ends_at")
    return await once(
        call,
        lambda conn: rosters.put_absence(
            conn, who.tenant_id, absence_id, who=body.radiologist_id, starts_at=starts_at, ends_at=ends_at,
            reason=body.reason, version=version, by=who.user_id,
        ),
    )  # fmt: skip


async def add_absence(call: Call) -> web.Response:
    """Say that a reader is away; she is offered nothing meanwhile."""
    return json(await _put_absence(call, None, None), 201)


async def change_absence(call: Call) -> dict[str, Any]:
    """Change an absence."""
    return await _put_absence(call, call.seen["absence_id"], call.body.version)


async def remove_absence(call: Call) -> dict[str, Any]:
    """Take an absence back."""
    who, version = call.who, seen_version(call)

    async def work(conn: Connection) -> dict[str, Any]:
        await rosters.remove_absence(conn, who.tenant_id, call.seen["absence_id"], version, who.user_id)
        return {}

    return await once(call, work)


_ONE, _AWAY = "/api/rosters/{roster_id}", "/api/absences/{absence_id}"
_READ, _WRITE = "rosters_read", "rosters_write"
ROUTES = (
    Route("GET", "/api/rosters", page, staffing.Rosters, _READ, reader_of_query, query=("reader", "limit", "after")),
    Route("POST", "/api/rosters", add, staffing.Roster, _WRITE, reader_of_body, staffing.RosterIn, status=201),
    Route("GET", _ONE, one, staffing.Roster, _READ, seen),
    Route("PUT", _ONE, change, staffing.Roster, _WRITE, seen, staffing.RosterChange),
    Route("DELETE", _ONE, remove, schema.Nothing, _WRITE, seen, query=("version",)),
    Route("GET", "/api/absences", absences, staffing.Absences, _READ, reader_of_query, query=LISTED),
    Route(
        "POST", "/api/absences", add_absence, staffing.Absence, _WRITE, reader_of_body, staffing.AbsenceIn, status=201
    ),
    Route("PUT", _AWAY, change_absence, staffing.Absence, _WRITE, absence_seen, staffing.AbsenceChange),
    Route("DELETE", _AWAY, remove_absence, schema.Nothing, _WRITE, absence_seen, query=("version",)),
)
