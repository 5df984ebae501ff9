"""The fast way through a header: little endian, straight to DICOM JSON, stopping at the pixels (PS3.5 7.1).

Anything out of the ordinary raises :class:`Odd`, and pydicom has a look.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydicom.datadict import dictionary_VR

from gateway.ingest import dicom_json
from gateway.ingest.text import DEFAULT, encodings

if TYPE_CHECKING:
    from gateway.ingest.dicom_json import DataSet
    from gateway.ingest.text import Encodings

UNDEFINED = 0xFFFFFFFF
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET, SIGNED = 0x00080005, 0x00280103
DECIDING = frozenset({_CHARACTER_SET, SIGNED})  # for the elements that follow
_DELIMITERS = 0xFFFE
_FIRST_GROUP = 0x0008  # 0000 to 0007 are of commands and of the Part 10 header
_DEPTH = 32
WIDE = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_VRS = {vr.encode(): vr for vr in dicom_json.KNOWN}
_EXPLICIT, _IMPLICIT = struct.Struct("<HH2sH"), struct.Struct("<HHI")
_TAG, _SHORT, _LONG = struct.Struct("<HH"), struct.Struct("<H"), struct.Struct("<I")
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


class Odd(Exception):
    """Not what the fast way reads."""


class Short(Odd):
    """The bytes end before the header does."""


@lru_cache(maxsize=8192)
def _dictionary(tag: int) -> str:
    group, number = tag >> 16, tag & 0xFFFF
    if group & 1:
        return "LO" if 0x0010 <= number <= 0x00FF else "UN"  # noqa: PLR2004 - private creators, PS3.5 7.8.1
    if number == 0:
        return "UL"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


@lru_cache(maxsize=1 << 14)
def _plain(head: bytes) -> tuple[str, str] | None:
    """Return name and representation for tag and VR as they stand, if an element needs no second look."""
    if len(head) < 6:  # noqa: PLR2004
        return None
    group, number = struct.unpack_from("<HH", head)
    tag, code = group << 16 | number, head[4:]
    vr = _VRS.get(code)
    odd = vr is None or code in WIDE or not number or not _FIRST_GROUP <= group < _DELIMITERS
    return None if odd or vr is None or tag in (_CHARACTER_SET, SIGNED) else (f"{tag:08X}", vr)


def tag_at(data: bytes, at: int) -> int:
    """Return the tag that stands there; raises :class:`Short` when none does."""
    if at + 4 > len(data):
        raise Short("no element")
    group, number = _TAG.unpack_from(data, at)
    return int(group << 16 | number)


class _Scope:
    """What elements of one data set or item decide for those after them."""

    def __init__(self, codecs: Encodings) -> None:
        self.codecs, self.signed = codecs, False

    def element(self, tag: int, vr: str, raw: bytes) -> dict[str, Any]:
        """Return the element as DICOM JSON."""
        if tag == _CHARACTER_SET:
            self.codecs = encodings(raw)
        elif tag == SIGNED:
            self.signed = raw[:1] == b"\1"
        if vr == "UN" and not tag >> 16 & 1:
            vr = _dictionary(tag)  # known to us though not to the sender (PS3.5 6.2.2 note 2)
            if vr == "SQ":
                raise Odd("a sequence of unknown representation")
        if " " in vr:
            vr = _AMBIGUOUS.get(vr) or ("SS" if self.signed else "US")
        return _element(vr, raw, self.codecs) if len(raw) <= _SMALL else dicom_json.element(vr, raw, self.codecs)


# Images of a series agree in most of their header. Nothing changes an element once it is made.
_SMALL = 64
_element = lru_cache(maxsize=1 << 15)(dicom_json.element)


class Walker:
    """One pass over a data set, or over the beginning of one."""

    def __init__(self, data: bytes, *, explicit: bool) -> None:
        self._data, self._explicit, self.at = data, explicit, 0
        self.scope = _Scope(DEFAULT)
        self.pixels: tuple[int, int] | None = None  # offset and length of the pixel data

    def walk(self, marks: list[int] | None = None) -> DataSet:
        """Return the data set, from here up to the pixels, as DICOM JSON.

        Args:
            marks: gets the offset at which each element begins.

        Raises:
            Odd: something here is for pydicom to judge.
        """
        return self._elements(len(self._data), self.scope, 0, marks, ended=False)

    def step(self) -> dict[str, Any] | None:
        """Read one element, not of the pixels; return it as DICOM JSON, None when it says nothing.

        Raises:
            Odd: something here is for pydicom to judge, or the pixels begin.
        """
        tag, vr, length = self._head()
        if tag in PIXELS:
            raise Odd("the pixels")
        return self._read(tag, vr, length, self.scope, len(self._data), 0)

    def _elements(self, end: int, scope: _Scope, depth: int, marks: list[int] | None = None, *, ended: bool) -> DataSet:
        """Read to ``end``, or to an item delimiter when ``ended``."""
        out: DataSet = {}
        data = self._data
        while self.at < end:
            at = self.at
            if marks is not None:
                marks.append(at)
            plain = _plain(data[at : at + 6]) if self._explicit else None
            if plain is not None:
                stop = at + 8 + _SHORT.unpack_from(data, at + 6)[0] if at + 8 <= end else end + 1
                if stop <= end:
                    raw = data[at + 8 : stop]
                    make = _element if stop - at <= _SMALL else dicom_json.element
                    out[plain[0]] = make(plain[1], raw, scope.codecs)
                    self.at = stop
                    continue
            tag, vr, length = self._head()
            if ended and tag == _ITEM_END:
                return out
            if not depth and tag in PIXELS:
                self.pixels = (self.at, length)
                return out
            element = self._read(tag, vr, length, scope, end, depth)
            if element is not None:
                out[f"{tag:08X}"] = element
        if ended:
            raise Short("an item has no end")
        return out

    def _read(  # noqa: PLR0913, PLR0917 - a head, and where it stands
        self, tag: int, vr: str, length: int, scope: _Scope, end: int, depth: int
    ) -> dict[str, Any] | None:
        if not _FIRST_GROUP <= tag >> 16 < _DELIMITERS:
            raise Odd("a group that no data set has, or a delimiter out of place")
        if vr == "SQ" or length == UNDEFINED:
            return self._sequence(vr, length, scope.codecs, depth)
        value = self._value(length, end)
        return scope.element(tag, vr, value) if tag & 0xFFFF else None  # group lengths say nothing (PS3.5 7.2)

    def _value(self, length: int, end: int) -> bytes:
        at, self.at = self.at, self.at + length
        if self.at > end:
            raise Short("an element runs past the end")
        return self._data[at : self.at]

    def _head(self) -> tuple[int, str, int]:
        """Read tag, value representation and length; the position is then at the value."""
        data, at = self._data, self.at
        try:
            if not self._explicit:
                group, number, length = _IMPLICIT.unpack_from(data, at)
                self.at = at + 8
                tag = group << 16 | number
                return tag, _dictionary(tag), length
            group, number, code, length = _EXPLICIT.unpack_from(data, at)
            tag = group << 16 | number
            if group == _DELIMITERS:  # they have no value representation
                self.at = at + 8
                return tag, "", _LONG.unpack_from(data, at + 4)[0]
            vr = _VRS.get(code)
            if vr is None:
                raise Odd("no such value representation")
            if code in WIDE:
                self.at = at + 12
                return tag, vr, _LONG.unpack_from(data, at + 8)[0]
        except struct.error as exc:
            raise Short("an element has no end") from exc
        self.at = at + 8
        return tag, vr, length

    def _sequence(self, vr: str, length: int, codecs: Encodings, depth: int) -> dict[str, Any]:
        if depth >= _DEPTH or (self._explicit and vr != "SQ"):
            raise Odd("nested too deep, or an undefined length where none may be")
        end = len(self._data) if length == UNDEFINED else self.at + length
        if end > len(self._data):
            raise Short("a sequence runs past the end")
        items: list[DataSet] = []
        while self.at < end:
            item, _, size = self._head()
            if item == _SEQUENCE_END and length == UNDEFINED:
                break
            if item != _ITEM:
                raise Odd("no item in a sequence")
            stop = end if size == UNDEFINED else self.at + size
            if stop > end:
                raise Short("an item runs past its sequence")
            items.append(self._elements(stop, _Scope(codecs), depth + 1, ended=size == UNDEFINED))
        else:
            if length == UNDEFINED:
                raise Short("a sequence has no end")
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}


def walk(data: bytes, *, explicit: bool) -> tuple[DataSet, tuple[int, int] | None]:
    """Return the header as DICOM JSON, and offset and length of the pixel data if they begin within these bytes.

    Raises:
        Odd: something here is for pydicom to judge.
    """
    walker = Walker(data, explicit=explicit)
    return walker.walk(), walker.pixels
