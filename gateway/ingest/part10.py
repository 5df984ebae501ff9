"""The Part 10 header that we put before a data set (PS3.10 7.1)."""

from __future__ import annotations

import io
import struct

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


def file(data: bytes, transfer_syntax: str) -> io.BytesIO:
    """Return a data set as a Part 10 file for reading."""
    return io.BytesIO(preamble(_MINIMAL, "0.0", transfer_syntax) + data)
