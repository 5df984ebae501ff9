"""``/api/policy``: how long offers stay open, when clocks warn and breach, who reads what; and its versions on trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.errors import BadPayload, NotFound
from actors.domain.policy import policy
from actors.domain.trial import Mode, differences
from gateway import policies as bodies
from gateway import schema
from gateway.api.route import Route, json
from gateway.api.writing import once
from storage import policies

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.api.route import Call
    from storage.pool import Connection

_MOST = 2**31 - 1


async def read(call: Call) -> dict[str, Any]:
    """Read the policy for later studies and offers."""
    async with call.deps.app_db.view(call.who) as conn:
        return await policies.read(conn, call.who.tenant_id)


def _given(said: schema.Policy) -> dict[str, Any]:
    return policy(msgspec.to_builtins(said)).body()


async def write(call: Call) -> dict[str, Any]:
    """Set the policy; what is absent takes its default, what runs already keeps its own."""
    who, body = call.who, _given(call.body)

    async def work(conn: Connection) -> dict[str, Any]:
        await policies.write(conn, who.tenant_id, body, who.user_id)
        return body

    return await once(call, work)


# -- versions -------------------------------------------------------------------------------------
def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004


async def seen(call: Call) -> None:
    """The version of the path."""
    number = _number(call.path("version"))
    if number is None:
        raise NotFound
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await policies.one(conn, call.who.tenant_id, number)


async def page(call: Call) -> dict[str, Any]:
    """List the versions of the policy, the newest first."""
    limit, after = call.page()
    before = _MOST if after is None else _number(after)
    if before is None:
        raise BadPayload("after: expected the next of the page before.", {"field": "after"})
    async with call.deps.app_db.view(call.who) as conn:
        found = await policies.page(conn, call.who.tenant_id, before, limit + 1)
    return {"items": found[:limit], "next": str(found[limit - 1]["version"]) if len(found) > limit else None}


async def draft(call: Call) -> web.Response:
    """Add a version without effect, to be tried."""
    who, said, body = call.who, call.body, _given(call.body.policy)

    async def work(conn: Connection) -> dict[str, Any]:
        version = await policies.write(conn, who.tenant_id, body, who.user_id, Mode.DRAFT, said.note)
        return await policies.one(conn, who.tenant_id, version)

    return json(await once(call, work), 201)


async def one(call: Call) -> dict[str, Any]:
    """Read a version of the policy."""
    found: dict[str, Any] = call.seen
    return found


async def diff(call: Call) -> dict[str, Any]:
    """Say how a version differs from another, the live one unless said."""
    named = call.query("against")
    async with call.deps.app_db.view(call.who) as conn:
        if named is None:
            number, against = await policies.live(conn, call.who.tenant_id)
        else:
            number = _number(named) or 0
            against = (await policies.one(conn, call.who.tenant_id, number))["policy"]
    items = differences(against, call.seen["policy"])
    return {"version": call.seen["version"], "against": number, "items": items, "next": None}


async def mode(call: Call) -> dict[str, Any]:
    """Try a version in the shadow or on days by lot, make it live, or set it back to a draft."""
    who, said = call.who, call.body

    async def work(conn: Connection) -> dict[str, Any]:
        to = Mode(said.mode)
        return await policies.set_mode(conn, who.tenant_id, call.seen["version"], to, said.was, who.user_id)

    return await once(call, work)


async def rollback(call: Call) -> dict[str, Any]:
    """Make a version live again that was live before."""
    who = call.who
    return await once(call, lambda conn: policies.rollback(conn, who.tenant_id, call.seen["version"], who.user_id))


async def comparison(call: Call) -> dict[str, Any]:
    """Compare a version with the live one: decisions in the shadow, and outcomes on its days."""
    limit, after = call.page()
    study_uid, _, step = (after or "/-1").partition("/")
    number = -1 if after is None else _number(step)
    if number is None:
        raise BadPayload("after: expected the next of the page before.", {"field": "after"})
    async with call.deps.app_db.view(call.who) as conn:
        sums, found = await policies.comparison(
            conn, call.who.tenant_id, call.seen["version"], (study_uid, number), limit + 1
        )
    last = found[limit - 1] if len(found) > limit else None
    return {**sums, "items": found[:limit], "next": f"{last['study_uid']}/{last['step']}" if last else None}


_ALL, _ONE = "/api/policy/versions", "/api/policy/versions/{version}"
_READ, _WRITE, _PAGE = "policy_read", "policy_write", ("limit", "after")
ROUTES = (
    Route("GET", "/api/policy", read, schema.Policy, _READ),
    Route("PUT", "/api/policy", write, schema.Policy, _WRITE, body=schema.Policy),
    Route("GET", _ALL, page, bodies.PolicyVersions, _READ, query=_PAGE),
    Route("POST", _ALL, draft, bodies.PolicyVersion, _WRITE, body=bodies.PolicyDraft, status=201),
    Route("GET", _ONE, one, bodies.PolicyVersion, _READ, seen),
    Route("GET", f"{_ONE}/diff", diff, bodies.PolicyDiff, _READ, seen, query=("against",)),
    Route("PUT", f"{_ONE}/mode", mode, bodies.PolicyVersion, _WRITE, seen, bodies.PolicyMode),
    Route("POST", f"{_ONE}/rollback", rollback, bodies.PolicyVersion, _WRITE, seen),
    Route("GET", f"{_ONE}/comparison", comparison, bodies.PolicyComparison, _WRITE, seen, query=_PAGE),
)
