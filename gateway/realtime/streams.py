"""Which streams a session may follow, and how a stream starts: a snapshot, or what came since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.domain.errors import Forbidden, NotFound
from actors.domain.permissions import check
from gateway.wire import MAX_BEHIND
from storage import feed, studies_read, worklist

if TYPE_CHECKING:
    from gateway.auth import Session
    from storage.feed import Event
    from storage.pool import Connection, Database


@dataclass(frozen=True, slots=True)
class Start:
    """How a stream starts for a socket; ``epoch`` is the feed's."""

    mode: str  # resume | snapshot
    head: int
    epoch: str
    data: dict[str, Any] | None
    events: list[Event]


async def _allowed(conn: Connection, session: Session, stream: str) -> None:
    """Refuse kinds the role never has, then what is outside the view.

    Raises:
        Forbidden, NotFound
    """
    who = session.who
    kind, _, name = stream.partition(":")
    if session.wall or kind == "wall":
        if not (session.wall and kind == "wall"):
            raise Forbidden
        if name != who.tenant_id:
            raise NotFound
        return
    match kind:
        case "user":
            found = name == who.user_id
        case "tenant":
            check(who, "stream_tenant")
            found = name == who.tenant_id
        case "site":
            check(who, "stream_site")
            found = name in who.sites
        case "study":
            check(who, "stream_study")
            found = await studies_read.seen(conn, who, name) is not None
        case _:
            found = False
    if not found:
        raise NotFound


async def _snapshot(conn: Connection, session: Session, stream: str) -> dict[str, Any]:
    tenant_id = session.who.tenant_id
    kind, _, name = stream.partition(":")
    made: dict[str, Any] | None
    match kind:
        case "tenant":
            made = await worklist.tenant_snapshot(conn, tenant_id)
        case "site":
            made = await worklist.site_snapshot(conn, tenant_id, name)
        case "user":
            made = await worklist.user_snapshot(conn, tenant_id, name)
        case "study":
            made = await worklist.study_snapshot(conn, tenant_id, name)
        case _:
            made = await worklist.wall_snapshot(conn, tenant_id)
    if made is None:
        raise NotFound
    return made


async def start(db: Database, session: Session, stream: str, offset: int | None, epoch: str | None) -> Start:
    """Return how the stream starts, read at one instant.

    Raises:
        ReadingRoomError: it may not be followed.
    """
    wide = "*" if session.wall else None
    async with db.view(session.who, snapshot=True) as conn:
        await _allowed(conn, session, stream)
        if wide:
            await conn.execute("SELECT set_config('rr.sites', '*', true)")
        now, head = await feed.head(conn, session.who.tenant_id, stream)
        if offset is not None and epoch == now and 0 <= head - offset <= MAX_BEHIND:
            events = await feed.since(conn, session.who.tenant_id, stream, offset, MAX_BEHIND)
            if len(events) == head - offset:  # all of it is still kept
                return Start("resume", head, now, None, events)
        made = await _snapshot(conn, session, stream)
        return Start("snapshot", made["as_of_seq"], now, made["data"], [])
