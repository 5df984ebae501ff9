"""The Part 10 header that we put before a data set (PS3.10 7.1)."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

IMPLEMENTATION_UID = "2.25.213046578541397126408239158210714086712"
IMPLEMENTATION_VERSION = "READINGROOM_01"

_PREAMBLE = b"\0" * 128 + b"DICM"
_MINIMAL = "1.2.840.10008.5.1.4.1.1.66"  # Raw Data Storage: a header for reading only names some class


def _element(number: int, vr: bytes, value: str) -> bytes:
    raw = value.encode("ascii")
    raw += (b" " if vr in {b"AE", b"SH"} else b"\0") * (len(raw) % 2)
    return struct.pack("<HH2sH", 2, number, vr, len(raw)) + raw


def preamble(sop_class: str, sop_uid: str, transfer_syntax: str, source_aet: str = "") -> bytes:
    """Return preamble, prefix and file meta information; the data set follows as it was received.

    The group length stands at bytes 140 to 144, so the data set begins at 144 plus that.
    """
    group = b"".join((
        struct.pack("<HH2sHI", 2, 1, b"OB", 0, 2), b"\0\1",
        _element(0x02, b"UI", sop_class),
        _element(0x03, b"UI", sop_uid),
        _element(0x10, b"UI", transfer_syntax),
        _element(0x12, b"UI", IMPLEMENTATION_UID),
        _element(0x13, b"SH", IMPLEMENTATION_VERSION),
        _element(0x16, b"AE", source_aet) if source_aet else b"",
    ))  # fmt: skip
    return _PREAMBLE + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


@dataclass(frozen=True, slots=True)
class Meta:
    """File meta information as received; the data set begins at ``end``."""

    sop_class: str
    sop_uid: str
    transfer_syntax: str
    end: int


class Incomplete(Exception):
    """More bytes are needed, or it is no Part 10 file when there are none."""


def meta(data: bytes) -> Meta:
    """Read preamble and file meta information; always explicit little endian, with or without a group length.

    Raises:
        Incomplete: it does not end within these bytes, or does not begin.
    """
    values: dict[int, str] = {}
    at = len(_PREAMBLE)
    if data[128:at] != b"DICM":
        raise Incomplete("no prefix")
    while True:
        head = data[at : at + 12]
        if len(head) < 12:  # noqa: PLR2004 - the longest head
            raise Incomplete("no data set")
        group, number, vr, length = struct.unpack_from("<HH2sH", head)
        if group != 2:  # noqa: PLR2004 - (0002,eeee)
            break
        at += 8
        if vr in {b"OB", b"UN", b"UT", b"OW"}:
            at, (length,) = at + 4, struct.unpack_from("<I", head, 8)
        if number in {0x02, 0x03, 0x10}:
            values[number] = data[at : at + length].rstrip(b"\0 ").decode("ascii", "replace")
        at += length
    return Meta(values.get(0x02, ""), values.get(0x03, ""), values.get(0x10, ""), at)


def file(data: bytes, transfer_syntax: str) -> io.BytesIO:
    """Return a data set as a Part 10 file for reading."""
    return io.BytesIO(preamble(_MINIMAL, "0.0", transfer_syntax) + data)
