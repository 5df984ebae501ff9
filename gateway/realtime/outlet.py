"""The sending side of a socket: straight to the transport when nothing waits, else in its turn.

python-socketio makes a task a recipient and a timer a message. Here a frame that was built once is
written to the transport of every recipient. A frame may pass the queue only when every packet ever
queued has been written: a bypass that ignores this reorders. Pinned to python-engineio 4.15, whose
private parts it touches: ``AsyncSocket.queue``, its writer task, and the driver's ``WebSocket``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp.web import WebSocketResponse
from engineio.async_drivers.aiohttp import WebSocket

if TYPE_CHECKING:
    from gateway.realtime.frames import Frame

MOST_BYTES = 256 * 1024  # waiting for a slow reader; beyond it the reader is cut and resumes
_DRAINED_BYTES = 64 * 1024
_DRAIN_S = 60.0
_CLOSE_S = 1.0


class CountingQueue(asyncio.Queue[Any]):
    """Engine.IO's queue of a socket, which knows how much of what it ever held is not yet written."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: deque[int] = deque()
        self.unwritten_bytes = 0

    @property
    def written(self) -> bool:
        """Whether everything that was queued has gone to the transport."""
        return not self._sizes

    def put_nowait(self, item: Any) -> None:
        if item is not None:  # None ends the writer
            data = item.data
            size = len(data) if isinstance(data, str | bytes) else 0
            self._sizes.append(size)
            self.unwritten_bytes += size
        super().put_nowait(item)

    def wrote_one(self) -> None:
        """The oldest packet has gone to the transport."""
        self.unwritten_bytes -= self._sizes.popleft()


class CountedWebSocket(WebSocket):
    """Engine.IO's driver for aiohttp: uncompressed, closing within a second, counting what it writes."""

    async def __call__(self, environ: dict[str, Any]) -> WebSocketResponse:
        request = environ["aiohttp.request"]
        self._sock = WebSocketResponse(max_msg_size=self.server.max_http_buffer_size, compress=False, timeout=_CLOSE_S)
        await self._sock.prepare(request)
        self._queue = self.handler.__self__.queue
        self.handler.__self__.transport = request.transport
        self.environ = environ
        await self.handler(self)
        return self._sock

    async def send(self, message: str | bytes) -> None:
        await super().send(message)
        self._queue.wrote_one()


class Outlet:
    """Writes frames to one socket, in order, and cuts a reader that does not read."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket  # engineio.AsyncSocket
        self._queue: CountingQueue = socket.queue
        self._transport: asyncio.WriteTransport = socket.transport

    @property
    def open(self) -> bool:
        """Whether the socket still takes messages."""
        return not (self._socket.closed or self._socket.closing or self._transport.is_closing())

    @property
    def waiting_bytes(self) -> int:
        """How much is written but not yet taken by the network."""
        return self._transport.get_write_buffer_size() + self._queue.unwritten_bytes

    def send(self, frame: Frame, *, whole: bool = False) -> bool:
        """Send one message; False when the reader was too slow and is cut. ``whole`` may be of any size."""
        if not self.open:
            return True
        if not whole and self.waiting_bytes > MOST_BYTES:
            self.cut()
            return False
        if self._queue.written:
            self._transport.write(frame.raw)
        else:
            self._queue.put_nowait(frame.packet())
        return True

    async def drained(self) -> bool:
        """Wait until the network has taken what was written; False when it does not."""
        end = asyncio.get_running_loop().time() + _DRAIN_S
        while self.open and self.waiting_bytes > _DRAINED_BYTES:
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.02)
        return self.open

    def cut(self) -> None:
        """End the connection at once, whatever waits."""
        self._transport.abort()

    async def close(self) -> None:
        """End the connection after what waits; a client that does not answer is cut."""
        loop = asyncio.get_running_loop()
        loop.call_later(_CLOSE_S, self.cut)
        if not (self._socket.closed or self._socket.closing):
            await self._socket.close(wait=False)
        self._queue.put_nowait(None)
