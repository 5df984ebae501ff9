"""python-socketio as this protocol uses it: WebSocket only, one namespace, no binary, one dispatcher.

Events do not go through the library's handler table, in which a client could name the server's own
``connect`` and ``disconnect``. Pinned to python-socketio 5.18, whose private parts it overrides.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import socketio
from socketio import packet

from actors.domain.errors import Forbidden
from gateway.auth import ours
from gateway.calls import MAX_PAYLOAD_BYTES
from gateway.realtime.outlet import CountedWebSocket, CountingQueue, Outlet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

PING_S = 10  # whole seconds: fractions are truncated to none
_CLAIM_S = 10.0  # an engine connection that has not shown a ticket by then is cut
_PATH = "/socket.io/"


class Engine(socketio.AsyncServer):
    """A Socket.IO server whose every event goes to ``called``, and whose sockets say when they are connected."""

    def __init__(
        self, *, called: Callable[[str, Any], Awaitable[Any]], connected: Callable[[str, Outlet], None]
    ) -> None:
        super().__init__(
            async_mode="aiohttp",
            transports=["websocket"],
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_http_buffer_size=MAX_PAYLOAD_BYTES,
            monitor_clients=False,
            http_compression=False,
            cors_allowed_origins=[],  # the Origin is checked in `_requested`
        )
        self._called, self._connected = called, connected
        self.eio._async = {**self.eio._async, "websocket": CountedWebSocket}  # noqa: SLF001
        self.eio.create_queue = lambda *_, **__: CountingQueue()

    def attach(self, app: web.Application, socketio_path: str = _PATH) -> None:
        """Serve the application's sockets."""
        app.router.add_get(socketio_path, self._requested)

    async def _requested(self, request: web.Request) -> web.StreamResponse:
        if not ours(request):
            raise Forbidden("This page may not connect here.")
        response: web.StreamResponse = await self.eio.handle_request(request)
        return response

    def outlet(self, sid: str) -> Outlet | None:
        """Return the sending side of a socket, None when it has gone."""
        socket = self.eio.sockets.get(self.manager.eio_sid_from_sid(sid, "/"))
        return None if socket is None else Outlet(socket)

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        asyncio.get_running_loop().call_later(_CLAIM_S, self._unclaimed, eio_sid)

    def _unclaimed(self, eio_sid: str) -> None:
        if self.manager.sid_from_eio_sid(eio_sid, "/") is None:
            self._cut(eio_sid)

    def _cut(self, eio_sid: str) -> None:
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            socket.transport.abort()

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        """Take one message; what is no Socket.IO text packet ends the connection."""
        try:
            said = self.packet_class(encoded_packet=data) if isinstance(data, str) else None
        except (ValueError, TypeError, IndexError, RecursionError):
            said = None
        if said is None or said.namespace not in (None, "/"):
            self._cut(eio_sid)
        elif said.packet_type == packet.CONNECT:
            await self._handle_connect(eio_sid, "/", said.data)
        elif said.packet_type == packet.DISCONNECT:
            await self._handle_disconnect(eio_sid, "/", self.reason.CLIENT_DISCONNECT)
        elif said.packet_type == packet.EVENT and isinstance(said.data, list) and said.data:
            await self._handle_event(eio_sid, "/", said.id, said.data)
        elif said.packet_type != packet.ACK:  # nothing of ours asks for one
            self._cut(eio_sid)

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        await super()._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, "/")
        outlet = self.outlet(sid) if sid and self.manager.is_connected(sid, "/") else None
        if outlet is not None:
            self._connected(sid, outlet)

    async def _handle_event_internal(
        self,
        _server: Any,
        sid: str,
        eio_sid: str,
        data: list[Any],
        namespace: str,
        id: int | None,  # noqa: A002
    ) -> None:
        answer = await self._called(sid, data)
        if id is not None:
            await self._send_packet(eio_sid, self.packet_class(packet.ACK, namespace=namespace, id=id, data=[answer]))
