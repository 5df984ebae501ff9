"""Rendered images and thumbnails: a frame as a screen would show it, as JPEG or PNG (PS3.18 10.4.1.1.3, 8.3.5)."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import imagecodecs
import msgspec
import numpy as np
from aiohttp import web

from gateway.dicomweb import grayscale, resize
from gateway.dicomweb.answer import VARY, cached, unchanged
from gateway.dicomweb.decode import decode, space, to_rgb
from gateway.dicomweb.frames import numbers
from gateway.dicomweb.grayscale import Picture, Window
from gateway.dicomweb.negotiation import rendered_media
from gateway.dicomweb.pixeldata import Unreadable
from gateway.dicomweb.problem import BadRequest, NotAcceptable

if TYPE_CHECKING:
    from multidict import MultiMapping
    from numpy.typing import NDArray

    from actors.domain.identity import Principal
    from gateway.dicomweb.access import Reader
    from gateway.dicomweb.frames import Images
    from storage.dicom import Stored

_THUMBNAIL = 256
_MOST_SIDE = 8192
_NUMBER = re.compile(r"[+-]?\d{1,7}(\.\d{0,6})?")
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_CACHED = 256


@dataclass(frozen=True, slots=True)
class Look:
    """How an image is to be shown."""

    media: str
    quality: int = 90
    box: tuple[int, int] | None = None
    region: tuple[int, int, int, int] | None = None
    window: Window | None = None


def look(given: MultiMapping[str], media: str, *, thumbnail: bool) -> Look:
    """Return what the parameters ``viewport``, ``window`` and ``quality`` say (PS3.18 8.3.5.1).

    Raises:
        BadRequest: one of them is wrong.
    """
    quality = _whole("quality", given.get("quality", "90"), 1, 100)
    box: tuple[int, int] | None = (_THUMBNAIL, _THUMBNAIL) if thumbnail else None
    region: tuple[int, int, int, int] | None = None
    if (text := given.get("viewport")) is not None:
        parts = text.split(",")
        if len(parts) not in (2, 6):
            raise BadRequest("viewport: expected width,height or width,height,x,y,width,height.", "viewport")
        box = _whole("viewport", parts[0], 1, _MOST_SIDE), _whole("viewport", parts[1], 1, _MOST_SIDE)
        if any(part.strip() for part in parts[2:]):
            x, y, width, height = (_whole("viewport", part or "0", -65535, 65535) for part in parts[2:])
            region = x, y, width or 65535, height or 65535
    return Look(media, quality, box, region, _window(given.get("window")))


def _whole(name: str, text: str, low: int, high: int) -> int:
    text = text.strip()
    if not _NUMBER.fullmatch(text) or not low <= round(float(text)) <= high:
        raise BadRequest(f"{name}: expected numbers from {low} to {high}.", name)
    return round(float(text))


def _window(text: str | None) -> Window | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    center, width, function = (*parts, "", "", "")[:3]
    name = _FUNCTIONS.get(function.lower() or "linear")
    right = len(parts) in (2, 3) and _NUMBER.fullmatch(center) and _NUMBER.fullmatch(width)
    if not right or name is None or float(width) <= 0:
        raise BadRequest("window: expected center,width,function, the last linear, linear-exact or sigmoid.", "window")
    return Window(float(center), float(width), name)


class Rendered:
    """Handlers of ``/rendered`` and ``/thumbnail``."""

    def __init__(self, reader: Reader, images: Images) -> None:
        self._reader, self._images = reader, images
        self._rendering = asyncio.Semaphore(2)
        self._made: dict[str, bytes] = {}

    async def rendered(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """``…/rendered`` of frames, an instance, a series or a study; of several images the middle one."""
        return await self._answer(request, who, thumbnail=False)

    async def thumbnail(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """``…/thumbnail`` of frames, an instance, a series or a study."""
        return await self._answer(request, who, thumbnail=True)

    async def _answer(self, request: web.Request, who: Principal, *, thumbnail: bool) -> web.StreamResponse:
        given = request.match_info
        uids = [given[name] for name in ("study", "series", "instance") if name in given]
        place = _middle([one for one in await self._reader.stored(who, *uids) if one.image])
        wanted = numbers(given["frames"]) if "frames" in given else []
        if len(wanted) > 1:
            raise NotAcceptable("One frame is rendered at a time.")
        how = look(request.query, rendered_media(request), thumbnail=thumbnail)
        kept = cached(place, "rendered", str(how), str(wanted))
        if "instance" not in given:  # more images may come
            kept |= {"Cache-Control": "private, no-cache", "Vary": VARY}
        if (answer := unchanged(request, kept)) is not None:
            return answer
        made = self._made.get(kept["ETag"])
        if made is None:
            [header] = await self._reader.headers(who, place.study_uid, place.series_uid, place.sop_uid)
            async with self._rendering:
                made = await asyncio.to_thread(self.render, place, header, wanted[0] if wanted else None, how)
            if len(self._made) >= _CACHED:
                self._made.pop(next(iter(self._made)))
            self._made[kept["ETag"]] = made
        return web.Response(body=made, headers=kept | {"Content-Type": how.media})

    def render(self, place: Stored, header_text: str, frame: int | None, how: Look) -> bytes:
        """Return a frame, the middle one when none is named, as a picture (blocking).

        Raises:
            NotFound: there are fewer frames.
            NotAcceptable: it cannot be decoded.
        """
        layout = self._images.layout(place)
        number = frame or (layout.count + 1) // 2
        [data] = self._images.frames(place, [number])
        header: dict[str, Any] = msgspec.json.decode(header_text)
        try:
            pixels = decode(data, layout.shape, place.transfer_syntax, encapsulated=layout.encapsulated)
        except Unreadable as exc:
            raise NotAcceptable(f"This image cannot be rendered: {exc}.") from exc
        picture = Picture(header, layout.shape, number, lambda name: self._images.value(place, name))
        if layout.shape.photometric == "PALETTE COLOR" and pixels.ndim == 2:  # noqa: PLR2004
            shown = grayscale.palette(pixels, picture)
        elif pixels.ndim == 3:  # noqa: PLR2004
            kind = space(layout.shape, place.transfer_syntax, encapsulated=layout.encapsulated)
            shown = to_rgb(pixels, kind, layout.shape.stored)
        else:
            shown = grayscale.gray(pixels, picture, how.window)
        return _encoded(_viewed(shown, how), how)


def _middle(places: list[Stored]) -> Stored:
    if not places:
        raise NotAcceptable("There is no image here to render.")
    return places[len(places) // 2]


def _viewed(shown: NDArray[np.uint8], how: Look) -> NDArray[np.uint8]:
    if how.region is not None:
        shown = resize.crop(shown, *how.region)
    if not math.prod(shown.shape):
        raise BadRequest("viewport: the region lies outside the image.", "viewport")
    return shown if how.box is None else resize.fit(shown, *how.box)


def _encoded(shown: NDArray[np.uint8], how: Look) -> bytes:
    shown = np.ascontiguousarray(shown)
    if how.media == "image/png":
        return bytes(imagecodecs.png_encode(shown))
    return bytes(imagecodecs.jpeg8_encode(shown, level=how.quality))
