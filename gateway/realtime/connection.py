"""One socket: whose it is, which streams it follows, how far each was sent and acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.auth import Session
    from storage.feed import Event

ACK_S = 5.0
_LATE_MOST = 2_000  # events held back for one stream that is being prepared


@dataclass(slots=True, eq=False)
class Connection:
    """Sends each event of a stream once and in order; holds back what comes while the stream is prepared."""

    sid: str
    session: Session
    tab: str
    emit: Callable[[str, Any], Awaitable[None]]
    sent: dict[str, int] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)
    late: dict[str, list[Event]] = field(default_factory=dict)
    waiting_since: float | None = None
    closing: bool = False

    @property
    def tenant_id(self) -> str:
        """The socket's tenant: the session's."""
        return self.session.who.tenant_id

    @property
    def follows(self) -> set[str]:
        """Streams sent or being prepared."""
        return self.sent.keys() | self.late.keys()

    def hold(self, stream: str) -> None:
        """Begin to hold back a stream's events."""
        self.sent.pop(stream, None)
        self.late[stream] = []

    async def release(self, stream: str, seq: int) -> None:
        """End holding back: everything up to ``seq`` was written; what came meanwhile follows."""
        while stream in self.late:
            held = [e for e in self.late[stream] if e.seq > seq]
            if not held:
                del self.late[stream]  # no await between the check and this
                self.sent[stream] = seq
                return
            self.late[stream] = []
            for event in held:
                if event.seq > seq:
                    await self._write("ev", event.ev)
                    seq = event.seq

    async def deliver(self, event: Event) -> None:
        """Send one event, unless it was sent or its stream is being prepared."""
        held = self.late.get(event.stream)
        if held is not None:
            if len(held) < _LATE_MOST:
                held.append(event)
            return
        last = self.sent.get(event.stream)
        if last is None or event.seq <= last:
            return
        self.sent[event.stream] = event.seq
        await self._write("ev", event.ev)

    async def snapshot(self, stream: str, as_of_seq: int, data: dict[str, Any]) -> None:
        """Send the state of a stream."""
        await self._write("snapshot", {"s": stream, "as_of_seq": as_of_seq, "data": data})

    async def replay(self, event: Event) -> None:
        """Send an event of the past while the stream is being prepared."""
        await self._write("ev", event.ev)

    async def _write(self, name: str, payload: dict[str, Any]) -> None:
        if self.waiting_since is None:
            self.waiting_since = monotonic()
        await self.emit(name, payload)

    def ack(self, stream: str, seq: int) -> None:
        """Everything of the stream up to ``seq`` is applied."""
        self.acked[stream] = max(seq, self.acked.get(stream, 0))
        outstanding = any(sent > self.acked.get(s, 0) for s, sent in self.sent.items())
        self.waiting_since = monotonic() if outstanding else None

    @property
    def silent(self) -> bool:
        """Whether nothing was acknowledged for too long while events are outstanding."""
        return self.waiting_since is not None and monotonic() - self.waiting_since > ACK_S
