"""Messages of the upper layer and of DIMSE that the listener itself reads and writes (PS3.7 9.3, E; PS3.8 9.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

P_DATA, RELEASE_RQ, ABORT = 0x04, 0x05, 0x07
RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"
IS_COMMAND, IS_LAST = 0x01, 0x02  # message control header (PS3.8 E.2)

SUCCESS, NO_SUCH_OPERATION = 0x0000, 0x0211
_RESPONSE, _NO_DATA_SET = 0x8000, 0x0101
_COMMENT_LENGTH = 64

_HEAD = struct.Struct("<HHI")


class Operation(IntEnum):
    """Command Field (0000,0100)."""

    C_STORE = 0x0001
    C_ECHO = 0x0030
    C_CANCEL = 0x0FFF


class AbortReason(IntEnum):
    """Why we abort, as service provider (PS3.8 9.3.8)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


class Malformed(Exception):
    """A command set that cannot be read."""


def abort(reason: AbortReason) -> bytes:
    """Return an A-ABORT."""
    return bytes((ABORT, 0, 0, 0, 0, 4, 0, 0, 2, reason))


def reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return bytes((0x03, 0, 0, 0, 0, 4, 0, result, source, reason))


@dataclass(frozen=True, slots=True)
class Request:
    """A command set: who wants what under which message id."""

    operation: int
    message_id: int
    sop_class: str
    sop_uid: str
    has_data: bool

    @classmethod
    def of(cls, raw: bytes | bytearray) -> Request:
        """Read a command set; always implicit little endian (PS3.7 6.3.1).

        Raises:
            Malformed: an element is cut off, or there is no command or message id.
        """
        elements: dict[int, bytes] = {}
        at = 0
        while at < len(raw):
            if at + 8 > len(raw):
                raise Malformed("an element is cut off")
            _, number, length = _HEAD.unpack_from(raw, at)
            at += 8 + length
            if at > len(raw):
                raise Malformed("an element is cut off")
            elements[number] = bytes(raw[at - length : at])
        try:
            (operation,) = struct.unpack("<H", elements[0x0100])
            (message_id,) = struct.unpack("<H", elements.get(0x0110, b"\0\0"))
            (data_set,) = struct.unpack("<H", elements.get(0x0800, b"\x01\x01"))
            sop_class, sop_uid = (
                elements.get(number, b"").rstrip(b"\0 ").decode("ascii") for number in (0x0002, 0x1000)
            )
        except (KeyError, struct.error, UnicodeDecodeError) as exc:
            raise Malformed("no command that can be read") from exc
        return cls(operation, message_id, sop_class, sop_uid, data_set != _NO_DATA_SET)

    def response(self, context_id: int, status: int, comment: str = "") -> bytes:
        """Return the P-DATA-TF that answers; the comment helps whoever reads the sender's log."""
        body = b"".join((
            _element(0x0002, self.sop_class.encode("ascii")),
            _element(0x0100, struct.pack("<H", (self.operation | _RESPONSE) & 0xFFFF)),
            _element(0x0120, struct.pack("<H", self.message_id)),
            _element(0x0800, struct.pack("<H", _NO_DATA_SET)),
            _element(0x0900, struct.pack("<H", status)),
            _element(0x0902, comment.encode("ascii", "replace")[:_COMMENT_LENGTH], b" ") if comment else b"",
            _element(0x1000, self.sop_uid.encode("ascii")) if self.sop_uid else b"",
        ))  # fmt: skip
        command = _HEAD.pack(0, 0, 4) + struct.pack("<I", len(body)) + body
        value = struct.pack(">IBB", len(command) + 2, context_id, IS_COMMAND | IS_LAST) + command
        return struct.pack(">BBI", P_DATA, 0, len(value)) + value


def _element(number: int, value: bytes, pad: bytes = b"\0") -> bytes:
    value += pad * (len(value) % 2)
    return _HEAD.pack(0, number, len(value)) + value
