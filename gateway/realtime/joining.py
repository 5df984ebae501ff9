"""How a socket begins to follow streams: may it, snapshot or resume, and then without a gap.

A stream's events are held back for the socket before its snapshot or its replay is read; when that
is written, what was held and is newer follows, and from then on events go out as they come. Every
event is thus in the snapshot, in the replay, or held: the feed has it in one of them.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from actors.domain.errors import Forbidden, NotFound, ReadingRoomError
from actors.domain.identity import Principal
from actors.domain.permissions import check
from actors.domain.words import Role
from gateway.realtime.frames import Frame, event_frame, frame
from gateway.wire import MAX_BEHIND, StreamState
from storage import access, feed, second_reads, studies_read, worklist
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.auth import Session
    from gateway.realtime.connection import Connection, Following
    from gateway.realtime.hub import Hub
    from storage.pool import Connection as Transaction
    from storage.pool import Database

log = structlog.get_logger()

_SHARED = ("tenant", "site", "wall")  # the same for everyone who may follow it
_SHARED_S = 1.0
_OPENED = "study_opened"
_READ_S = 20.0
_NOT_READ: tuple[type[BaseException], ...] = (ReadingRoomError, *AWAY)


def _reader(session: Session) -> Principal:
    """Return whose view the transaction has: a wall shows every site, and its rows no patient."""
    if session.wall:
        return Principal("", session.who.tenant_id, Role.MANAGER)
    return session.who


async def _check(conn: Transaction, session: Session, stream: str) -> None:
    """Refuse kinds of stream that the role never has, then what is outside the view.

    Raises:
        Forbidden, NotFound: ...
    """
    who = session.who
    kind, _, name = stream.partition(":")
    if session.wall or kind == "wall":
        if not (session.wall and kind == "wall"):
            raise Forbidden
        found = name == who.tenant_id
    elif kind == "user":
        found = name == who.user_id
    else:
        check(who, f"stream_{kind}")
        found = name in {"tenant": {who.tenant_id}, "site": who.sites}.get(kind, ())
        if kind == "study":
            found = await studies_read.seen(conn, who, name) is not None
    if not found:
        raise NotFound


async def _read(conn: Transaction, tenant_id: str, stream: str) -> dict[str, Any]:
    kind, _, name = stream.partition(":")
    match kind:
        case "tenant":
            return await worklist.tenant_snapshot(conn, tenant_id)
        case "site":
            return await worklist.site_snapshot(conn, tenant_id, name)
        case "user":
            return await worklist.user_snapshot(conn, tenant_id, name)
        case "wall":
            return await worklist.wall_snapshot(conn, tenant_id)
    found = await worklist.study_snapshot(conn, tenant_id, name)
    if found is None:
        raise NotFound
    return found


class Joining:
    """Admits sockets to streams and brings them up to date."""

    def __init__(self, db: Database, hub: Hub) -> None:
        self._db, self._hub = db, hub
        self._shared: dict[tuple[str, str], tuple[float, asyncio.Task[tuple[int, Frame]]]] = {}

    async def plan(
        self, session: Session, wanted: Mapping[str, int | None], *, same_epoch: bool
    ) -> tuple[dict[str, StreamState], dict[str, str]]:
        """Return how each stream begins, and which are refused with what code."""
        states: dict[str, StreamState] = {}
        refused: dict[str, str] = {}
        blind: set[str] = set()
        async with asyncio.timeout(_READ_S), self._db.view(_reader(session)) as conn:
            for stream in wanted:
                try:
                    await _check(conn, session, stream)
                    if stream.startswith("study:") and await second_reads.hidden(conn, session.who, stream[6:]):
                        blind.add(stream)  # what was said of the first reading is not said again
                    if stream.startswith("study:") and wanted[stream] is None:
                        await access.record(conn, session.who.tenant_id, session.who.user_id, _OPENED, stream[6:])
                except ReadingRoomError as exc:
                    refused[stream] = exc.code
            kept = await feed.extents(conn, session.who.tenant_id, [s for s in wanted if s not in refused])
        for stream, extent in kept.items():
            offset = wanted[stream]
            behind = extent.head - offset if offset is not None else -1
            whole = behind == 0 or (extent.oldest is not None and offset is not None and offset >= extent.oldest - 1)
            resume = same_epoch and whole and 0 <= behind <= MAX_BEHIND
            resume = resume and stream not in blind
            states[stream] = StreamState(mode="resume" if resume else "snapshot", head=extent.head)
        return states, refused

    def hold(
        self, connection: Connection, wanted: Mapping[str, int | None], states: Mapping[str, StreamState]
    ) -> list[tuple[Following, bool]]:
        """Join the rooms, holding events back; return what :meth:`catch_up` takes."""
        held = []
        for stream, state in states.items():
            resume = state.mode == "resume"
            held.append((self._hub.join(connection, stream, wanted[stream] or 0 if resume else 0), resume))
        return held

    async def catch_up(self, connection: Connection, held: Iterable[tuple[Following, bool]]) -> None:
        """Write each stream's snapshot or replay, then let its events go; a failure ends the connection."""
        async with connection.joining:
            for following, resume in held:
                if following.dropped:
                    continue
                try:
                    ready = await self._bring(connection, following, resume=resume)
                except _NOT_READ as exc:
                    log.warning("stream_not_begun", tenant_id=connection.tenant_id, cause=type(exc).__name__)
                    ready = False
                if not ready:
                    connection.outlet.cut()  # it comes back with its offsets
                    return
                following.release()
                connection.sent_whole()

    async def _bring(self, connection: Connection, following: Following, *, resume: bool) -> bool:
        if resume and not await self._replay(connection, following):
            return False
        if not resume:
            as_of_seq, message = await self._snapshot(connection.session, following.stream)
            if following.dropped:
                return True
            connection.outlet.send(message, whole=True)
            following.sent = as_of_seq
            if not await connection.outlet.drained():
                return False
            return await self._replay(connection, following)
        return True

    async def _replay(self, connection: Connection, following: Following) -> bool:
        """Send what the feed holds after ``following.sent``; False when the client does not read."""
        while True:
            async with asyncio.timeout(_READ_S), self._db.view(_reader(connection.session)) as conn:
                events = await feed.replay(conn, connection.tenant_id, following.stream, following.sent)
            if following.dropped:
                return True
            for event in events:
                connection.outlet.send(event_frame(event), whole=True)
                following.sent = event.seq
            if not await connection.outlet.drained():
                return False
            if len(events) < feed.REPLAY:
                return True

    async def _snapshot(self, session: Session, stream: str) -> tuple[int, Frame]:
        """Return a stream's state; those that many follow are read once a second at most."""
        if stream.partition(":")[0] not in _SHARED:
            return await self._fresh(session, stream)
        now = monotonic()
        self._shared = {key: made for key, made in self._shared.items() if made[0] > now}
        key = (session.who.tenant_id, stream)
        if key not in self._shared:
            self._shared[key] = (now + _SHARED_S, asyncio.create_task(self._fresh(session, stream)))
        task = self._shared[key][1]
        try:
            return await asyncio.shield(task)
        except BaseException:
            self._shared.pop(key, None)
            raise

    async def _fresh(self, session: Session, stream: str) -> tuple[int, Frame]:
        async with asyncio.timeout(_READ_S), self._db.view(_reader(session), snapshot=True) as conn:
            made = await _read(conn, session.who.tenant_id, stream)
        payload = {"s": stream, "as_of_seq": made["as_of_seq"], "data": made["data"]}
        return made["as_of_seq"], frame("snapshot", payload)
