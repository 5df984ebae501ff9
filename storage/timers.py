"""Durable timers: what comes due on a host's shards."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from sys import intern
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from storage.placement import spread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.domain.placement import Slot
    from storage.pool import Connection

DUE = """
SELECT tenant_id, entity, name, version, due_at
  FROM rr.timer
 WHERE shard = ANY($1::integer[]) AND tenant_id <> ALL($2::text[]) AND due_at < $5
UNION ALL
SELECT t.tenant_id, t.entity, t.name, t.version, t.due_at
  FROM rr.timer t
  JOIN unnest($3::text[], $4::integer[]) AS x(tenant_id, shard) ON t.tenant_id = x.tenant_id AND t.shard = x.shard
 WHERE t.due_at < $5
 ORDER BY due_at
"""
DROP = "DELETE FROM rr.timer WHERE tenant_id = $1 AND entity = $2 AND name = $3 AND version = $4 AND due_at = $5"


class Timer(msgspec.Struct, frozen=True, order=True, gc=False):
    """A timer as it is stored."""

    tenant_id: str
    entity: str
    name: str
    version: int
    due_at: datetime


async def due(conn: Connection, slots: Iterable[Slot], apart: Iterable[str], before: datetime) -> list[Timer]:
    """Return the timers of these slots that come due before an instant, soonest first (role rr_timer)."""
    rows = await conn.fetch(DUE, *spread(slots, apart), before)
    return [Timer(intern(tenant_id), entity, intern(name), *rest) for tenant_id, entity, name, *rest in rows]


async def drop(conn: Connection, timer: Timer) -> None:
    """Delete a timer that found nothing to do, unless it was armed anew."""
    await conn.execute(DROP, *structs.astuple(timer))
