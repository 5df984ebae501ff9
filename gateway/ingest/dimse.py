"""Messages of the upper layer and of DIMSE that the listener itself reads and writes (PS3.7 9.3, E; PS3.8 9.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

P_DATA, RELEASE_RQ, ABORT = 0x04, 0x05, 0x07
RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"
IS_COMMAND, IS_LAST = 0x01, 0x02  # message control header (PS3.8 E.2)

SUCCESS, PENDING, CANCELLED, NO_SUCH_OPERATION = 0x0000, 0xFF00, 0xFE00, 0x0211
_RESPONSE, _NO_DATA_SET, _DATA_SET = 0x8000, 0x0101, 0x0001
_COMMENT_LENGTH = 64
_MOST = 1 << 17  # of one PDU that we send, whatever the peer would take
_LEAST = 1 << 10
_SPACED = frozenset({0x0600, 0x0902, 0x1030})  # text; all else that is odd is a UID

_HEAD = struct.Struct("<HHI")


class Operation(IntEnum):
    """Command Field (0000,0100) of a request."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    C_CANCEL = 0x0FFF


class Tag(IntEnum):
    """Elements of group 0000 (PS3.7 E.1)."""

    SOP_CLASS = 0x0002
    REQUESTED_CLASS = 0x0003
    OPERATION = 0x0100
    MESSAGE_ID = 0x0110
    RESPONDS_TO = 0x0120
    DESTINATION = 0x0600
    PRIORITY = 0x0700
    DATA_SET = 0x0800
    STATUS = 0x0900
    COMMENT = 0x0902
    SOP_UID = 0x1000
    REQUESTED_UID = 0x1001
    EVENT_TYPE = 0x1002
    ACTION_TYPE = 0x1008
    REMAINING = 0x1020
    COMPLETED = 0x1021
    FAILED = 0x1022
    WARNING = 0x1023
    ORIGINATOR = 0x1030
    ORIGINATOR_MESSAGE = 0x1031


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
    """A command set: who wants what under which message id; of a response, what it says."""

    operation: int
    message_id: int
    sop_class: str
    sop_uid: str
    has_data: bool
    elements: Mapping[int, bytes] = field(repr=False)  # by element number, of group 0000

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
            (operation,) = struct.unpack("<H", elements[Tag.OPERATION])
            (message_id,) = struct.unpack("<H", elements.get(Tag.MESSAGE_ID, b"\0\0"))
            (data_set,) = struct.unpack("<H", elements.get(Tag.DATA_SET, b"\x01\x01"))
            sop_class, sop_uid = (
                (elements.get(affected) or elements.get(requested, b"")).rstrip(b"\0 ").decode("ascii")
                for affected, requested in ((Tag.SOP_CLASS, Tag.REQUESTED_CLASS), (Tag.SOP_UID, Tag.REQUESTED_UID))
            )
        except (KeyError, struct.error, UnicodeDecodeError) as exc:
            raise Malformed("no command that can be read") from exc
        if not (sop_class + sop_uid).isprintable():
            raise Malformed("a UID with control characters")
        return cls(operation, message_id, sop_class, sop_uid, data_set != _NO_DATA_SET, elements)

    @property
    def status(self) -> int:
        """The status of a response, C000 when it says none."""
        return self.number(Tag.STATUS, 0xC000)

    def number(self, tag: Tag, default: int = 0) -> int:
        """Return an element of two bytes."""
        raw = self.elements.get(tag, b"")
        return int.from_bytes(raw, "little") if len(raw) == 2 else default  # noqa: PLR2004

    def text(self, tag: Tag) -> str:
        """Return an element of text, without padding."""
        return self.elements.get(tag, b"").strip(b"\0 ").decode("ascii", "replace")

    def response(  # noqa: PLR0913 - what a response may say
        self,
        context_id: int,
        status: int,
        comment: str = "",
        *,
        data: bytes | None = None,
        says: Mapping[int, int | str] | None = None,
        most: int = _MOST,
    ) -> bytes:
        """Return the P-DATA-TF that answers; the comment helps whoever reads the sender's log."""
        elements: dict[int, int | str] = {
            Tag.SOP_CLASS: self.sop_class,
            Tag.OPERATION: (self.operation | _RESPONSE) & 0xFFFF,
            Tag.RESPONDS_TO: self.message_id,
            Tag.STATUS: status,
        }
        if comment:
            elements[Tag.COMMENT] = comment.encode("ascii", "replace").decode()[:_COMMENT_LENGTH]
        if self.sop_uid:
            elements[Tag.SOP_UID] = self.sop_uid
        return b"".join(message(context_id, elements | dict(says or {}), data, most))


def message(
    context_id: int, elements: Mapping[int, int | str], data: bytes | memoryview | None = None, most: int = _MOST
) -> Iterator[bytes]:
    """Yield a message as P-DATA-TFs of at most ``most`` bytes; 0 is any (PS3.8 D.1)."""
    whole = {**elements, Tag.DATA_SET: _NO_DATA_SET if data is None else _DATA_SET}
    body = b"".join(_element(number, whole[number]) for number in sorted(whole))
    size = max(_LEAST, min(most or _MOST, _MOST)) - 6
    yield from _fragments(context_id, _HEAD.pack(0, 0, 4) + struct.pack("<I", len(body)) + body, IS_COMMAND, size)
    if data is not None:
        yield from _fragments(context_id, data, 0, size)


def _fragments(context_id: int, data: bytes | memoryview, kind: int, size: int) -> Iterator[bytes]:
    for at in range(0, len(data) or 1, size):
        piece = data[at : at + size]
        control = kind | (IS_LAST if at + size >= len(data) else 0)
        yield struct.pack(">BBIIBB", P_DATA, 0, len(piece) + 6, len(piece) + 2, context_id, control) + piece


def _element(number: int, value: int | str) -> bytes:
    raw = struct.pack("<H", value) if isinstance(value, int) else value.encode("ascii")
    raw += (b" " if number in _SPACED else b"\0") * (len(raw) % 2)
    return _HEAD.pack(0, number, len(raw)) + raw
