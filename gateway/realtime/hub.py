"""Who follows what here: sockets by tenant and stream. Equal names of two tenants never meet."""

from __future__ import annotations

from collections import defaultdict
from time import monotonic
from typing import TYPE_CHECKING, Any

from actors import tracing
from gateway.realtime.connection import Connection, Following
from gateway.realtime.frames import event_frame, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.feed import Event


class Hub:
    """The rooms of this gateway: ``(tenant, stream)`` to its followers."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self._rooms: dict[tuple[str, str], set[Following]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self.connections)

    def add(self, connection: Connection) -> None:
        """A socket was admitted."""
        self.connections[connection.sid] = connection

    def remove(self, sid: str) -> Connection | None:
        """A socket has gone."""
        connection = self.connections.pop(sid, None)
        if connection is not None:
            for stream in list(connection.following):
                self.leave(connection, stream)
        return connection

    def join(self, connection: Connection, stream: str, acked: int) -> Following:
        """Follow a stream from now on; events are held until the caller releases them."""
        self.leave(connection, stream)
        following = Following(connection, stream, sent=acked, acked=acked)
        connection.following[stream] = following
        self._rooms[connection.tenant_id, stream].add(following)
        return following

    def leave(self, connection: Connection, stream: str) -> None:
        """Follow a stream no more."""
        following = connection.following.pop(stream, None)
        if following is None:
            return
        key = (connection.tenant_id, stream)
        self._rooms[key].discard(following)
        if not self._rooms[key]:
            del self._rooms[key]
        connection.unfollowed()

    def emit(self, tenant_id: str, event: Event) -> int:
        """Send an event of the feed to the followers of its stream; return to how many."""
        room = self._rooms.get((tenant_id, event.stream))
        if not room:
            return 0
        with tracing.span("emit", tracing.of_event(event.id), type=event.type, stream=event.stream):
            message, now = event_frame(event), monotonic()
            for following in tuple(room):
                following.take(event.seq, message, now)
        return len(room)

    def tell(self, tenant_id: str, streams: tuple[str, ...], name: str, payload: Any) -> None:
        """Send an unsequenced message, once, to every socket that follows one of the streams."""
        message = frame(name, payload)
        rooms = (self._rooms.get((tenant_id, stream), set()) for stream in streams)
        for connection in {following.connection for room in rooms for following in room}:
            connection.send(message)

    def tenants(self) -> set[str]:
        """Return the tenants that have sockets here."""
        return {connection.tenant_id for connection in self.connections.values()}

    def of(self, changed: str) -> Iterator[Connection]:
        """Yield the sockets of a log-in family, of ``user:ID`` or of ``tenant:ID``."""
        for connection in list(self.connections.values()):
            who = connection.session.who
            if changed in (connection.session.family, f"user:{who.user_id}", f"tenant:{who.tenant_id}"):
                yield connection
