"""Where the frames of an instance lie in its file: top-level elements, fragments, offset tables.

Reads a file by pieces, so a frame of a long run costs its own bytes only (PS3.5 7, 8.2, A.4; PS3.3 C.7.6.3).
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from actors.domain.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

UNDEFINED = 0xFFFFFFFF
PIXELS, FLOATS, DOUBLES = 0x7FE00010, 0x7FE00008, 0x7FE00009
_OFFSETS, _LENGTHS = 0x7FE00001, 0x7FE00002
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_WIDE = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_BLOCK = 1 << 15
_DEPTH = 64
_SMALL = 128
_MOST_INFLATED = 1 << 30
_ENDS = (b"\xff\xd9", b"\xff\xd9\x00")  # EOI of JPEG, EOC of JPEG 2000, padded or not


class Unreadable(Exception):
    """The file is not what its row says."""


class Element(NamedTuple):
    """Where a value lies."""

    vr: bytes  # empty when implicit
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The image pixel description (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    signed: bool
    planar: bool
    photometric: str
    floating: bool = False

    @property
    def bits(self) -> int:
        """Bits of a frame in native form."""
        pixels = self.rows * self.columns
        if self.samples == 3 and self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422"):  # noqa: PLR2004
            return pixels * 2 * self.allocated
        return pixels * self.samples * self.allocated


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file holds; ``fragments`` lists the pieces of each frame when encapsulated."""

    shape: Shape
    pixels: Element
    elements: dict[int, Element]
    big: bool
    explicit: bool
    fragments: tuple[tuple[tuple[int, int], ...], ...] = ()

    @property
    def encapsulated(self) -> bool:
        """Whether the frames are fragments."""
        return self.pixels.length == UNDEFINED

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.fragments) if self.encapsulated else self.shape.frames


class Source:
    """A file read through a block of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._start, self._block = file, 0, b""

    def at(self, offset: int, size: int) -> bytes:
        """Return bytes; fewer than ``size`` at the end."""
        begin = offset - self._start
        if begin < 0 or begin + size > len(self._block):
            self._file.seek(offset)
            self._start, self._block = offset, self._file.read(max(size, _BLOCK))
            begin = 0
        return self._block[begin : begin + size]

    def exactly(self, offset: int, size: int) -> bytes:
        """Return bytes past the block, which stays as it is."""
        self._file.seek(offset)
        return self._file.read(size)


def open_data(file: BinaryIO, transfer_syntax: str) -> tuple[Source, int]:
    """Return a source and where the data set begins in it; a deflated one is inflated.

    Raises:
        Unreadable: it cannot be inflated, or is suspiciously large.
    """
    source = Source(file)
    start = _data_set(source)
    if transfer_syntax != DEFLATED:
        return source, start
    file.seek(start)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflate.decompress(file.read(), _MOST_INFLATED)
    except zlib.error as exc:
        raise Unreadable("it does not inflate") from exc
    if inflate.unconsumed_tail:
        raise Unreadable("it inflates beyond reason")
    return Source(io.BytesIO(data)), 0


def _data_set(source: Source) -> int:
    """Return where the data set begins, behind the preamble and group 0002 (PS3.10 7.1)."""
    if source.at(128, 4) != b"DICM":
        return 0
    at = 132
    while True:
        head = source.at(at, 12)
        if len(head) < 8 or head[:2] != b"\2\0":  # noqa: PLR2004
            return at
        wide = head[4:6] in _WIDE
        at += 12 + int.from_bytes(head[8:12], "little") if wide else 8 + int.from_bytes(head[6:8], "little")


@dataclass(slots=True)
class _Walk:
    """One pass over the top level of a data set, stopping at the pixels."""

    source: Source
    explicit: bool
    big: bool
    at: int
    elements: dict[int, Element] = field(default_factory=dict)

    def run(self) -> Element | None:
        """Fill ``elements`` and return the pixel data, None when there are none."""
        while True:
            if len(self.source.at(self.at, 8)) < 8:  # noqa: PLR2004
                return None
            tag, vr, length = self._head(explicit=self.explicit)
            found = Element(vr, self.at, length)
            if tag in (PIXELS, FLOATS, DOUBLES):
                self.elements[tag] = found
                return found
            self.elements[tag] = found
            if length == UNDEFINED:
                self._sequence(explicit=self.explicit and vr != b"UN", depth=0)
            else:
                self.at += length

    def _head(self, *, explicit: bool) -> tuple[int, bytes, int]:
        order = ">" if self.big else "<"
        head = self.source.at(self.at, 12)
        try:
            group, number = struct.unpack_from(order + "HH", head)
            tag = group << 16 | number
            if not explicit or group == 0xFFFE:  # noqa: PLR2004
                self.at += 8
                return tag, b"", struct.unpack_from(order + "I", head, 4)[0]
            vr = head[4:6]
            if vr in _WIDE:
                self.at += 12
                return tag, vr, struct.unpack_from(order + "I", head, 8)[0]
            self.at += 8
            return tag, vr, struct.unpack_from(order + "H", head, 6)[0]
        except struct.error as exc:
            raise Unreadable("an element has no end") from exc

    def _sequence(self, *, explicit: bool, depth: int) -> None:
        if depth > _DEPTH:
            raise Unreadable("sequences nest too deeply")
        while True:
            tag, _, length = self._head(explicit=explicit)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise Unreadable("no item in a sequence")
            if length != UNDEFINED:
                self.at += length
            else:
                self._item(explicit=explicit, depth=depth)

    def _item(self, *, explicit: bool, depth: int) -> None:
        while True:
            tag, vr, length = self._head(explicit=explicit)
            if tag == _ITEM_END:
                return
            if length != UNDEFINED:
                self.at += length
            else:
                self._sequence(explicit=explicit and vr != b"UN", depth=depth + 1)


def locate(source: Source, start: int, transfer_syntax: str) -> Layout:
    """Return the layout of an image.

    Raises:
        Unreadable: it holds no pixel data, or not such as it says.
    """
    walk = _Walk(source, _explicit(source, start, transfer_syntax), transfer_syntax == BIG, start)
    pixels = walk.run()
    if pixels is None:
        raise Unreadable("it holds no pixel data")
    shape = _shape(walk)
    fragments = _fragments(source, walk, pixels, shape.frames) if pixels.length == UNDEFINED else ()
    return Layout(shape, pixels, walk.elements, walk.big, walk.explicit, fragments)


def _explicit(source: Source, start: int, transfer_syntax: str) -> bool:
    """Whether value representations are written; what the first element shows outranks what was negotiated."""
    vr = source.at(start, 6)[4:]
    shown = vr.isalpha() and vr.isupper()
    return shown if transfer_syntax != BIG else True


def _shape(walk: _Walk) -> Shape:
    def raw(tag: int) -> bytes:
        element = walk.elements.get(tag)
        return walk.source.at(element.offset, element.length) if element and element.length <= _SMALL else b""

    def number(tag: int, default: int) -> int:
        return int.from_bytes(raw(tag)[:2], "big" if walk.big else "little") if raw(tag) else default

    text = raw(0x00280008).decode("ascii", "replace").strip("\0 ")
    allocated = number(0x00280100, 16)
    return Shape(
        rows=number(0x00280010, 0),
        columns=number(0x00280011, 0),
        samples=number(0x00280002, 1),
        frames=max(int(text), 1) if text.isdecimal() else 1,
        allocated=allocated,
        stored=number(0x00280101, allocated),
        signed=number(0x00280103, 0) == 1,
        planar=number(0x00280006, 0) == 1,
        photometric=raw(0x00280004).decode("ascii", "replace").strip("\0 "),
        floating=PIXELS not in walk.elements,
    )


def _fragments(source: Source, walk: _Walk, pixels: Element, frames: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return the pieces of each frame (PS3.5 A.4), by whichever of four ways fits."""
    items = _items(source, pixels.offset)
    if not items:
        raise Unreadable("pixel data without an offset table")
    table, *pieces = items
    if not pieces:
        return ()
    starts, lengths = _extended(source, walk)
    if not starts:
        starts = _words(source.exactly(*table), "I")
    grouped = _by_offsets(pieces, starts, frames)
    if grouped is not None:
        if lengths and len(lengths) == len(grouped) and all(len(frame) == 1 for frame in grouped):
            return tuple(((frame[0][0], min(size, frame[0][1])),) for frame, size in zip(grouped, lengths, strict=True))
        return grouped
    if len(pieces) == frames:
        return tuple((piece,) for piece in pieces)
    if frames == 1:
        return (tuple(pieces),)
    return _by_ends(source, pieces, frames)


def _items(source: Source, at: int) -> list[tuple[int, int]]:
    """Return offset and length of each item; the first is the basic offset table."""
    items: list[tuple[int, int]] = []
    while len(head := source.at(at, 8)) == 8:  # noqa: PLR2004
        group, number, length = struct.unpack("<HHI", head)
        if group << 16 | number != _ITEM or length == UNDEFINED:
            break
        items.append((at + 8, length))
        at += 8 + length
    return items


def _words(raw: bytes, code: str) -> list[int]:
    size = struct.calcsize(code)
    return list(struct.unpack(f"<{len(raw) // size}{code}", raw[: len(raw) // size * size]))


def _extended(source: Source, walk: _Walk) -> tuple[list[int], list[int]]:
    found = [walk.elements.get(tag) for tag in (_OFFSETS, _LENGTHS)]
    offsets, lengths = (_words(source.exactly(e.offset, e.length), "Q") if e else [] for e in found)
    return offsets, lengths


def _by_offsets(
    pieces: Sequence[tuple[int, int]], starts: Sequence[int], frames: int
) -> tuple[tuple[tuple[int, int], ...], ...] | None:
    """Group pieces by an offset table; None when it does not fit (offsets count from the first item's tag)."""
    if len(starts) != frames:
        return None
    base = pieces[0][0] - 8
    index = {offset - 8 - base: i for i, (offset, _) in enumerate(pieces)}
    firsts = [index.get(start, -1) for start in starts]
    if firsts[0] != 0 or any(a >= b for a, b in pairwise(firsts)):
        return None
    return tuple(tuple(pieces[a:b]) for a, b in zip(firsts, [*firsts[1:], len(pieces)], strict=True))


def _by_ends(source: Source, pieces: Sequence[tuple[int, int]], frames: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Group pieces by the code stream's end markers."""
    grouped: list[tuple[tuple[int, int], ...]] = []
    frame: list[tuple[int, int]] = []
    for offset, length in pieces:
        frame.append((offset, length))
        if source.exactly(offset + max(length - 3, 0), min(length, 3)).endswith(_ENDS):
            grouped.append(tuple(frame))
            frame = []
    if frame:
        grouped.append(tuple(frame))
    if len(grouped) != frames:
        raise Unreadable("its fragments cannot be told apart")
    return tuple(grouped)


def frame(source: Source, layout: Layout, number: int) -> bytes:
    """Return a frame, counted from 1: as encapsulated, or native in little endian.

    Raises:
        NotFound: there are fewer frames.
    """
    if not 1 <= number <= layout.count:
        raise NotFound(f"There are {layout.count} frames.")
    if layout.encapsulated:
        return b"".join(source.exactly(*piece) for piece in layout.fragments[number - 1])
    return _native(source, layout, number)


def _native(source: Source, layout: Layout, number: int) -> bytes:
    bits = layout.shape.bits
    begin, end = (number - 1) * bits, number * bits
    first, last = begin // 8, -(-end // 8)
    swap = _swapped(layout)
    low, high = first // swap * swap, -(-last // swap) * swap
    raw = source.exactly(layout.pixels.offset + low, min(high, layout.pixels.length) - low)
    if swap > 1:
        raw = raw[: len(raw) // swap * swap]
        raw = turned(raw, swap)
    raw = raw[first - low : last - low]
    shift = begin % 8
    if shift == 0:
        return raw
    whole = int.from_bytes(raw, "little") >> shift  # frames of single bits follow each other without padding
    return (whole & ((1 << bits) - 1)).to_bytes(-(-bits // 8), "little")


def turned(raw: bytes, size: int) -> bytes:
    """Return words of a size with their bytes in the other order."""
    swapped = bytearray(len(raw))
    for i in range(size):
        swapped[i::size] = raw[size - 1 - i :: size]
    return bytes(swapped)


def _swapped(layout: Layout) -> int:
    """Return the size of the words whose bytes are in the other order."""
    if not layout.big:
        return 1
    if layout.shape.allocated > 8:  # noqa: PLR2004
        return layout.shape.allocated // 8
    return 1 if layout.pixels.vr == b"OB" else 2
