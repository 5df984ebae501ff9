"""WADO-RS: whole instances, and what headers leave out (PS3.18 10.4)."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aiohttp import web

from actors.domain.errors import NotFound
from gateway.dicomweb import bulk
from gateway.dicomweb.answer import Multipart, cached, sending, unchanged
from gateway.dicomweb.negotiation import DICOM, OCTETS, accepted, dicom_form
from gateway.dicomweb.problem import BadRequest, NotAcceptable
from gateway.dicomweb.ranges import ACCEPTED, content_range, part, span
from gateway.dicomweb.straight import Sent, head, plain, pour
from gateway.dicomweb.transcode import OF_INSTANCES, UNENCODED
from storage.sealed import SEGMENT, Room

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import BinaryIO

    from actors.domain.identity import Principal
    from gateway.dicomweb.access import Reader
    from gateway.dicomweb.negotiation import Form
    from gateway.dicomweb.straight import Buffer
    from gateway.dicomweb.transcode import Transcoder
    from storage.dicom import Stored
    from storage.objects import ObjectStore

_CHUNK, _WHOLE = 1 << 18, 4 << 20  # bytes read at a time; read at once
_SEGMENTS = 8  # decrypted at a time
_PIECE = _SEGMENTS * SEGMENT
_PIECES, _SMALL = 6, 200  # pieces, and smaller ones, that are written at a time: 3 MB or more


def _uids(request: web.Request) -> tuple[str, ...]:
    given = request.match_info
    return tuple(given[name] for name in ("study", "series", "instance") if name in given)


def _heading(many: Multipart, place: Stored, size: int, transfer_syntax: str | None = None) -> bytes:
    location = f"/dicom-web/studies/{place.study_uid}/series/{place.series_uid}/instances/{place.sop_uid}"
    return many.head(f"{DICOM}; transfer-syntax={transfer_syntax or place.transfer_syntax}", size, location)


class Wado:
    """Handlers of retrieve."""

    def __init__(self, reader: Reader, store: ObjectStore, transcoder: Transcoder) -> None:
        self._reader, self._store, self._transcoder = reader, store, transcoder

    async def instances(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """A study, series or instance: DICOM files, byte for byte as received unless another transfer syntax is asked for."""
        places = await self._reader.stored(who, *_uids(request))
        form = dicom_form(request, len(places), {place.transfer_syntax for place in places}, OF_INSTANCES)
        if form.multipart:
            ready = form.stored and all(place.study_uid == place.header_study_uid for place in places)
            straight = ready and plain(request)
            return await (self._parts(request, places) if straight else self._made_parts(request, places, form))
        return await self._alone(request, places[0], form)

    async def _alone(self, request: web.Request, place: Stored, form: Form) -> web.StreamResponse:
        kept = cached(place, DICOM) if form.stored else cached(place, DICOM, form.transfer_syntax)
        if (answer := unchanged(request, kept)) is not None:
            return answer
        headers = kept | ACCEPTED | {"Content-Type": _kind(place, form)}
        data = await self._rewritten(place, form)
        size = place.size if data is None else len(data)
        status, asked = 200, span(request, size, kept["ETag"])
        if asked is not None:
            status, headers = 206, headers | content_range(asked, size)
        start, stop = asked or (0, size)
        sent = web.StreamResponse(status=status, headers=headers)
        sent.content_length = stop - start
        async with sending(request, sent):
            if request.method != "HEAD":
                await self._write(sent, place, data, start, stop)
        return sent

    async def _made_parts(self, request: web.Request, places: list[Stored], form: Form) -> web.StreamResponse:
        """Send instances as parts, each transcoded, or put under our study's UID, when its turn comes."""
        first = await self._rewritten(places[0], form)  # refused, if at all, before the answer begins
        syntax = None if form.stored else form.transfer_syntax
        for place in [] if form.stored or form.transfer_syntax in UNENCODED else places[1:]:
            if not await self._transcoder.can(place, form.transfer_syntax):
                raise NotAcceptable(f"Not all instances have a form in {syntax}.")
        many = Multipart(DICOM)
        answer = web.StreamResponse(headers={"Content-Type": many.content_type, "Cache-Control": "private, no-cache"})
        async with sending(request, answer):
            for place in places if request.method != "HEAD" else []:
                data = first if place is places[0] else await self._rewritten(place, form)
                size = place.size if data is None else len(data)
                await answer.write(_heading(many, place, size, syntax))
                await self._write(answer, place, data, 0, size)
                await answer.write(b"\r\n")
            if request.method != "HEAD":
                await answer.write(many.end)
        return answer

    async def _parts(self, request: web.Request, places: list[Stored]) -> web.StreamResponse:
        """Send instances as parts, read and decrypted in a thread that writes them."""
        many = Multipart(DICOM)
        headers = {"Content-Type": many.content_type, "Cache-Control": "private, no-cache"}
        size = sum(len(_heading(many, place, place.size)) + place.size + 2 for place in places) + len(many.end)
        groups = self._groups(many, places, head(request, headers, size))
        try:
            await pour(request, groups)
        except BaseException:
            if request.transport is not None:
                request.transport.abort()
            raise
        return Sent(request)

    def _groups(self, many: Multipart, places: list[Stored], before: bytes) -> Generator[Sequence[Buffer], None, None]:
        """Yield what is written of an answer, some buffers at a time, each good until the next but one (blocking)."""
        first = Room(_SEGMENTS)
        rooms = [[Room(_SEGMENTS, beside=first) for _ in range(_PIECES)] for _ in range(2)]
        batch: list[Buffer] = [before]
        used = small = turn = 0
        for place in places:
            batch.append(_heading(many, place, place.size))
            with self._store.open(place.path) as file:
                for start in range(0, place.size, _PIECE):
                    piece = self._piece(file, start, min(_PIECE, place.size - start), rooms[turn][used])
                    if len(piece) > SEGMENT:
                        used += 1
                    else:
                        piece, small = bytes(piece), small + 1  # whole files, or what is left of one
                    batch.append(piece)
                    if used == _PIECES or small == _SMALL:
                        yield batch
                        batch, used, small, turn = [], 0, 0, 1 - turn
            batch.append(b"\r\n")
        yield [*batch, many.end]

    def _piece(self, file: BinaryIO, start: int, size: int, room: Room) -> Buffer:
        pieces = self._store.pieces(file, (start, size), room)
        data = file.read(size) if pieces is None else next(pieces)
        if len(data) < size:
            raise ConnectionResetError("a stored file is shorter than its row says")
        return data

    async def _rewritten(self, place: Stored, form: Form) -> bytes | None:
        """Return the bytes of an instance that is transcoded, or of a study kept apart; None for all others."""
        if not form.stored and form.transfer_syntax != place.transfer_syntax:
            return await self._transcoder.instance(place, form.transfer_syntax)
        if place.study_uid == place.header_study_uid:
            return None
        return await asyncio.to_thread(self._renamed, place)

    def _part(self, place: Stored, start: int, stop: int) -> memoryview:
        data = self._store.piece(place.path, (start, stop - start))
        if len(data) < stop - start:
            raise ConnectionResetError("a stored file is shorter than its row says")
        return data

    def _renamed(self, place: Stored) -> bytes:
        with self._store.open(place.path) as file:
            return bulk.renamed(file, place.study_uid)

    def _value(self, place: Stored, name: str) -> bytes | None:
        with self._store.open(place.path) as file:
            return bulk.value(file, name)

    async def _write(
        self, answer: web.StreamResponse, place: Stored, data: bytes | None, start: int, stop: int
    ) -> None:
        if data is not None:
            await answer.write(data[start:stop])
            return
        if stop - start <= _WHOLE:
            await answer.write(await asyncio.to_thread(self._part, place, start, stop))
            return
        file = await asyncio.to_thread(self._store.open, place.path)
        try:
            await asyncio.to_thread(file.seek, start)
            while start < stop:
                chunk = await asyncio.to_thread(file.read, min(_CHUNK, stop - start))
                if not chunk:
                    raise ConnectionResetError("a stored file is shorter than its row says")
                await answer.write(chunk)
                start += len(chunk)
        finally:
            file.close()

    async def bulkdata(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """``…/bulkdata/{path}``: the value of one element, ``TAG`` or ``TAG/ITEM/TAG``."""
        [place] = await self._reader.stored(who, *_uids(request))
        path = request.match_info["path"].upper()
        if not re.fullmatch(r"[0-9A-F]{8}(/\d{1,5}/[0-9A-F]{8}){0,8}", path):
            raise BadRequest("Bulk data are named TAG or TAG/ITEM/TAG.", "path")
        multipart = _octets(request)
        kept = cached(place, "bulk", path, str(multipart))
        if (answer := unchanged(request, kept)) is not None:
            return answer
        data = await asyncio.to_thread(self._value, place, path)
        if data is None:
            raise NotFound
        if not multipart:
            return part(request, data, kept | {"Content-Type": OCTETS})
        many = Multipart(OCTETS)
        body = many.part(OCTETS, data, request.path) + many.end
        return web.Response(body=body, headers=kept | {"Content-Type": many.content_type})


def _kind(place: Stored, form: Form) -> str:
    """Return the Content-Type of an instance."""
    return f"{DICOM}; transfer-syntax={place.transfer_syntax if form.stored else form.transfer_syntax}"


def _octets(request: web.Request) -> bool:
    """Whether bulk data are sent as a part; else alone.

    Raises:
        NotAcceptable: no form of octets is accepted.
    """
    for range_ in accepted(request):
        if range_.media == "multipart/related" and (range_.param("type") or OCTETS).lower() in (OCTETS, "*/*"):
            return True
        if range_.media in (OCTETS, "application/*", "*/*"):
            return False
    raise NotAcceptable(f"Bulk data are available as {OCTETS}.")
