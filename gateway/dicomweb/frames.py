"""WADO-RS frames: the bytes of single frames, as stored or made native (PS3.18 10.4.1.1.2, 8.7.3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from actors.domain.errors import NotFound
from gateway.dicomweb import bulk, pixeldata
from gateway.dicomweb.answer import Multipart, cached, sending, unchanged, whole
from gateway.dicomweb.decode import decode
from gateway.dicomweb.negotiation import frames_forms
from gateway.dicomweb.problem import BadRequest, NotAcceptable
from gateway.dicomweb.straight import Sent, Straight, head, plain
from storage.sealed import Room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.identity import Principal
    from gateway.dicomweb.access import Reader
    from gateway.dicomweb.negotiation import Form
    from gateway.dicomweb.pixeldata import Layout
    from gateway.dicomweb.transcode import Transcoder
    from storage.dicom import Stored
    from storage.objects import ObjectStore

_BATCH = 16  # frames read at a time
_MOST = 5000  # frames of one request
_LAYOUTS = 2048  # that are remembered
_AT_ONCE = 16  # segments that a frame lies in, which is sent from the event loop: 1 MB


def numbers(text: str) -> list[int]:
    """Return a list of frame numbers, from 1.

    Raises:
        BadRequest: it is none.
    """
    parts = text.split(",")
    if len(parts) > _MOST or not all(p.isascii() and p.isdigit() and 0 < len(p) < 9 and int(p) for p in parts):  # noqa: PLR2004
        raise BadRequest("Frames are numbers from 1, with commas between them.", "frames")
    return [int(part) for part in parts]


class Images:
    """Frames of stored instances; where they lie in a file is remembered, as files never change."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._layouts: dict[tuple[str, str], Layout] = {}
        self._room = Room(_AT_ONCE)

    def value(self, place: Stored, name: str) -> bytes | None:
        """Return the bytes of an element that headers leave out (blocking)."""
        with self._store.open(place.path) as file:
            return bulk.value(file, name)

    def _locate(self, path: str, transfer_syntax: str) -> Layout:
        with self._store.open(path) as file:
            source, start = pixeldata.open_data(file, transfer_syntax)
            return pixeldata.locate(source, start, transfer_syntax)

    def layout(self, place: Stored) -> Layout:
        """Return the layout of an instance (blocking).

        Raises:
            NotAcceptable: it is no image, or one that cannot be read.
        """
        key = (place.path, place.transfer_syntax)
        layout = self._layouts.get(key)
        if layout is None:
            try:
                layout = self._locate(*key)
            except pixeldata.Unreadable as exc:
                raise NotAcceptable(f"This instance has no frames that can be read: {exc}.") from exc
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.pop(next(iter(self._layouts)), None)
            self._layouts[key] = layout
        return layout

    def message(
        self, place: Stored, number: int, many: Multipart | None, *heading: str, wait: bool
    ) -> memoryview | None:
        """Return a frame as stored as the whole body of an answer, in one buffer that it was decrypted into.

        Args:
            place: of the instance.
            number: of the frame, from 1.
            many: the message that it is the only part of; None: it comes alone.
            heading: type and location of the part.
            wait: for the disk.

        Raises:
            BlockingIOError: not to be had without waiting.
            NotFound: there are fewer frames.
            NotAcceptable: it is no image, or one that cannot be read.
        """
        if not wait and (place.path, place.transfer_syntax) not in self._layouts:
            raise BlockingIOError
        span = _extent(self.layout(place), place.transfer_syntax, number)
        if span is None:
            return None
        head, end = (b"", b"") if many is None else (many.head(heading[0], span[1], heading[1]), b"\r\n" + many.end)
        body = self._store.piece(place.path, span, before=len(head), after=len(end), wait=wait)
        if len(body) != len(head) + span[1] + len(end):
            return None
        body[: len(head)] = head
        body[len(body) - len(end) :] = end
        return body

    def at_once(self, place: Stored, number: int) -> memoryview | None:
        """Return a frame as stored, gone when the next is asked for; None when it is not in memory, long, or in pieces.

        Raises:
            NotFound: there are fewer frames.
        """
        layout = self._layouts.get((place.path, place.transfer_syntax))
        span = None if layout is None else _extent(layout, place.transfer_syntax, number)
        if span is None or not self._room.holds(span[0], sum(span)):
            return None
        with self._store.open(place.path) as file:
            pieces = self._store.pieces(file, span, self._room, wait=False)
            try:
                return None if pieces is None else next(pieces)
            except BlockingIOError:
                return None

    def frames(self, place: Stored, wanted: Sequence[int], *, stored: bool = True) -> list[bytes]:
        """Return frames as stored, or made native and little endian (blocking).

        Raises:
            NotFound: there are fewer frames.
            NotAcceptable: they cannot be read or decoded.
        """
        layout = self.layout(place)
        if max(wanted) > layout.count:
            raise NotFound(f"There are {layout.count} frames.")
        with self._store.open(place.path) as file:
            source, _ = pixeldata.open_data(file, place.transfer_syntax)
            found = [pixeldata.frame(source, layout, number) for number in wanted]
        if stored:
            return found
        try:
            return [
                decode(data, layout.shape, place.transfer_syntax, encapsulated=layout.encapsulated)
                .astype(f"<{'i' if layout.shape.signed else 'u'}{max(layout.shape.allocated // 8, 1)}")
                .tobytes()
                for data in found
            ]
        except pixeldata.Unreadable as exc:
            raise NotAcceptable(f"The frame cannot be made native: {exc}.") from exc


def _extent(layout: Layout, transfer_syntax: str, number: int) -> tuple[int, int] | None:
    """Return offset and size of a frame that lies in its file as it is sent; None when it must be put together.

    Raises:
        NotFound: there are fewer frames.
    """
    if not 1 <= number <= layout.count:
        raise NotFound(f"There are {layout.count} frames.")
    if transfer_syntax == pixeldata.DEFLATED or layout.big:
        return None
    if layout.encapsulated:
        pieces = layout.fragments[number - 1]
        return pieces[0] if len(pieces) == 1 else None
    first, odd = divmod((number - 1) * layout.shape.bits, 8)
    last = -(-number * layout.shape.bits // 8)
    if odd or last > layout.pixels.length:
        return None
    return layout.pixels.offset + first, last - first


class Frames:
    """Handlers of ``/frames/{list}``."""

    def __init__(self, reader: Reader, images: Images, transcoder: Transcoder) -> None:
        self._reader, self._images, self._transcoder = reader, images, transcoder

    async def frames(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """``…/instances/{instance}/frames/{frames}``."""
        place = await self._reader.place(who, *(request.match_info[n] for n in ("study", "series", "instance")))
        wanted = numbers(request.match_info["frames"])
        form = await self._form(request, place, len(wanted))
        kept = cached(place, "frames", request.match_info["frames"], str(form))
        if (answer := unchanged(request, kept)) is not None:
            return answer
        if len(wanted) == 1:
            if form.stored and (sent := await self._as_it_lies(request, place, wanted[0], form, kept)) is not None:
                return sent
            [data] = await self._read(place, wanted, form)
            if not form.multipart:
                return web.Response(body=data, headers=kept | {"Content-Type": form.content_type})
            many = Multipart(form.media)
            body = many.part(form.content_type, data, str(request.rel_url)) + many.end
            return web.Response(body=body, headers=kept | {"Content-Type": many.content_type})
        return await self._stream(request, place, wanted, form, kept)

    async def _as_it_lies(
        self, request: web.Request, place: Stored, number: int, form: Form, kept: dict[str, str]
    ) -> web.StreamResponse | None:
        """Answer with a frame that need not be put together: at once when it is in memory, else from a thread."""
        many = Multipart(form.media) if form.multipart else None
        headers = kept | {"Content-Type": many.content_type if many else form.content_type}
        if plain(request) and (data := self._images.at_once(place, number)) is not None:
            first, last = (b"", b"")
            if many is not None:
                first, last = many.head(form.content_type, len(data), str(request.rel_url)), b"\r\n" + many.end
            connection = Straight(request)
            connection.put(head(request, headers, len(first) + len(data) + len(last)) + first, data, last)
            await connection.drain()
            return Sent(request)
        asked = (place, number, many, form.content_type, str(request.rel_url))
        try:
            body = self._images.message(*asked, wait=False)
        except BlockingIOError:
            body = await asyncio.to_thread(self._images.message, *asked, wait=True)
        if body is None:
            return None
        return await whole(request, headers, body.toreadonly())

    async def _read(self, place: Stored, wanted: Sequence[int], form: Form) -> list[bytes]:
        if form.stored:
            return await asyncio.to_thread(self._images.frames, place, wanted)
        return await self._transcoder.frames(place, wanted, form.transfer_syntax)

    async def _form(self, request: web.Request, place: Stored, count: int) -> Form:
        """Return the most wanted form that these frames have.

        Raises:
            NotAcceptable: they have none of them.
        """
        for form in frames_forms(request, place.transfer_syntax, count):
            if form.stored or await self._transcoder.can(place, form.transfer_syntax):
                return form
        raise NotAcceptable("Frames have no such form.")

    async def _stream(
        self, request: web.Request, place: Stored, wanted: Sequence[int], form: Form, kept: dict[str, str]
    ) -> web.StreamResponse:
        many = Multipart(form.media)
        first = await self._read(place, wanted[:_BATCH], form)  # refused, if at all, before the answer begins
        answer = web.StreamResponse(headers=kept | {"Content-Type": many.content_type})
        base = request.path.rpartition("/")[0]
        async with sending(request, answer):
            for at in range(0, len(wanted) if request.method != "HEAD" else 0, _BATCH):
                batch = wanted[at : at + _BATCH]
                found = first if at == 0 else await self._read(place, batch, form)
                for number, data in zip(batch, found, strict=True):
                    await answer.write(many.part(form.content_type, data, f"{base}/{number}"))
            if request.method != "HEAD":
                await answer.write(many.end)
        return answer
