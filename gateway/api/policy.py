"""``/api/policy``: how long offers stay open, when clocks warn and breach, how much one may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.policy import policy
from gateway import schema
from gateway.api.route import Route
from storage import access, policies

if TYPE_CHECKING:
    from gateway.api.route import Call


async def read(call: Call) -> dict[str, Any]:
    """Read the policy for later studies and offers."""
    async with call.deps.app_db.view(call.who) as conn:
        return await policies.read(conn, call.who.tenant_id)


async def write(call: Call) -> dict[str, Any]:
    """Set the policy; what is absent takes its default, what runs already keeps its own."""
    who = call.who
    body = policy(msgspec.to_builtins(call.body)).body()
    async with call.deps.app_db.view(who) as conn:
        version = await policies.write(conn, who.tenant_id, body, who.user_id)
        await access.record(conn, who.tenant_id, who.user_id, "policy_set", str(version))
    await call.deps.sessions.tell(f"tenant:{who.tenant_id}")
    return body


ROUTES = (
    Route("GET", "/api/policy", read, schema.Policy, "policy_read"),
    Route("PUT", "/api/policy", write, schema.Policy, "policy_write", body=schema.Policy),
)
