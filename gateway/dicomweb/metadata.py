"""WADO-RS metadata: every header of a study, series or instance, kept in memory until images come (PS3.18 10.4.1.1.5)."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from gateway.dicomweb import colours
from gateway.dicomweb.answer import tagged, unchanged, whole
from gateway.dicomweb.negotiation import JSON, want_json
from gateway.dicomweb.problem import NotAcceptable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from aiohttp import web

    from actors.domain.identity import Principal
    from gateway.dicomweb.access import Reader

MAX_BYTES = 64 << 20
_COMPRESS, _QUICK = 1 << 14, 1  # bytes below which compressing saves nothing; gzip's level
_INSTANCE = 3  # UIDs that name an instance
_LEFT_OUT = re.compile(r'\{"vr": "(?:O[BDFLVW]|UN)"\}')  # as PostgreSQL prints jsonb


T = TypeVar("T")


class Body:
    """What is sent, and its headers: the tag of a large body takes longer than finding it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.headers = tagged(data) | {"Content-Type": JSON}


class Kept(Generic[T]):
    """Bodies by what they are of; the one asked for longest ago goes first."""

    def __init__(self, most: int = MAX_BYTES) -> None:
        self._most, self._bytes = most, 0
        self._bodies: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """Return a body, if it is still there."""
        found = self._bodies.get(key)
        if found is None:
            return None
        self._bodies.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, body: T, size: int) -> None:
        """Keep a body of so many bytes, in place of the one of that key."""
        before = self._bodies.pop(key, None)
        self._bytes += size - (0 if before is None else before[1])
        self._bodies[key] = body, size
        while self._bytes > self._most:
            self._bytes -= self._bodies.popitem(last=False)[1][1]


class Metadata:
    """Handler of ``…/metadata``."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._kept = reader, Kept[Body]()

    async def metadata(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """Give the headers in order, as DICOM JSON."""
        given = request.match_info
        uids = tuple(given[name] for name in ("study", "series", "instance") if name in given)
        base = f"{request.scheme}://{request.host}/dicom-web/studies/"
        edition = await self._reader.edition(who, *uids) if len(uids) < _INSTANCE else ""
        syntax = want_json(request)
        body: Body = await (
            self._body(who, uids, edition, base) if syntax is None else self._told(who, uids, base, syntax)
        )
        headers = dict(body.headers)
        if (answer := unchanged(request, headers)) is not None:
            return answer
        data = body.data
        if len(data) > _COMPRESS and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            data = await self._packed(headers["ETag"], data)
        return await whole(request, headers, data)

    async def _body(self, who: Principal, uids: tuple[str, ...], edition: str, base: str) -> Body:
        """Return the answer; whether it may be seen was asked, what it says is asked only after a change.

        Raises:
            NotFound: not in view.
        """
        if not edition:
            return Body(_made(await self._reader.headers(who, *uids), base))
        key = (who.tenant_id, uids, base, edition)
        body = self._kept.get(key)
        if body is None:
            body = Body(_made(await self._reader.headers(who, *uids), base))
            self._kept.put(key, body, len(body.data))
        return body

    async def _told(self, who: Principal, uids: tuple[str, ...], base: str, syntax: str) -> Body:
        """Return the headers as they describe frames in a transfer syntax.

        Raises:
            NotFound: not in view.
            NotAcceptable: none are made in it.
        """
        found = await self._reader.described(who, *uids)
        if syntax not in colours.MADE and any(place.transfer_syntax != syntax for place, _ in found):
            raise NotAcceptable(
                f"Frames are not available in {syntax}.", {"field": "Accept", "transfer_syntax": syntax}
            )
        headers: list[dict[str, Any]] = msgspec.json.decode(_made([text for _, text in found], base))
        for header, (place, _) in zip(headers, found, strict=True):
            colours.tell(header, place, syntax)
        return Body(msgspec.json.encode(headers))

    async def _packed(self, tag: str, body: bytes) -> bytes:
        packed = self._kept.get(tag)
        if packed is None:
            packed = Body(await asyncio.to_thread(gzip.compress, body, _QUICK))
            self._kept.put(tag, packed, len(packed.data))
        return packed.data


def _made(headers: list[str], base: str) -> bytes:
    whole = "[" + ",".join(_with_uris(text, base) for text in headers) + "]"
    return msgspec.json.format(whole.encode(), indent=-1)  # an eighth of it is spaces


def _with_uris(text: str, base: str) -> str:
    """Return a header in which long values that were left out say where they are (PS3.18 F.2.6)."""
    if not _LEFT_OUT.search(text):
        return text
    header: dict[str, Any] = msgspec.json.decode(text)
    uids = [header.get(tag, {}).get("Value", [""])[0] for tag in ("0020000D", "0020000E", "00080018")]
    _name_left_out(header, base + "{}/series/{}/instances/{}/bulkdata/".format(*uids))
    return msgspec.json.encode(header).decode()


def _name_left_out(data: dict[str, Any], base: str) -> None:
    for tag, element in data.items():
        if element.get("vr") == "SQ":
            for i, item in enumerate(element.get("Value") or ()):
                _name_left_out(item, f"{base}{tag}/{i}/")
        elif len(element) == 1 and _LEFT_OUT.fullmatch(f'{{"vr": "{element["vr"]}"}}'):
            element["BulkDataURI"] = base + tag
