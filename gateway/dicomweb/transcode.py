"""Frames and instances in another transfer syntax than the stored, made in a thread, kept in memory (PS3.18 8.7.3, 8.7.10)."""

from __future__ import annotations

import asyncio
import io
import warnings
from typing import TYPE_CHECKING

import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from actors.domain.errors import Overloaded
from gateway.dicomweb import encode, pixeldata
from gateway.dicomweb.decode import decode, space
from gateway.dicomweb.metadata import Kept
from gateway.dicomweb.negotiation import EXPLICIT_LITTLE, NATIVE
from gateway.dicomweb.pixeldata import BIG, DEFLATED, Unreadable
from gateway.dicomweb.problem import NotAcceptable
from gateway.ingest.header import slow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from pydicom.dataset import Dataset

    from gateway.dicomweb.frames import Images
    from storage.dicom import Stored
    from storage.objects import ObjectStore

    T = TypeVar("T")

UNENCODED = frozenset({EXPLICIT_LITTLE, DEFLATED})
OF_INSTANCES = UNENCODED | encode.LOSSLESS  # what is lossy is another instance (PS3.3 C.7.6.1.1.5)
_AT_ONCE, _WAITING = 2, 64
_KEPT_BYTES = 64 << 20
_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


class Transcoder:
    """Two at a time, a queue that ends, and what was made last; what is kept is known by its file's digest."""

    def __init__(self, images: Images, store: ObjectStore) -> None:
        self._images, self._store = images, store
        self._room, self._waiting = asyncio.Semaphore(_AT_ONCE), 0
        self._kept = Kept[bytes](_KEPT_BYTES)

    async def frames(self, place: Stored, wanted: Sequence[int], transfer_syntax: str) -> list[bytes]:
        """Return frames in a transfer syntax.

        Raises:
            NotFound: there are fewer frames.
            NotAcceptable: they cannot be decoded, or the syntax cannot hold them.
            Overloaded: too many wait.
        """
        keys = [(place.sha256, place.sop_uid, number, transfer_syntax) for number in wanted]
        found = {key: data for key in keys if (data := self._kept.get(key)) is not None}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        if missing:
            numbers = [key[2] for key in missing]
            made = await self._run(lambda: encoded(self._images, place, numbers, transfer_syntax))
            for key, data in zip(missing, made, strict=True):
                self._kept.put(key, data, len(data))
                found[key] = data
        return [found[key] for key in keys]

    async def can(self, place: Stored, transfer_syntax: str) -> bool:
        """Whether frames of an image fit into a transfer syntax.

        Raises:
            NotAcceptable: it is no image.
        """
        layout = await asyncio.to_thread(self._images.layout, place)
        return transfer_syntax == EXPLICIT_LITTLE or encode.writable(layout.shape, transfer_syntax)

    async def instance(self, place: Stored, transfer_syntax: str) -> bytes:
        """Return a whole instance in a transfer syntax, under our Study Instance UID.

        Raises:
            NotAcceptable: it cannot be made.
            Overloaded: too many wait.
        """
        key = (place.sha256, place.sop_uid, place.study_uid, transfer_syntax)
        made = self._kept.get(key)
        if made is None:
            made = await self._run(lambda: instance(self._images, self._store, place, transfer_syntax))
            if len(made) < _KEPT_BYTES // 4:
                self._kept.put(key, made, len(made))
        return made

    async def _run(self, make: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(make)
        finally:
            self._waiting -= 1


def encoded(images: Images, place: Stored, wanted: Sequence[int], transfer_syntax: str) -> list[bytes]:
    """Return frames in a transfer syntax (blocking).

    Raises:
        NotFound: there are fewer frames.
        NotAcceptable: they cannot be decoded, or the syntax cannot hold them.
    """
    if transfer_syntax == EXPLICIT_LITTLE:
        return images.frames(place, wanted, stored=False)
    layout = images.layout(place)
    if not encode.writable(layout.shape, transfer_syntax):
        raise NotAcceptable(f"These frames have no form in {transfer_syntax}.", {"transfer_syntax": transfer_syntax})
    colours = space(layout.shape, place.transfer_syntax, encapsulated=layout.encapsulated)
    try:
        return [
            encode.encode(
                decode(data, layout.shape, place.transfer_syntax, encapsulated=layout.encapsulated),
                layout.shape, colours, transfer_syntax,
            )
            for data in images.frames(place, wanted)
        ]  # fmt: skip
    except Unreadable as exc:
        raise NotAcceptable(f"The frame cannot be transcoded: {exc}.") from exc


def instance(images: Images, store: ObjectStore, place: Stored, transfer_syntax: str) -> bytes:
    """Return a whole instance in a transfer syntax (blocking).

    Raises:
        NotAcceptable: it cannot be made.
    """
    pixels = _pixels(images, place, transfer_syntax)
    with slow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with store.open(place.path) as file:
                data = pydicom.dcmread(file)
            if place.transfer_syntax == BIG:
                data.walk(_turned)
            if pixels is not None:
                _put(data, images.layout(place), place, pixels, transfer_syntax)
            data.StudyInstanceUID = place.study_uid
            data.file_meta.TransferSyntaxUID = UID(transfer_syntax)
            out = io.BytesIO()
            pydicom.dcmwrite(out, data, implicit_vr=False, little_endian=True, enforce_file_format=True)
        except (AttributeError, ValueError, KeyError, TypeError, RuntimeError, NotImplementedError) as exc:
            raise NotAcceptable(f"The instance cannot be transcoded: {type(exc).__name__}.") from exc
    return out.getvalue()


def _pixels(images: Images, place: Stored, transfer_syntax: str) -> list[bytes] | None:
    """Return the frames that replace the stored ones; None when those stay as they are."""
    if not place.image and transfer_syntax in UNENCODED:
        return None
    if place.transfer_syntax in NATIVE and transfer_syntax in UNENCODED:
        if place.transfer_syntax != BIG or not place.image:
            return None
        shape = images.layout(place).shape
        if shape.floating or shape.allocated == 1:  # turned with all else
            return None
    wanted = range(1, images.layout(place).count + 1)
    return encoded(images, place, wanted, EXPLICIT_LITTLE if transfer_syntax in UNENCODED else transfer_syntax)


def _put(
    data: Dataset, layout: pixeldata.Layout, place: Stored, frames: list[bytes], transfer_syntax: str
) -> None:  # fmt: skip
    """Set pixel data, and what describes them (PS3.3 C.7.6.3)."""
    plain = transfer_syntax in UNENCODED
    joined = b"".join(frames) if plain else encapsulate(frames)
    data.PixelData = joined + b"\0" * (len(joined) % 2)
    data["PixelData"].VR = "OW" if plain and layout.shape.allocated > 8 else "OB"  # noqa: PLR2004 - PS3.5 A.2
    data["PixelData"].is_undefined_length = not plain
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in data:
            delattr(data, keyword)
    if layout.shape.samples > 1:
        data.PlanarConfiguration = 0
        data.PhotometricInterpretation = space(layout.shape, place.transfer_syntax, encapsulated=layout.encapsulated)
        if data.PhotometricInterpretation == "YBR_FULL_422":  # decoded to full pixels, big endian ones too
            data.PhotometricInterpretation = "YBR_FULL"


def _turned(_: Dataset, element: pydicom.DataElement) -> None:
    """Turn the bytes of words, which pydicom leaves as they came, to little endian."""
    size = _WORDS.get(element.VR, 1)
    if size > 1 and isinstance(element.value, bytes) and len(element.value) % size == 0:
        element.value = pixeldata.turned(element.value, size)
