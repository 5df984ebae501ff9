"""One socket of one tab: whose it is, what it follows, how far it has sent and heard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.realtime.frames import frame
from gateway.realtime.outlet import MOST_BYTES

if TYPE_CHECKING:
    from gateway.auth import Session
    from gateway.realtime.frames import Frame
    from gateway.realtime.outlet import Outlet

ACK_S = 5.0  # nothing acknowledged for so long while events are outstanding: the socket is closed


@dataclass(slots=True, eq=False)
class Following:
    """One stream of one socket. ``held`` collects what comes while the snapshot or the replay is written."""

    connection: Connection
    stream: str
    sent: int = 0
    acked: int = 0
    held: list[tuple[int, Frame]] | None = field(default_factory=list)
    held_bytes: int = 0

    @property
    def dropped(self) -> bool:
        """Whether the stream was unsubscribed, or asked for again, meanwhile."""
        return self.connection.following.get(self.stream) is not self

    def take(self, seq: int, message: Frame, now: float) -> None:
        """Send the event in its turn, once."""
        if self.held is not None:
            self.held.append((seq, message))
            self.held_bytes += len(message.raw)
            if self.held_bytes > 16 * MOST_BYTES:  # it takes a snapshot slower than the tenant makes events
                self.connection.outlet.cut()
        elif seq > self.sent:
            self.sent = seq
            self.connection.send(message, now)

    def release(self) -> None:
        """Send what was held and is newer than what was replayed; from here on events go out as they come."""
        held, self.held, now = self.held or [], None, monotonic()
        self.held_bytes = 0
        for seq, message in held:
            self.take(seq, message, now)


class Connection:
    """A socket that has shown a ticket."""

    def __init__(self, sid: str, session: Session, tab: str, outlet: Outlet) -> None:
        self.sid, self.session, self.tab, self.outlet = sid, session, tab, outlet
        self.following: dict[str, Following] = {}
        self.joining = asyncio.Lock()  # streams are caught up one after the other
        self.calls = 0  # commands under way
        self.ending = False
        self._waiting_since: float | None = None

    @property
    def tenant_id(self) -> str:
        """The one tenant of this socket."""
        return self.session.who.tenant_id

    @property
    def own_stream(self) -> str:
        """The stream that is always followed."""
        return f"wall:{self.tenant_id}" if self.session.wall else f"user:{self.session.who.user_id}"

    def send(self, message: Frame, now: float | None = None) -> bool:
        """Send a message; with ``now``, one that is to be acknowledged."""
        if now is not None and self._waiting_since is None:
            self._waiting_since = now
        return self.outlet.send(message)

    def tell(self, event: str, payload: Any) -> None:
        """Send an unsequenced message."""
        self.outlet.send(frame(event, payload))

    def sent_whole(self) -> None:
        """A snapshot or a replay has gone out: its acknowledgement is awaited from now."""
        if self._waiting_since is None and self._outstanding():
            self._waiting_since = monotonic()

    def acknowledged(self, stream: str, seq: int) -> None:
        """The client has applied the stream up to ``seq``."""
        following = self.following.get(stream)
        if following is not None and following.acked < seq <= following.sent:
            following.acked = seq
            self._waiting_since = monotonic() if self._outstanding() else None

    def overdue(self, now: float) -> bool:
        """Whether events are outstanding and nothing was acknowledged for too long."""
        return self._waiting_since is not None and now - self._waiting_since > ACK_S

    def unfollowed(self) -> None:
        """A stream was dropped: its events need no acknowledgement any more."""
        if not self._outstanding():
            self._waiting_since = None

    def _outstanding(self) -> bool:
        return any(f.acked < f.sent for f in self.following.values())
