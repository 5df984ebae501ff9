"""Answers put on a connection past the transport's queue: what is decrypted is sent while it is in the processor's cache.

A transport copies what it cannot send at once and sends at the end of the loop's turn. Frames and series are long and
come in pieces of one buffer, so each piece is written by itself, while the client takes those before.
"""

from __future__ import annotations

import asyncio
import os
import select
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time

from gateway.headers import HARDENED

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from concurrent.futures import Future
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

_PATIENCE_MS = 10  # that a thread waits for a client; after that the event loop does
_READERS = ThreadPoolExecutor(2, "reading")
_HARDENED = "".join(f"{name}: {value}\r\n" for name, value in HARDENED.items())


class Sent(web.StreamResponse):
    """An answer that was put on the connection already: nothing is left to be done for it."""

    def __init__(self, request: web.Request, status: int = 200) -> None:
        super().__init__(status=status)
        self._keep_alive = request.keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""


def plain(request: web.Request) -> bool:
    """Whether an answer may go straight to the connection: one of HTTP/1.1, to a GET, not encrypted."""
    transport = request.transport
    return (
        request.method == "GET"
        and request.version == HttpVersion11
        and transport is not None
        and transport.get_extra_info("sslcontext") is None
    )


def head(request: web.Request, headers: Mapping[str, str], size: int) -> bytes:
    """Return the head of an answer of so many bytes.

    Raises:
        ValueError: a header holds the end of a line.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\n") != len(headers):
        raise ValueError("a header holds the end of a line")
    last = "" if request.keep_alive else "Connection: close\r\n"
    return (
        f"HTTP/1.1 200 OK\r\n{lines}Content-Length: {size}\r\nDate: {rfc822_formatted_time()}\r\n{_HARDENED}{last}\r\n"
    ).encode()


class Straight:
    """The connection of a request: written to at once as long as it takes all, then by its transport."""

    def __init__(self, request: web.Request) -> None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._request, self._transport = request, transport
        self._fd: int = transport.get_extra_info("socket").fileno()
        self._at_once = transport.get_write_buffer_size() == 0

    def put(self, *buffers: Buffer) -> None:
        """Write buffers; those that are not read-only may be used again afterwards.

        Raises:
            ConnectionResetError: the client is gone.
        """
        left: Sequence[Buffer] = buffers
        if self._at_once:
            left = _written(self._fd, buffers)
            self._at_once = not left
        for buffer in left:
            view = memoryview(buffer)
            self._transport.write(view if view.readonly else bytes(view))

    async def drain(self) -> None:
        """Wait until the client took nearly all of it."""
        if not self._at_once:
            await self._request.writer.drain()


def _written(fd: int, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
    """Write what the connection takes now; return the rest."""
    try:
        done = os.writev(fd, buffers)
    except BlockingIOError:
        return buffers
    except ConnectionError as exc:
        raise ConnectionResetError("the client is gone") from exc
    for at, buffer in enumerate(buffers):
        if done < len(buffer):
            return [memoryview(buffer)[done:], *buffers[at + 1 :]]
        done -= len(buffer)
    return ()


class _Pouring:
    """Writes groups of buffers; while one is written, the next is made by another thread."""

    def __init__(self, fd: int, groups: Generator[Sequence[Buffer], None, None]) -> None:
        self._fd, self._groups = fd, groups
        self._left: Sequence[Buffer] = ()
        self._ahead: Future[Sequence[Buffer] | None] | None = None
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self.stopped = False

    def some(self) -> bool:
        """Write until all is written, else until the client takes nothing for a moment; return whether all is (blocking)."""
        while not self.stopped:
            if not self._left:
                group = (self._ahead or self._read()).result()
                if group is None:
                    return True
                self._left, self._ahead = group, self._read()
            self._left = _written(self._fd, self._left)
            if self._left and not self._poll.poll(_PATIENCE_MS):
                break
        return False

    def end(self) -> None:
        """Let go of what was not written (blocking)."""
        if self._ahead is not None:
            self._ahead.exception()
        self._groups.close()

    def _read(self) -> Future[Sequence[Buffer] | None]:
        return _READERS.submit(next, self._groups, None)


async def pour(request: web.Request, groups: Generator[Sequence[Buffer], None, None]) -> None:
    """Write groups of buffers straight to a connection; each is made in a thread, and good until the next but one is.

    A client that takes them slowly holds no thread.

    Raises:
        ConnectionResetError: the client is gone.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client is gone")
    fd = os.dup(transport.get_extra_info("socket").fileno())  # a thread may write when the transport is closed
    pouring = _Pouring(fd, groups)
    job: asyncio.Task[bool] | None = None
    try:
        while transport.get_write_buffer_size():  # noqa: ASYNC110 - of the answer before; nobody tells when it is gone
            await asyncio.sleep(_PATIENCE_MS / 1000)
        while True:
            job = asyncio.create_task(asyncio.to_thread(pouring.some))
            if await asyncio.shield(job):
                return
            await _writable(fd)
    finally:
        pouring.stopped = True
        if job is not None:
            await asyncio.gather(job, return_exceptions=True)
        await asyncio.to_thread(pouring.end)
        os.close(fd)


async def _writable(fd: int) -> None:
    """Wait until a connection takes something, or is gone."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)
