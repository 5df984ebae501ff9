"""Whether a server answers: the questions that the supervisor and ``admin status`` ask."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - where to ask a server that binds all


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def tcp(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    _, writer = await asyncio.open_connection(_ANY.get(host, host), port)
    await _close(writer)
    return True


# RFC 9113 3.4: the client's preface, with a SETTINGS frame that sets nothing; the server answers with its own (6.5).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_FRAME, _SETTINGS = 9, 4


async def grpc(host: str, port: int) -> bool:
    """Whether a gRPC server answers, as Ray's GCS is: the kernel takes connections for one that is stopped, too."""
    reader, writer = await asyncio.open_connection(_ANY.get(host, host), port)
    try:
        writer.write(_PREFACE)
        head = await reader.readexactly(_FRAME)
    finally:
        await _close(writer)
    return head[3] == _SETTINGS


async def valkey(socket: Path) -> bool:
    """Whether Valkey answers PING on its socket."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(b"PING\r\n")
    answer = await reader.readline()
    await _close(writer)
    return answer.startswith(b"+PONG")


async def postgres(socket: Path) -> bool:
    """Whether PostgreSQL takes log-ins: it answers a start-up message (protocol 3.0) by asking who we are."""
    parameters = b"user\0rr\0database\0postgres\0\0"
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write((8 + len(parameters)).to_bytes(4) + (3 << 16).to_bytes(4) + parameters)
    answer = await reader.read(1)
    await _close(writer)
    return answer == b"R"


async def http(url: str, path: str = "/healthz", *, timeout_s: float = 2.0) -> tuple[int, str]:
    """Return status and body of a GET on one of our own loopback ports."""
    host, _, port = url.removeprefix("http://").partition(":")
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        await _close(writer)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body.decode()
