"""Writes that no entity owns: one transaction, done once for an ``Idempotency-Key``, answered alike when repeated."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload
from storage import answers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.api.route import Call
    from storage.pool import Connection


async def once(call: Call, work: Callable[[Connection], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Do the work in the view of the session, and keep its answer; the same key again is answered, not repeated.

    Deciders hear that something of their tenant has changed.

    Raises:
        BadPayload: the key came with another request before.
        ReadingRoomError: the work's refusal; nothing happened.
    """
    idem, who = call.idem(), call.who
    said = b"\n".join([call.request.method.encode(), call.request.path_qs.encode(), await call.request.read()])
    digest = sha256(said).digest()
    async with call.deps.app_db.view(who) as conn:
        await answers.hold(conn, who.tenant_id, who.user_id, idem)
        known = await answers.find(conn, who.tenant_id, who.user_id, idem)
        if known is None:
            known = (digest, await work(conn))
            await answers.keep(conn, who.tenant_id, who.user_id, idem, *known)
    if known[0] != digest:
        message = "This Idempotency-Key came with another request: send a new one."
        raise BadPayload(message, {"field": "Idempotency-Key"})
    await call.deps.sessions.tell(who.tenant_id, "roster")
    return known[1]
