"""Messages as they stand on the wire: encoded once for a whole room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from engineio import packet

from actors.domain.instant import instant

if TYPE_CHECKING:
    from storage.feed import Event

_FIN_TEXT = 0x81  # RFC 6455 5.2: FIN, opcode text; a server's frames are not masked
_SHORT, _MEDIUM = 126, 65_536
_encode = msgspec.json.Encoder().encode


class Frame:
    """One Socket.IO event: as a WebSocket frame, and as an Engine.IO packet for a socket that queues."""

    __slots__ = ("body", "raw")

    def __init__(self, body: bytes) -> None:
        self.body = body  # Engine.IO MESSAGE, Socket.IO EVENT: 42["name",{...}]
        length = len(body)
        if length < _SHORT:
            head = bytes((_FIN_TEXT, length))
        elif length < _MEDIUM:
            head = bytes((_FIN_TEXT, 126)) + length.to_bytes(2, "big")
        else:
            head = bytes((_FIN_TEXT, 127)) + length.to_bytes(8, "big")
        self.raw = head + body

    def packet(self) -> _Encoded:
        """Return the packet that says the same."""
        return _Encoded(self.body)


class _Encoded(packet.Packet):
    """A packet that is encoded already."""

    def __init__(self, body: bytes) -> None:
        super().__init__(packet.MESSAGE, data=body[1:].decode())
        self._body = body.decode()

    def encode(self, b64: bool = False) -> str:  # noqa: ARG002, FBT001, FBT002 - Engine.IO's signature
        return self._body


def frame(event: str, payload: Any) -> Frame:
    """Return a message with its payload."""
    return Frame(b'42["' + event.encode() + b'",' + _encode(payload) + b"]")


def event_frame(event: Event) -> Frame:
    """Return an ``ev`` of the feed; its data goes out as the database wrote it."""
    head = {"s": event.stream, "seq": event.seq, "id": event.id, "type": event.type, "v": 1, "ts": instant(event.at)}
    return Frame(b'42["ev",' + _encode(head)[:-1] + b',"data":' + event.data.encode() + b"}]")
