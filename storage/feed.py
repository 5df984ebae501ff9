"""The feed: what happened in a tenant, by position; what happened in a stream, by ``seq``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from storage.pool import Connection

PAGE, REPLAY = 500, 1_000

AFTER = """
SELECT pos, stream, seq, id, type, data, at FROM rr.feed
 WHERE tenant_id = $1 AND pos > $2 ORDER BY pos LIMIT $3
"""
REPLAYED = """
SELECT pos, stream, seq, id, type, data, at FROM rr.feed
 WHERE tenant_id = $1 AND stream = $2 AND seq > $3 ORDER BY seq LIMIT $4
"""
HEADS = "SELECT tenant_id, pos, epoch FROM rr.tenant_head WHERE tenant_id = ANY($1)"

# The oldest event still kept of each stream; none when it is empty or all of it was dropped.
STREAMS = """
SELECT s.stream, coalesce(h.seq, 0) AS seq,
       (SELECT f.seq FROM rr.feed f WHERE f.tenant_id = $1 AND f.stream = s.stream ORDER BY f.seq LIMIT 1) AS oldest
  FROM unnest($2::text[]) AS s(stream)
  LEFT JOIN rr.stream_head h ON h.tenant_id = $1 AND h.stream = s.stream
"""
MEMBER = "SELECT 1 FROM rr.membership WHERE tenant_id = $1 AND user_id = $2 AND active"
PRESENT = "SELECT tenant_id, user_id FROM rr.reader WHERE tenant_id = ANY($1) AND state <> 'off'"
OWNERS = "SELECT study_uid, reader FROM rr.study WHERE tenant_id = $1 AND open AND reader IS NOT NULL"
TENANTS = "SELECT tenant_id FROM rr.tenant ORDER BY tenant_id"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the feed; ``data`` is JSON text as it goes out."""

    pos: int
    stream: str
    seq: int
    id: str
    type: str
    data: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Head:
    """Where a tenant's feed stands; ``epoch`` is "" before its first event."""

    pos: int = 0
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """What is kept of a stream: ``head`` is the newest ``seq``, ``oldest`` None when nothing is."""

    head: int
    oldest: int | None


def _events(rows: Sequence[object]) -> list[Event]:
    return [Event(r[0], r[1], r[2], str(r[3]), r[4], r[5], r[6]) for r in rows]  # type: ignore[index]


class _RowChange(msgspec.Struct):
    study_uid: str = ""
    row: msgspec.Raw = msgspec.Raw()


_ROW_CHANGE = msgspec.json.Decoder(_RowChange)


def row_change(event: Event) -> tuple[str, bool] | None:
    """Return (study, whether its row stays in the stream's view), None when the row did not change."""
    change = _ROW_CHANGE.decode(event.data)
    return (change.study_uid, bytes(change.row) != b"null") if bytes(change.row) else None


async def after(conn: Connection, tenant_id: str, pos: int) -> list[Event]:
    """Return the events after ``pos`` in the order of their commits, at most :data:`PAGE`."""
    return _events(await conn.fetch(AFTER, tenant_id, pos, PAGE))


async def replay(conn: Connection, tenant_id: str, stream: str, seq: int) -> list[Event]:
    """Return a stream's events after ``seq``, at most :data:`REPLAY`."""
    return _events(await conn.fetch(REPLAYED, tenant_id, stream, seq, REPLAY))


async def heads(conn: Connection, tenants: Iterable[str]) -> dict[str, Head]:
    """Return where each tenant's feed stands; a tenant in which nothing happened is left out."""
    rows = await conn.fetch(HEADS, list(tenants))
    return {r["tenant_id"]: Head(r["pos"], r["epoch"]) for r in rows}


async def extents(conn: Connection, tenant_id: str, streams: Iterable[str]) -> dict[str, Extent]:
    """Return what is kept of each stream."""
    rows = await conn.fetch(STREAMS, tenant_id, list(streams))
    return {r["stream"]: Extent(r["seq"], r["oldest"]) for r in rows}


async def member(conn: Connection, tenant_id: str, user_id: str) -> bool:
    """Return whether the person belongs to the tenant."""
    return await conn.fetchval(MEMBER, tenant_id, user_id) is not None


async def present(conn: Connection, tenants: Iterable[str]) -> list[tuple[str, str]]:
    """Return (tenant, user) of every reader who is not off."""
    return [(r["tenant_id"], r["user_id"]) for r in await conn.fetch(PRESENT, list(tenants))]


async def owners(conn: Connection, tenant_id: str) -> dict[str, str]:
    """Return who was offered or has each open study."""
    return {r["study_uid"]: r["reader"] for r in await conn.fetch(OWNERS, tenant_id)}


async def tenants(conn: Connection) -> list[str]:
    """Return every tenant (role rr_login)."""
    return [r["tenant_id"] for r in await conn.fetch(TENANTS)]
