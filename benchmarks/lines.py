"""An HTTP client that costs next to nothing, so that what is measured is the server."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOM = 1 << 20  # of a connection's buffer


class Peer:
    """One server: its address, and what its calls carry besides."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url, token
        at = urlsplit(url)
        self.host, self.port = at.hostname or "127.0.0.1", at.port or 80

    def request(self, path: str, accept: str) -> bytes:
        """Return the bytes of a GET below ``/dicom-web``."""
        head = f"GET /dicom-web{path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: {accept}\r\n"
        return (head + (f"Authorization: Bearer {self.token}\r\n" if self.token else "") + "\r\n").encode()

    def connect(self) -> Line:
        """Return a new connection."""
        return Line(self)


class Line:
    """A connection that is kept, and costs as little as can be, so that the server is what is measured.

    What a long body holds is thrown away by the kernel, uncopied (MSG_TRUNC, see tcp(7)).
    """

    def __init__(self, peer: Peer) -> None:
        self._peer, self._socket = peer, _connected(peer)
        self._held = bytearray(b" ") * _ROOM  # written to before anything is timed
        self._from = self._to = 0  # what of it was received and not taken yet

    def get(self, request: bytes) -> int:
        """Send a request and read its whole answer; return the size of the body.

        Raises:
            ConnectionError: another status than 200.
        """
        self._socket.sendall(request)
        head = self._until(b"\r\n\r\n").lower()
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(head[:200].decode(errors="replace"))
        if b"transfer-encoding: chunked" in head:
            return self._chunks()
        if b"content-length:" not in head:  # the connection ends with the body
            return self._to_the_end()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        self._take(size)
        return size

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _until(self, end: bytes) -> bytes:
        while (at := self._held.find(end, self._from, self._to)) < 0:
            self._more()
        head = bytes(self._held[self._from : at])
        self._from = at + len(end)
        return head + b"\r\n"

    def _more(self) -> None:
        if self._from:
            left = self._to - self._from
            self._held[:left] = self._held[self._from : self._to]
            self._from, self._to = 0, left
        if not (size := self._socket.recv_into(memoryview(self._held)[self._to :])):
            raise ConnectionError("closed")
        self._to += size

    def _take(self, size: int) -> None:
        if (held := self._to - self._from) >= size:
            self._from += size
            return
        size -= held
        self._from = self._to = 0
        while size:
            if not (gone := self._socket.recv_into(self._held, min(size, _ROOM), socket.MSG_TRUNC)):
                raise ConnectionError("closed")
            size -= gone

    def _to_the_end(self) -> int:
        total = self._to - self._from
        while size := self._socket.recv_into(self._held, _ROOM, socket.MSG_TRUNC):
            total += size
        self.close()
        self._socket, self._from, self._to = _connected(self._peer), 0, 0
        return total

    def _chunks(self) -> int:
        total = 0
        while size := int(self._until(b"\r\n").partition(b"\r\n")[0], 16):
            self._take(size + 2)
            total += size
        self._until(b"\r\n")
        return total


def _connected(peer: Peer) -> socket.socket:
    line = socket.create_connection((peer.host, peer.port), timeout=60)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def calls(peer: Peer, requests: Sequence[bytes], clients: int = 1, lead: Sequence[bytes] = ()) -> float:
    """Return seconds for the requests, spread over that many clients at a time; each sends ``lead`` before."""
    lines = [peer.connect() for _ in range(clients)]
    ready = threading.Barrier(clients + 1)

    def work(line: Line, mine: Sequence[bytes]) -> None:
        for request in lead:
            line.get(request)
        ready.wait()
        for request in mine:
            line.get(request)

    threads = [threading.Thread(target=work, args=(line, requests[at::clients])) for at, line in enumerate(lines)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    for line in lines:
        line.close()
    return took
