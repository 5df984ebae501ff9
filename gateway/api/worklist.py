"""``/api/worklist`` and ``/api/board``: every open study of the view; the board adds what managers watch, now or once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload
from actors.domain.words import Priority
from gateway import past as past_schema
from gateway import schema
from gateway.api.route import Route
from gateway.forecasting import moment
from storage import past as replayed
from storage import worklist as stored

if TYPE_CHECKING:
    from gateway.api.route import Call
    from storage.pool import Connection


def _after(text: str | None) -> tuple[int, str]:
    rank, _, study_uid = (text or "-1.").partition(".")
    if rank not in {"-1", "0", "1", "2"}:
        raise BadPayload("after: expected the next of the page before.", {"field": "after"})
    return int(rank), study_uid


async def _page(call: Call, conn: Connection) -> dict[str, Any]:
    limit, text = call.page()
    rows = await stored.open_page(conn, call.who.tenant_id, _after(text), limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    after = None if last is None else f"{Priority(last['priority']).rank}.{last['study_uid']}"
    return {"items": rows[:limit], "next": after}


async def worklist(call: Call) -> dict[str, Any]:
    """List every open study, the most urgent priority first."""
    async with call.deps.app_db.view(call.who) as conn:
        return await _page(call, conn)


async def board(call: Call) -> dict[str, Any]:
    """List every open study with counters and readers, all of one instant."""
    async with call.deps.app_db.view(call.who, snapshot=True) as conn:
        return await _page(call, conn) | await stored.board(conn, call.who.tenant_id)


async def past(call: Call) -> dict[str, Any]:
    """Show the board as it was at an instant: rebuilt from the journal, with today's demographics."""
    at = moment(call.query("at"), "at")
    if at is None:
        raise BadPayload("at: name the instant to look back to, as 2026-01-31T03:14:00Z.", {"field": "at"})
    if at > datetime.now(UTC):
        raise BadPayload("at: this instant is still to come.", {"field": "at"})
    async with _one_at_a_time, call.deps.app_db.view(call.who, snapshot=True) as conn:
        found = await replayed.board(conn, call.who.tenant_id, at)
    return {"at": found["at"], "items": found["rows"], "counters": found["counters"], "readers": found["readers"]}


_one_at_a_time = asyncio.Semaphore(1)  # in a gateway: a year of journal takes a while
_QUERY = ("limit", "after")
ROUTES = (
    Route("GET", "/api/worklist", worklist, schema.Rows, "worklist", query=_QUERY),
    Route("GET", "/api/board", board, schema.Board, "board", query=_QUERY),
    Route("GET", "/api/board/past", past, past_schema.PastBoard, "board_past", query=("at",)),
)
