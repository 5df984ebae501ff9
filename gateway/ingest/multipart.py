"""The parts of a STOW-RS request (RFC 2046 5.1, RFC 2387): aiohttp's reader, without its limit on boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import BodyPartReader, MultipartReader
from aiohttp.http_exceptions import HttpProcessingError

from gateway.dicomweb.problem import BadRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiohttp import StreamReader

_MOST_BOUNDARY = 200  # RFC 2046 allows 70 characters; Orthanc sends 73
_CHUNK = 1 << 18
_BROKEN = (ValueError, KeyError, RuntimeError, AssertionError, HttpProcessingError)  # as aiohttp says it


class _Reader(MultipartReader):
    """A reader that takes boundaries as they come in the field."""

    def _get_boundary(self) -> str:
        boundary = self._mimetype.parameters["boundary"]
        if not 0 < len(boundary) <= _MOST_BOUNDARY or not boundary.isascii():
            raise ValueError("no boundary")
        return boundary


def _broken() -> BadRequest:
    return BadRequest("The body is not the multipart/related that its Content-Type says.")


async def parts(headers: Mapping[str, str], content: StreamReader) -> AsyncIterator[BodyPartReader]:
    """Yield the parts of a body, each to be read before the next.

    Raises:
        BadRequest: the body is not the multipart that it says.
    """
    try:
        reader = _Reader(headers, content)
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise _broken()
            yield part
    except _BROKEN as exc:
        raise _broken() from exc


async def chunk(part: BodyPartReader) -> bytes:
    """Return the next piece of a part, empty at its end.

    Raises:
        BadRequest: the body ends before the part does.
    """
    try:
        return await part.read_chunk(_CHUNK)
    except _BROKEN as exc:
        raise _broken() from exc
