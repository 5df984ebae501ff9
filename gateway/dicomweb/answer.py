"""Answers: parts with their boundary, entity tags and how long a browser may keep what it got."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.dicomweb.straight import Sent, Straight, head, plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.dicomweb.straight import Buffer
    from storage.dicom import Stored

_YEAR_S = 31_536_000
VARY = "Accept, Cookie, Authorization"  # another session in the same browser starts afresh


class Multipart:
    """A multipart/related message (RFC 2387)."""

    def __init__(self, media: str) -> None:
        self._boundary = secrets.token_hex(16)
        self.content_type = f'multipart/related; type="{media}"; boundary={self._boundary}'
        self.end = f"--{self._boundary}--\r\n".encode()

    def head(self, content_type: str, size: int, location: str) -> bytes:
        """Return what stands before a part's body."""
        return (
            f"--{self._boundary}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n"
            f"Content-Location: {location}\r\n\r\n"
        ).encode()

    def part(self, content_type: str, data: bytes, location: str) -> bytes:
        """Return a whole part."""
        return b"%b%b\r\n" % (self.head(content_type, len(data), location), data)


@asynccontextmanager
async def sending(request: web.Request, answer: web.StreamResponse) -> AsyncIterator[None]:
    """Begin an answer and end it; when what is sent cannot be read to its end, the client sees it break off."""
    await answer.prepare(request)
    try:
        yield
    except BaseException:
        if request.transport is not None:
            request.transport.abort()
        raise
    await answer.write_eof()


async def whole(request: web.Request, headers: dict[str, str], body: Buffer) -> web.StreamResponse:
    """Send an answer that is there as a whole, without another copy of it."""
    if plain(request):
        connection = Straight(request)
        connection.put(head(request, headers, len(body)), body)
        await connection.drain()
        return Sent(request)
    answer = web.StreamResponse(headers=headers)
    answer.content_length = len(body)
    async with sending(request, answer):
        if request.method != "HEAD":
            await answer.write(body)
    return answer


def cached(place: Stored, *variant: str) -> dict[str, str]:
    """Return the headers of something made of an instance alone: it never changes."""
    tag = hashlib.sha256("\x1f".join((place.sha256.hex(), place.study_uid, *variant)).encode()).hexdigest()[:40]
    return {"ETag": f'"{tag}"', "Cache-Control": f"private, max-age={_YEAR_S}, immutable", "Vary": VARY}


def tagged(body: bytes) -> dict[str, str]:
    """Return the headers of something that grows with its study: asked for again each time."""
    return {
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:40]}"',
        "Cache-Control": "private, no-cache",
        "Vary": f"{VARY}, Accept-Encoding",
    }


def unchanged(request: web.Request, headers: dict[str, str]) -> web.Response | None:
    """Return 304 when the client holds this very thing."""
    held = request.headers.get("If-None-Match", "")
    if held == "*" or headers["ETag"] in {tag.strip().removeprefix("W/") for tag in held.split(",")}:
        return web.Response(status=304, headers=headers)
    return None
