"""Parts of an answer by bytes (RFC 9110 14): one range at a time; who asks for several gets the whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.dicomweb.problem import NotSatisfiable

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONE = re.compile(r"bytes\s*=\s*(\d*)-(\d*)\s*", re.ASCII | re.IGNORECASE)
ACCEPTED = {"Accept-Ranges": "bytes"}


def span(request: web.Request, size: int, tag: str) -> tuple[int, int] | None:
    """Return start and stop of the range that is asked for; None: the whole is, or what is asked is no range.

    Args:
        request: of the whole or a part; only GET has ranges.
        size: of the whole, in bytes.
        tag: of the whole: an ``If-Range`` that names another wants the whole.

    Raises:
        NotSatisfiable: there are no such bytes.
    """
    found = _ONE.fullmatch(request.headers.get("Range", ""))
    if found is None or request.method != "GET" or request.headers.get("If-Range", tag) != tag:
        return None
    first, last = found.groups()
    if not first:
        start, stop = (max(0, size - int(last)), size) if last else (-1, 0)
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start < 0:
        return None
    if start >= size:
        raise NotSatisfiable(size)
    return start, stop


def part(request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.Response:
    """Return what is asked of a body that is there as a whole.

    Raises:
        NotSatisfiable: there are no such bytes.
    """
    asked = span(request, len(body), headers["ETag"])
    if asked is None:
        return web.Response(body=body, headers={**headers, **ACCEPTED})
    return web.Response(
        status=206, body=body[slice(*asked)], headers={**headers, **ACCEPTED, **content_range(asked, len(body))}
    )


def content_range(asked: tuple[int, int], size: int) -> dict[str, str]:
    """Return the header that says which bytes these are."""
    return {"Content-Range": f"bytes {asked[0]}-{asked[1] - 1}/{size}"}
