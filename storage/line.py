"""A connection to PostgreSQL without an event loop: the thread that asks writes and reads the socket itself.

asyncpg connects and logs in; then the socket is ours. Only what ingest needs is spoken: a statement with text parameters and
one value (PostgreSQL's documentation, 54.2.3 extended query, 54.7 message formats). One thread at a time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from storage.faults import AWAY
from storage.ingest import Away

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    _Base = asyncpg.Connection[Any]
else:
    _Base = asyncpg.Connection

_CONNECT_S, _PATIENCE_S = 5, 30
_PIECE = 1 << 16
_HEAD = struct.Struct(">cI")
_CANNOT_CONNECT: tuple[type[BaseException], ...] = (*AWAY, asyncpg.PostgresError)


class _Connection(_Base):
    """A connection whose socket can be had."""

    def yield_socket(self) -> socket.socket | None:
        """Return a socket of our own to the same server process, and be closed without a word; None under TLS."""
        transport: asyncio.Transport = self._transport  # type: ignore[attr-defined]
        if transport.get_extra_info("sslcontext") is not None:
            return None
        own = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        own.settimeout(None)
        for silence in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            own.setsockopt(socket.SOL_SOCKET, silence, struct.pack("ll", _PATIENCE_S, 0))
        transport.abort()
        return own


class Line:
    """A connection, opened when first needed and again after it was lost.

    Its methods are coroutines, as a pool's are, but never wait: see :func:`at_once`. Statements carry their own scope.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = asyncio.new_event_loop()
        self._conn: _Connection | None = None  # under TLS
        self._sock: socket.socket | None = None
        self._names: dict[str, bytes] = {}  # of prepared statements
        self._read = b""

    async def connection(self) -> Line:
        """Return this, connected.

        Raises:
            Away: the database is.
        """
        if self._lost():
            await self.release()
        if self._sock is None and self._conn is None:
            try:
                self._loop.run_until_complete(self._connect())
            except _CANNOT_CONNECT as exc:
                raise Away(type(exc).__name__) from exc
        return self

    async def release(self) -> None:
        """End the connection, whatever state it is in."""
        if self._sock is not None:
            with suppress(OSError):
                self._sock.send(b"X\0\0\0\x04", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            self._sock.close()
        if self._conn is not None:
            self._conn.terminate()
            self._loop.run_until_complete(asyncio.sleep(0))
        self._sock, self._conn, self._names, self._read = None, None, {}, b""

    async def close(self) -> None:
        """End for good."""
        await self.release()
        self._loop.close()

    async def fetchval(self, statement: str, *values: str) -> str | None:
        """Run a statement in a transaction of its own; return the one value of its one row as text.

        Raises:
            OSError: the connection broke.
            asyncpg.PostgresError: the server refuses.
        """
        if self._conn is not None:
            found: str | None = self._loop.run_until_complete(self._conn.fetchval(statement, *values))
            return found
        if self._sock is None:
            raise ConnectionError("not connected")
        name = self._names.get(statement)
        fresh = name is None
        name = name or b"s%d" % len(self._names)
        asked = _message(b"P", name + b"\0" + statement.encode() + b"\0\0\0") if fresh else b""
        self._sock.sendall(asked + _bind(name, values) + _message(b"E", b"\0\0\0\0\0") + _message(b"S", b""))
        value, refused = None, None
        for kind, body in self._messages():
            if kind == b"D":
                value = body[6:].decode()
            elif kind == b"E":
                refused = asyncpg.PostgresError.new(_fields(body))
            elif kind == b"1":
                self._names[statement] = name
        if refused is not None:
            raise refused
        return value

    async def _connect(self) -> None:
        conn = await asyncpg.connect(self._dsn, timeout=_CONNECT_S, connection_class=_Connection)
        self._sock = conn.yield_socket()
        if self._sock is None:
            self._conn = conn
        await asyncio.sleep(0)

    def _lost(self) -> bool:
        """Whether something came that nobody asked for: the end, or why it is near."""
        if self._sock is None:
            return self._conn is not None and self._conn.is_closed()
        try:
            self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return bool(self._read)
        except OSError:
            return True
        return True

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what the server says until it is ready for the next statement, an error though it ends with that."""
        failed = False
        while True:
            while len(self._read) < _HEAD.size or len(self._read) < 1 + _HEAD.unpack_from(self._read)[1]:
                piece = self._sock.recv(_PIECE) if self._sock is not None else b""
                if not piece:
                    if failed:
                        return
                    raise ConnectionError("the server ended the connection")
                self._read += piece
            kind, size = _HEAD.unpack_from(self._read)
            body, self._read = self._read[_HEAD.size : size + 1], self._read[size + 1 :]
            if kind == b"Z":
                return
            failed |= kind == b"E"
            yield kind, body


def at_once(call: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that never waits.

    Raises:
        RuntimeError: it waited.
    """
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    call.close()
    raise RuntimeError("it waited")


def _message(kind: bytes, body: bytes) -> bytes:
    return _HEAD.pack(kind, len(body) + 4) + body


def _bind(name: bytes, values: tuple[str, ...]) -> bytes:
    raw = [value.encode() for value in values]
    given = b"".join(struct.pack(">I", len(each)) + each for each in raw)
    return _message(b"B", b"\0" + name + b"\0" + struct.pack(">HH", 0, len(raw)) + given + b"\0\0")


def _fields(body: bytes) -> dict[str, str]:
    return {field[:1].decode(): field[1:].decode("utf-8", "replace") for field in body.rstrip(b"\0").split(b"\0")}
