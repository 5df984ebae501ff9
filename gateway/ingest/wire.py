"""Bytes of one connection, plain or under TLS: buffers are filled whole, and silence has a bound."""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


class Closed(Exception):
    """The peer is gone, or has said nothing for too long."""


class Wire:
    """A connection in the clear; the kernel waits for the whole of what is asked for (MSG_WAITALL)."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def patience(self, seconds: int) -> None:
        """Say how long the peer may be silent, or not take what we send."""
        wait = struct.pack("ll", seconds, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)

    def fill(self, *buffers: memoryview | bytearray) -> None:
        """Read until the buffers are full.

        Raises:
            Closed: they will not be.
        """
        try:
            got = self.sock.recvmsg_into(buffers, 0, socket.MSG_WAITALL)[0]
        except BlockingIOError as exc:
            raise Closed("by us: it was silent") from exc
        if got < sum(map(len, buffers)):
            raise Closed("by the peer, or too slow")

    def send(self, *pieces: bytes | memoryview) -> None:
        """Send all; raises OSError when it cannot be."""
        for piece in pieces:
            self.sock.sendall(piece)

    def hurry(self) -> None:
        """Acknowledge at once: a sender without TCP_NODELAY waits for that before its last bytes (RFC 1122 4.2.3.4)."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def waiting(self, seconds: float = 0) -> bool:
        """Whether there is something to read, or the end."""
        return bool(select.select([self.sock], [], [], seconds)[0])

    def end(self) -> None:
        """From another thread: nothing more comes or goes."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go."""
        self.sock.close()


class Shielded(Wire):
    """A connection under TLS (PS3.15 B.12)."""

    sock: ssl.SSLSocket

    def patience(self, seconds: int) -> None:
        """Say how long the peer may be silent, or not take what we send."""
        self.sock.settimeout(seconds)

    def fill(self, *buffers: memoryview | bytearray) -> None:
        """Read until the buffers are full.

        Raises:
            Closed: they will not be.
        """
        for buffer in buffers:
            view, at = memoryview(buffer), 0
            while at < len(view):
                try:
                    got = self.sock.recv_into(view[at:])
                except TimeoutError as exc:
                    raise Closed("by us: it was silent") from exc
                if not got:
                    raise Closed("by the peer")
                at += got

    def hurry(self) -> None:
        """Nothing: records are sent whole."""

    def waiting(self, seconds: float = 0) -> bool:
        """Whether there is something to read, or the end."""
        return bool(self.sock.pending()) or super().waiting(seconds)
