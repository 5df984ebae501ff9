"""The feed, as gateways read it (role rr_app): by position for everyone, by sequence number for who comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.instant import instant

if TYPE_CHECKING:
    from storage.pool import Connection

POSITION = "SELECT pos FROM rr.tenant_head WHERE tenant_id = $1"
AFTER = """
SELECT pos, stream, seq, id, type, data, at FROM rr.feed
 WHERE tenant_id = $1 AND pos > $2 ORDER BY pos LIMIT 500
"""
SINCE = """
SELECT pos, stream, seq, id, type, data, at FROM rr.feed
 WHERE tenant_id = $1 AND stream = $2 AND seq > $3 ORDER BY seq LIMIT $4
"""
HEAD = """
SELECT h.epoch, coalesce(s.seq, 0) AS seq
  FROM rr.tenant_head h
  LEFT JOIN rr.stream_head s ON s.tenant_id = h.tenant_id AND s.stream = $2
 WHERE h.tenant_id = $1
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one stream; ``ev`` is what goes over the wire."""

    pos: int
    stream: str
    seq: int
    ev: dict[str, Any]


def _event(row: Any) -> Event:
    ev = {
        "s": row["stream"],
        "seq": row["seq"],
        "id": str(row["id"]),
        "type": row["type"],
        "v": 1,
        "ts": instant(row["at"]),
        "data": msgspec.json.decode(row["data"]),
    }
    return Event(row["pos"], row["stream"], row["seq"], ev)


async def position(conn: Connection, tenant_id: str) -> int:
    """Return the position of the tenant's newest event."""
    return await conn.fetchval(POSITION, tenant_id) or 0


async def after(conn: Connection, tenant_id: str, pos: int) -> list[Event]:
    """Return at most 500 events of the tenant after a position."""
    return [_event(r) for r in await conn.fetch(AFTER, tenant_id, pos)]


async def since(conn: Connection, tenant_id: str, stream: str, seq: int, limit: int) -> list[Event]:
    """Return at most ``limit`` events of a stream after a sequence number."""
    return [_event(r) for r in await conn.fetch(SINCE, tenant_id, stream, seq, limit)]


async def head(conn: Connection, tenant_id: str, stream: str) -> tuple[str, int]:
    """Return the feed's epoch and the newest sequence number of a stream."""
    row = await conn.fetchrow(HEAD, tenant_id, stream)
    return ("", 0) if row is None else (row["epoch"], row["seq"])
