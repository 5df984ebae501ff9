"""The head of a tenant's feed, and who decides for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from storage.pool import Connection

BUMP = """
INSERT INTO rr.tenant_head AS h (tenant_id, decider) VALUES ($1, 1)
ON CONFLICT (tenant_id) DO UPDATE SET decider = h.decider + 1
RETURNING decider
"""
POSITION = "SELECT pos FROM rr.tenant_head WHERE tenant_id = $1"
COUNTERS = "SELECT stream, counters FROM rr.stream_head WHERE tenant_id = $1 AND counters IS NOT NULL ORDER BY stream"
TENANTS = "SELECT tenant_id, time_zone FROM rr.tenant ORDER BY tenant_id"


async def bump(conn: Connection, tenant_id: str) -> int:
    """Depose whoever decides for the tenant and return the new epoch."""
    epoch: int = await conn.fetchval(BUMP, tenant_id)
    return epoch


async def position(conn: Connection, tenant_id: str) -> int:
    """Return the position of the tenant's feed."""
    return await conn.fetchval(POSITION, tenant_id) or 0


async def counters(conn: Connection, tenant_id: str) -> dict[str, dict[str, int]]:
    """Return the counters of every stream that has some."""
    return {r["stream"]: msgspec.json.decode(r["counters"]) for r in await conn.fetch(COUNTERS, tenant_id)}


async def tenants(conn: Connection) -> dict[str, str]:
    """Return every tenant with its time zone (role rr_timer)."""
    return {r["tenant_id"]: r["time_zone"] for r in await conn.fetch(TENANTS)}
