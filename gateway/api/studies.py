"""``/api/studies``: looking studies up, their past, and what readers and managers do with one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from actors.domain.commands import Accept, AssignStudy, Decline, Release, StartReading
from actors.domain.errors import BadPayload, NotFound
from actors.domain.identity import study_key, tenant_key
from actors.domain.words import Priority, Status
from gateway import schema, shapes
from gateway.api import view
from gateway.api.answers import done, paged
from gateway.api.route import Route
from gateway.problems import one_of
from storage import access, second_reads, studies_read
from storage.studies_read import Wanted

if TYPE_CHECKING:
    from enum import StrEnum

    from actors.domain.commands import StudyCommand
    from gateway.api.route import Call

_OPENING_S = 600.0
_opened: dict[tuple[str, str, str], float] = {}  # (tenant, user, study) -> when it was last audited


def _words(call: Call, name: str, kind: type[StrEnum]) -> list[str] | None:
    allowed = [str(word) for word in kind]
    said = call.words(name)
    for word in said:
        if word not in allowed:
            raise one_of(name, word, allowed)
    return said or None


async def page(call: Call) -> dict[str, Any]:
    """List studies of the view, newest images first."""
    limit, after = call.page()
    wanted = Wanted(
        status=_words(call, "status", Status), priority=_words(call, "priority", Priority), site_id=call.seen,
        reader=call.query("reader"), words=tuple((call.query("q") or "").replace("^", " ").split()),
    )  # fmt: skip
    async with call.deps.app_db.view(call.who) as conn:
        found = await studies_read.page(conn, call.who, wanted, after, limit + 1)
    return paged(found, limit)


async def one(call: Call) -> dict[str, Any]:
    """Open a study; who opened it is audited."""
    who, now = call.who, time.monotonic()
    opening = (who.tenant_id, who.user_id, call.seen.study_uid)
    if now - _opened.get(opening, -_OPENING_S) >= _OPENING_S:
        async with call.deps.app_db.view(who) as conn:
            await access.record(conn, who.tenant_id, who.user_id, "study_opened", call.seen.study_uid)
        for past in [k for k, at in _opened.items() if now - at >= _OPENING_S]:
            del _opened[past]
        _opened[opening] = now
    row: dict[str, Any] = call.seen.row
    return row


async def history(call: Call) -> dict[str, Any]:
    """List what happened to a study, oldest first."""
    limit, after = call.page()
    if after is not None and not (after.isascii() and after.isdigit() and len(after) < 10):  # noqa: PLR2004
        raise BadPayload("after: expected the next of the page before.", {"field": "after"})
    async with call.deps.app_db.view(call.who) as conn:
        hidden = await second_reads.hidden(conn, call.who, call.seen.study_uid)
        found = await studies_read.history(
            conn, call.who.tenant_id, call.seen.study_uid, int(after or 0), limit + 1, hidden
        )
    return {"items": found[:limit], "next": str(found[limit - 1]["version"]) if len(found) > limit else None}


async def explanation(call: Call) -> dict[str, Any]:
    """Say why the study was last given to whom: factors, runners-up, what would change it."""
    async with call.deps.app_db.view(call.who) as conn:
        hidden = await second_reads.hidden(conn, call.who, call.seen.study_uid)
        found = await studies_read.explanation(conn, call.who.tenant_id, call.seen.study_uid, hidden)
    if found is None:
        raise NotFound("Nothing has been decided about this study yet.")
    return found


async def assign(call: Call) -> dict[str, Any]:
    """Give the study to a reader."""
    body: schema.Assign = call.body
    command = AssignStudy(call.seen.study_uid, body.radiologist_id, body.version, body.reason or "", body.override)
    return done(call, await call.ask(tenant_key(call.who.tenant_id), command))


async def _tell(call: Call, command: StudyCommand) -> dict[str, Any]:
    return done(call, await call.ask(study_key(call.who.tenant_id, call.seen.study_uid), command))


async def accept(call: Call) -> dict[str, Any]:
    """Take the study offered to me."""
    return await _tell(call, Accept(call.body.offer_id))


async def decline(call: Call) -> dict[str, Any]:
    """Not take it, and say why."""
    return await _tell(call, Decline(call.body.offer_id, call.body.reason, call.body.note or ""))


async def start(call: Call) -> dict[str, Any]:
    """Say that it is on my screen."""
    return await _tell(call, StartReading(call.body.tab))


async def release(call: Call) -> dict[str, Any]:
    """Give it back to the pool."""
    return await _tell(call, Release(call.body.reason))


_STUDY = "/api/studies/{study_uid}"
_LIST = ("status", "priority", "site", "reader", "q", "limit", "after")
ROUTES = (
    Route("GET", "/api/studies", page, schema.Rows, "studies", view.listed, query=_LIST),
    Route("GET", _STUDY, one, shapes.Row, "studies", view.study),
    Route("GET", f"{_STUDY}/history", history, schema.History, "history", view.study, query=("limit", "after")),
    Route("GET", f"{_STUDY}/explanation", explanation, schema.Explanation, "explanation", view.study),
    Route("PUT", f"{_STUDY}/assign", assign, schema.Done, "assign", view.study_and_reader, schema.Assign),
    Route("POST", f"{_STUDY}/accept", accept, schema.Done, "accept", view.study, schema.Accept),
    Route("POST", f"{_STUDY}/decline", decline, schema.Done, "decline", view.study, schema.Decline),
    Route("POST", f"{_STUDY}/start", start, schema.Done, "start_reading", view.study, schema.Start),
    Route("POST", f"{_STUDY}/release", release, schema.Done, "release", view.study, schema.Release),
)
