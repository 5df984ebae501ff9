"""``/api/shifts``: when readers work, one by one or by the sheet; swaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload
from actors.domain.roster import Kind, Shift, Span, shift
from gateway import schema, staffing
from gateway.api.readers import dry, sheet
from gateway.api.route import Route, json
from gateway.api.writing import once
from storage import readers, sheets, shifts

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.api.route import Call
    from storage.pool import Connection

_AHEAD = timedelta(days=31)


def moment(text: str, field: str) -> datetime:
    """Return an instant.

    Raises:
        BadPayload: it is none, or without an offset.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not 1970 < at.year < 9000:  # noqa: PLR2004 - what a calendar holds
        message = f"{field}: {text!r} is not an instant; one is 2026-03-01T08:00:00Z."
        raise BadPayload(message, {"field": field})
    return at.astimezone(UTC)


def stretch(call: Call) -> tuple[datetime, datetime]:
    """Return ``from`` and ``to``: from now and for a month when absent."""
    begin, end = call.query("from"), call.query("to")
    since = moment(begin, "from") if begin else datetime.now(UTC)
    return since, moment(end, "to") if end else since + _AHEAD


def _shift(body: staffing.ShiftIn) -> tuple[str, Shift]:
    spans = [
        Span(moment(b.starts_at, f"breaks[{n}].starts_at"), moment(b.ends_at, f"breaks[{n}].ends_at"))
        for n, b in enumerate(body.breaks)
    ]
    starts_at, ends_at = moment(body.starts_at, "starts_at"), moment(body.ends_at, "ends_at")
    return body.radiologist_id, shift(starts_at, ends_at, Kind(body.kind), spans)


async def reader_of_query(call: Call) -> None:
    """The reader that the parameter names, if it names one."""
    if named := call.query("reader"):
        async with call.deps.app_db.view(call.who) as conn:
            await readers.one(conn, call.who.tenant_id, named)


async def reader_of_body(call: Call) -> None:
    """The reader that the body names."""
    named = call.raw.get("radiologist_id")
    if isinstance(named, str) and named:
        async with call.deps.app_db.view(call.who) as conn:
            await readers.one(conn, call.who.tenant_id, named)


async def seen(call: Call) -> None:
    """The shift of the path, and the reader that the body names."""
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await shifts.one(conn, call.who.tenant_id, call.path("shift_id"))
    await reader_of_body(call)


def seen_version(call: Call) -> int:
    """Return the parameter ``version`` of a removal.

    Raises:
        BadPayload: it is absent, or not a number.
    """
    text = call.query("version") or ""
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004
        raise BadPayload("version: expected the version that was seen.", {"field": "version"})
    return int(text)


async def page(call: Call) -> dict[str, Any]:
    """List shifts that touch a stretch of time, of one reader or all, by their start."""
    limit, after = call.page()
    begin, end = stretch(call)
    async with call.deps.app_db.view(call.who) as conn:
        found = await shifts.page(
            conn, call.who.tenant_id, starts_at=begin, ends_at=end, who=call.query("reader"), after=after,
            limit=limit + 1,
        )  # fmt: skip
    last = found[limit - 1] if len(found) > limit else None
    return {"items": found[:limit], "next": f"{last['starts_at']}/{last['shift_id']}" if last else None}


async def one(call: Call) -> dict[str, Any]:
    """Read a shift."""
    found: dict[str, Any] = call.seen
    return found


async def add(call: Call) -> web.Response:
    """Put a shift on the roster."""
    new, who = _shift(call.body), call.who

    async def work(conn: Connection) -> dict[str, Any]:
        return (await shifts.add(conn, who.tenant_id, [new], who.user_id))[0]

    return json(await once(call, work), 201)


async def change(call: Call) -> dict[str, Any]:
    """Change a shift, its reader too; it no longer follows its roster."""
    to, who, version = _shift(call.body), call.who, call.body.version
    shift_id = call.seen["shift_id"]
    return await once(call, lambda conn: shifts.change(conn, who.tenant_id, shift_id, to, version, who.user_id))


async def remove(call: Call) -> dict[str, Any]:
    """Take a shift off the roster."""
    who, version = call.who, seen_version(call)

    async def work(conn: Connection) -> dict[str, Any]:
        await shifts.remove(conn, who.tenant_id, call.seen["shift_id"], version, who.user_id)
        return {}

    return await once(call, work)


async def swap(call: Call) -> dict[str, Any]:
    """Let two readers exchange two shifts, both or neither."""
    who, body = call.who, call.body

    async def work(conn: Connection) -> dict[str, Any]:
        shift_id = call.seen["shift_id"]
        swapped = await shifts.swap(conn, who.tenant_id, shift_id, body.with_shift_id, body.version, who.user_id)
        return {"items": swapped, "next": None}

    return await once(call, work)


async def take(call: Call) -> dict[str, Any]:
    """Put the shifts of a CSV sheet on the roster, all or none; with dry_run only say what would happen."""
    text, who, dry_run = await sheet(call), call.who, dry(call)
    return await once(call, lambda conn: sheets.take_shifts(conn, who.tenant_id, text, who.user_id, dry_run=dry_run))


_ONE = "/api/shifts/{shift_id}"
LISTED = ("from", "to", "reader", "limit", "after")
ROUTES = (
    Route("GET", "/api/shifts", page, staffing.Shifts, "rosters_read", reader_of_query, query=LISTED),
    Route("POST", "/api/shifts", add, staffing.Shift, "rosters_write", reader_of_body, staffing.ShiftIn, status=201),
    Route("POST", "/api/shifts/import", take, staffing.SheetTaken, "rosters_write", query=("dry_run",)),
    Route("GET", _ONE, one, staffing.Shift, "rosters_read", seen),
    Route("PUT", _ONE, change, staffing.Shift, "rosters_write", seen, staffing.ShiftChange),
    Route("DELETE", _ONE, remove, schema.Nothing, "rosters_write", seen, query=("version",)),
    Route("POST", f"{_ONE}/swap", swap, staffing.Shifts, "rosters_write", seen, staffing.SwapIn),
)
