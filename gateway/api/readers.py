"""``/api/readers``: what radiologists may read and how well, one by one or by the sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.errors import BadPayload
from actors.domain.profile import profile
from gateway import staffing
from gateway.api.route import Route
from gateway.api.writing import once
from storage import readers, sheets

if TYPE_CHECKING:
    from gateway.api.route import Call
    from storage.pool import Connection


async def seen(call: Call) -> None:
    """The reader of the path."""
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await readers.one(conn, call.who.tenant_id, call.path("radiologist_id"))


async def page(call: Call) -> dict[str, Any]:
    """List the readers of the group with their profiles."""
    limit, after = call.page()
    async with call.deps.app_db.view(call.who) as conn:
        found = await readers.page(conn, call.who.tenant_id, after or "", limit + 1)
    return {"items": found[:limit], "next": found[limit - 1]["radiologist_id"] if len(found) > limit else None}


async def one(call: Call) -> dict[str, Any]:
    """Read a reader's profile."""
    found: dict[str, Any] = call.seen
    return found


async def put(call: Call) -> dict[str, Any]:
    """Set a reader's profile; acts on offers within seconds."""
    said = msgspec.to_builtins(call.body)
    version = said.pop("version")
    wanted, who = profile(said), call.who

    async def work(conn: Connection) -> dict[str, Any]:
        user_id = call.seen["radiologist_id"]
        return await readers.put(conn, who.tenant_id, user_id, wanted, version, who.user_id)

    return await once(call, work)


async def sheet(call: Call) -> str:
    """Return the CSV that came.

    Raises:
        BadPayload: it is not text.
    """
    try:
        text = (await call.request.read()).decode()
    except UnicodeDecodeError:
        raise BadPayload("The sheet is not UTF-8: save it as CSV UTF-8.", {"field": ""}) from None
    if "\x00" in text:
        raise BadPayload("The sheet holds the character NUL: save it as CSV UTF-8.", {"field": ""})
    return text


def dry(call: Call) -> bool:
    """Return whether nothing is to be changed.

    Raises:
        BadPayload: ``dry_run`` is neither true nor false.
    """
    said = (call.query("dry_run") or "false").lower()
    if said not in {"true", "false", "1", "0"}:
        raise BadPayload("dry_run: expected true or false.", {"field": "dry_run"})
    return said in {"true", "1"}


async def take(call: Call) -> dict[str, Any]:
    """Set profiles from a CSV sheet, all rows or none; with dry_run only say what would happen."""
    text, who, dry_run = await sheet(call), call.who, dry(call)
    return await once(call, lambda conn: sheets.take_readers(conn, who.tenant_id, text, who.user_id, dry_run=dry_run))


_ONE = "/api/readers/{radiologist_id}"
ROUTES = (
    Route("GET", "/api/readers", page, staffing.Profiles, "readers_read", query=("limit", "after")),
    Route("POST", "/api/readers/import", take, staffing.SheetTaken, "readers_write", query=("dry_run",)),
    Route("GET", _ONE, one, staffing.Profile, "readers_read", seen),
    Route("PUT", _ONE, put, staffing.Profile, "readers_write", seen, staffing.ReaderIn),
)
