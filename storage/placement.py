"""Which shard host holds which shards, in which generation, and which hosts there are (role rr_timer).

All changes but a host's own heartbeat are made under one advisory lock, so none deadlocks with another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.domain.placement import Held, Host, Placement
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from actors.domain.placement import Slot
    from storage.pool import Connection

LOST_S = 7.0  # a host that was not heard of for so long has lost its shards

REGISTER = """
INSERT INTO rr.shard_host AS h (host, tenant_id, node, pid) VALUES ($1, $2, $3, $4)
ON CONFLICT (host) DO UPDATE SET epoch = h.epoch + 1, tenant_id = $2, node = $3, pid = $4,
  started_at = now(), seen_at = now()
RETURNING epoch
"""
BEAT = "UPDATE rr.shard_host SET seen_at = now() WHERE host = $1 AND epoch = $2 RETURNING true"
LEAVE = "UPDATE rr.shard_host SET seen_at = '-infinity' WHERE host = $1 AND epoch = $2"
READ = "SELECT tenant_id, shard, host, generation, wanted, pinned FROM rr.placement"
LEAD = "SELECT pg_try_advisory_xact_lock(hashtext('rr.placement'))"
ALONE = "SELECT pg_advisory_xact_lock(hashtext('rr.placement'))"
HOSTS = """
SELECT host, tenant_id, node, pid, epoch, leaving OR surplus AS leaving, started_at,
       seen_at > now() - make_interval(secs => $1) AS alive
  FROM rr.shard_host ORDER BY host
"""
SERVING = """
SELECT host FROM rr.shard_host
 WHERE tenant_id = '' AND seen_at > now() - make_interval(secs => $1) ORDER BY host COLLATE "C"
"""
DEDICATIONS = "SELECT tenant_id, hosts FROM rr.dedication ORDER BY tenant_id"
FILL = """
INSERT INTO rr.placement (tenant_id, shard, host)
SELECT '', s, '' FROM generate_series(0, $1::integer - 1) AS s WHERE NOT EXISTS (SELECT 1 FROM rr.placement)
"""
SET_APART = """
INSERT INTO rr.placement (tenant_id, shard, host)
SELECT d.tenant_id, p.shard, p.host FROM rr.dedication d CROSS JOIN rr.placement p
 WHERE p.tenant_id = '' AND NOT EXISTS (SELECT 1 FROM rr.placement x WHERE x.tenant_id = d.tenant_id)
"""
JOIN_AGAIN = """
DELETE FROM rr.placement p
 WHERE p.tenant_id <> '' AND NOT EXISTS (SELECT 1 FROM rr.dedication d WHERE d.tenant_id = p.tenant_id)
   AND NOT EXISTS (SELECT 1 FROM rr.placement x JOIN rr.placement c ON c.tenant_id = '' AND c.shard = x.shard
     WHERE x.tenant_id = p.tenant_id AND (x.host <> c.host OR x.wanted IS NOT NULL OR c.wanted IS NOT NULL))
"""
LAID = "SELECT count(*) FROM rr.placement WHERE tenant_id = ''"
WANT = """
UPDATE rr.placement p SET wanted = nullif(x.host, p.host)
  FROM unnest($1::text[], $2::integer[], $3::text[]) AS x(tenant_id, shard, host)
 WHERE p.tenant_id = x.tenant_id AND p.shard = x.shard
"""
SEIZE = """
UPDATE rr.placement p SET host = x.host, wanted = NULL, pinned = false, generation = p.generation + 1, moved_at = now()
  FROM unnest($1::text[], $2::integer[], $3::text[]) AS x(tenant_id, shard, host)
 WHERE p.tenant_id = x.tenant_id AND p.shard = x.shard
"""
HAND_OVER = """
UPDATE rr.placement p SET host = p.wanted, wanted = NULL, generation = p.generation + 1, moved_at = now()
  FROM unnest($2::text[], $3::integer[]) AS x(tenant_id, shard)
 WHERE p.tenant_id = x.tenant_id AND p.shard = x.shard AND p.host = $1 AND p.wanted IS NOT NULL
"""
REMOVE = "DELETE FROM rr.shard_host h WHERE host = ANY($1) AND NOT EXISTS (SELECT 1 FROM rr.placement p WHERE p.host = h.host)"
SURPLUS = "UPDATE rr.shard_host SET surplus = host <> ALL($1::text[]) WHERE surplus <> (host <> ALL($1::text[]))"
IDLE = """
SELECT host FROM rr.shard_host h
 WHERE surplus AND NOT EXISTS (SELECT 1 FROM rr.placement p WHERE h.host IN (p.host, p.wanted)) ORDER BY host
"""


class Registered(NamedTuple):
    """A line of the registry of hosts."""

    host: str
    tenant_id: str
    node: str
    pid: int
    epoch: int
    leaving: bool
    started_at: datetime
    alive: bool


async def register(conn: Connection, host: str, tenant_id: str, node: str, pid: int) -> int:
    """Begin as this host and return the epoch: an older copy of the same name has retired with that."""
    epoch: int = await conn.fetchval(REGISTER, host, tenant_id, node, pid)
    return epoch


async def beat(conn: Connection, host: str, epoch: int) -> bool:
    """Say that the host lives; return whether it is still the one of its name."""
    return bool(await conn.fetchval(BEAT, host, epoch))


async def leave(conn: Connection, host: str, epoch: int) -> None:
    """Say that the host has ended: others need not wait to find it lost."""
    await conn.execute(LEAVE, host, epoch)


async def read(conn: Connection) -> Placement:
    """Return the placement (any of rr_timer, rr_app, rr_infer, rr_admin)."""
    rows = await conn.fetch(READ)
    return Placement({(r["tenant_id"], r["shard"]): Held(*tuple(r)[2:]) for r in rows})


async def hosts(conn: Connection) -> list[Registered]:
    """Return every host that ever registered and was not removed."""
    return [Registered(*row) for row in await conn.fetch(HOSTS, LOST_S)]


async def serving(conn: Connection) -> list[str]:
    """Return the hosts that serve everybody and live."""
    return [r["host"] for r in await conn.fetch(SERVING, LOST_S)]


async def dedications(conn: Connection) -> dict[str, int]:
    """Return how many hosts of its own a tenant is to have."""
    return {r["tenant_id"]: r["hosts"] for r in await conn.fetch(DEDICATIONS)}


async def lead(conn: Connection) -> bool:
    """Return whether this transaction is the one to even things out now."""
    return bool(await conn.fetchval(LEAD))


async def lay(conn: Connection, shards: int) -> None:
    """Make the slots that should be there: everybody's at the first start, a tenant's with its dedication."""
    await conn.execute(FILL, shards)
    await conn.execute(SET_APART)
    await conn.execute(JOIN_AGAIN)


async def laid(dsn: str) -> int:
    """Return how many shards an instance was made with, 0 before its first host began."""
    db = await Database(dsn, max_size=1).open()
    try:
        async with db.scope() as conn:
            return int(await conn.fetchval(LAID))
    finally:
        await db.close()


async def want(conn: Connection, goals: Mapping[Slot, str]) -> None:
    """Ask the holders of these slots to hand them over; to where they are means to keep them."""
    await conn.execute(WANT, *_columns(goals), list(goals.values()))


async def seize(conn: Connection, goals: Mapping[Slot, str]) -> None:
    """Give slots that nobody holds, or whose holder is lost, to others."""
    await conn.execute(SEIZE, *_columns(goals), list(goals.values()))


async def hand_over(conn: Connection, host: str, slots: Collection[Slot]) -> None:
    """Give slots to whom they are wanted by; what was taken away meanwhile stays so."""
    await conn.execute(ALONE)
    await conn.execute(HAND_OVER, host, *_columns(slots))


async def staff(conn: Connection, wanted: Collection[str]) -> list[str]:
    """Let the hosts that are no longer wanted hand over what they hold; return those that hold nothing any more."""
    await conn.execute(ALONE)
    await conn.execute(SURPLUS, list(wanted))
    return [r["host"] for r in await conn.fetch(IDLE)]


async def remove(conn: Connection, names: Collection[str]) -> None:
    """Forget hosts that hold nothing."""
    await conn.execute(REMOVE, list(names))


def registry(lines: Collection[Registered]) -> list[Host]:
    """Return the hosts as a plan sees them."""
    return [Host(line.host, line.tenant_id, line.alive, line.leaving) for line in lines]


def spread(slots: Iterable[Slot], apart: Iterable[str]) -> tuple[list[int], list[str], list[str], list[int]]:
    """Return arguments that find the rows of slots: everybody's shards, but for whom; tenants and their shards."""
    slots = list(slots)
    own = [slot for slot in slots if slot[0]]
    return [shard for tenant_id, shard in slots if not tenant_id], list(apart), *_columns(own)


def _columns(slots: Collection[Slot]) -> tuple[list[str], list[int]]:
    return [tenant_id for tenant_id, _ in slots], [shard for _, shard in slots]
