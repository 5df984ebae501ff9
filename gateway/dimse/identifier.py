"""Identifiers: small data sets as DICOM JSON on the way in, encoded again on the way out (PS3.5 7.1, PS3.18 F.2)."""

from __future__ import annotations

import struct
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from gateway.ingest.header import IMPLICIT, Unparsable, careful
from gateway.ingest.text import encodings
from gateway.ingest.walk import WIDE, Odd, Walker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.ingest.dicom_json import DataSet, Element

CHARACTER_SET = "00080005"
UNICODE = "ISO_IR 192"

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_PN_PARTS = ("Alphabetic", "Ideographic", "Phonetic")


class NotAnIdentifier(Exception):
    """What came as an identifier cannot be read."""


def read(data: bytes, transfer_syntax: str) -> DataSet:
    """Return an identifier as DICOM JSON.

    Raises:
        NotAnIdentifier: it is no data set.
    """
    try:
        return Walker(data, explicit=transfer_syntax != IMPLICIT).walk()
    except Odd:
        try:
            return careful(data, transfer_syntax)
        except Unparsable as exc:
            raise NotAnIdentifier(str(exc)) from exc


def text(element: Element) -> str:
    """Return the values of an element as they stood in the data set, joined by backslashes."""
    return "\\".join(_plain(value) for value in element.get("Value") or ())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "=".join(value.get(part, "") for part in _PN_PARTS).rstrip("=")
    return "" if value is None else str(value)


def write(data: DataSet, transfer_syntax: str, character_set: str = "") -> bytes:
    """Return a data set encoded, its text in the asker's character set when that has all of it, else in Unicode."""
    explicit = transfer_syntax != IMPLICIT
    bare = {tag: element for tag, element in data.items() if tag != CHARACTER_SET}
    for term in ("", character_set, UNICODE):
        if (term, character_set) == ("", UNICODE) or "\\" in term:
            continue
        codec = encodings(term.encode("ascii", "replace"))[0] if term else "ascii"
        said: DataSet = {CHARACTER_SET: {"vr": "CS", "Value": [term]}} if term else {}
        try:
            return _data_set(said | bare, explicit=explicit, codec=codec, strict=term != UNICODE)
        except UnicodeEncodeError:
            continue
    raise AssertionError("Unicode has every text")


def _data_set(data: Mapping[str, Element], *, explicit: bool, codec: str, strict: bool) -> bytes:
    out = bytearray()
    for tag in sorted(data):
        vr = data[tag].get("vr", "UN")
        if vr == "SQ":
            items = (
                _data_set(item, explicit=explicit, codec=codec, strict=strict) for item in data[tag].get("Value") or ()
            )
            value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
        else:
            value = _value(vr, data[tag], codec, strict=strict)
        group, number = int(tag[:4], 16), int(tag[4:], 16)
        if not explicit:
            out += struct.pack("<HHI", group, number, len(value))
        elif vr.encode() in WIDE:
            out += struct.pack("<HH2sHI", group, number, vr.encode(), 0, len(value))
        else:
            out += struct.pack("<HH2sH", group, number, vr.encode(), len(value := value[:0xFFFE]))
        out += value
    return bytes(out)


def _value(vr: str, element: Element, codec: str, *, strict: bool) -> bytes:
    if "InlineBinary" in element:
        raw = b64decode(element["InlineBinary"])
        return raw + b"\0" * (len(raw) % 2)
    values = element.get("Value") or []
    if vr in _NUMBERS:
        return struct.pack(f"<{len(values)}{_NUMBERS[vr]}", *(value or 0 for value in values))
    if vr == "AT":
        return b"".join(struct.pack("<HH", int(tag[:4], 16), int(tag[4:], 16)) for tag in values)
    plain = text(element)
    raw = plain.encode(codec if vr in _TEXT else "ascii", "strict" if strict and vr in _TEXT else "replace")
    return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
