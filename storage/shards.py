"""What an operator does with shards and their hosts (role rr_admin): move, empty, keep some for a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.errors import BadPayload, NotFound
from storage import access, placement
from storage.admin import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Collection

    from storage.pool import Connection

MOVE = """
UPDATE rr.placement SET wanted = nullif($1, host), pinned = true
 WHERE tenant_id = $2 AND shard = ANY($3::integer[])
RETURNING shard
"""
LOOSEN = "UPDATE rr.placement SET pinned = false WHERE pinned"
EMPTY = "UPDATE rr.shard_host SET leaving = $2 WHERE host = $1 RETURNING host"
DEDICATE = """
INSERT INTO rr.dedication (tenant_id, hosts) VALUES ($1, $2) ON CONFLICT (tenant_id) DO UPDATE SET hosts = excluded.hosts
"""
SHARE = "DELETE FROM rr.dedication WHERE tenant_id = $1"


async def move(conn: Connection, host: str, numbers: Collection[int], tenant_id: str = "") -> None:
    """Have shards handed over to a host, and keep them there; ``tenant_id`` names one that has hosts of its own.

    Raises:
        NotFound: no such shard.
        BadPayload: the host does not serve, or serves another tenant.
    """
    known = {h.host: h for h in await placement.hosts(conn)}
    there = known.get(host)
    if there is None or not there.alive or there.leaving:
        able = ", ".join(h.host for h in known.values() if h.alive and not h.leaving) or "none"
        raise BadPayload(f"Host {host!r} takes no shards. Hosts that do: {able}.", {"field": "to"})
    if there.tenant_id not in {"", tenant_id}:
        raise BadPayload(f"Host {host!r} serves {there.tenant_id} only.", {"field": "to"})
    await conn.execute(placement.ALONE)
    moved = {row["shard"] for row in await conn.fetch(MOVE, host, tenant_id, list(numbers))}
    if missing := sorted(set(numbers) - moved):
        whose = f"Tenant {tenant_id} has no shards of its own" if tenant_id else "There are no shards"
        raise NotFound(f"{whose} with the numbers {', '.join(map(str, missing))}.")
    await access.record(conn, tenant_id or PLATFORM, None, "shards_moved", host)


async def loosen(conn: Connection) -> None:
    """Let shards that were moved by hand be evened out with the others again."""
    await conn.execute(placement.ALONE)
    await conn.execute(LOOSEN)


async def empty(conn: Connection, host: str, *, leaving: bool) -> None:
    """Have a host hand over all it holds and take nothing, or take its share again.

    Raises:
        NotFound: no such host.
    """
    if await conn.fetchval(EMPTY, host, leaving) is None:
        raise NotFound(f"There is no host {host!r}.")
    await access.record(conn, PLATFORM, None, "host_drained" if leaving else "host_resumed", host)


async def dedicate(conn: Connection, tenant_id: str, hosts: int) -> None:
    """Give a tenant so many hosts of its own; 0 lets it live on the common ones again."""
    await conn.execute(SHARE, tenant_id) if hosts == 0 else await conn.execute(DEDICATE, tenant_id, hosts)
    await access.record(conn, tenant_id, None, "hosts_dedicated", str(hosts))
