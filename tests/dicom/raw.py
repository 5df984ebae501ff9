"""A client that says exactly what it is told, right or wrong: for what well-behaved peers never send."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

if TYPE_CHECKING:
    from typing import Self

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


class Raw:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def associate(self, aet: str = "NORTH_MAIN", sop_class: str = CT, transfer_syntax: str = EXPLICIT) -> int:
        """Ask for one context; return the type of the PDU that answers."""
        return self.associate_as(aet, "READINGROOM", sop_class, transfer_syntax)[0]

    def associate_as(self, aet: str, called: str, sop_class: str, transfer_syntax: str) -> tuple[int, bytes]:
        """Ask for one context; return the PDU that answers."""
        self.sock.sendall(proposal(aet, called, sop_class, transfer_syntax))
        return self.pdu()

    def pdu(self) -> tuple[int, bytes]:
        """Return type and value of the next PDU; type 0 when the connection is closed."""
        head = self._read(6)
        return (head[0], self._read(int.from_bytes(head[2:6], "big"))) if head else (0, b"")

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = self.sock.recv(size - len(data))
            except ConnectionResetError:
                return b""
            if not more:
                return b""
            data += more
        return data

    def fragment(self, control: int, data: bytes, context_id: int = 1) -> None:
        """Send a P-DATA-TF with one presentation data value."""
        value = struct.pack(">IBB", len(data) + 2, context_id, control) + data
        self.sock.sendall(struct.pack(">BBI", 4, 0, len(value)) + value)

    def command(self, sop_uid: str, sop_class: str = CT, operation: int = 1) -> None:
        """Send a C-STORE-RQ's command set."""
        self.fragment(3, command(sop_uid, sop_class, operation))

    def store(self, sop_uid: str, data: bytes, sop_class: str = CT) -> int:
        """Send an instance and return the status, -1 when the connection is closed."""
        self.command(sop_uid, sop_class)
        pieces = [data[at : at + 16000] for at in range(0, len(data), 16000)] or [b""]
        for piece in pieces[:-1]:
            self.fragment(0, piece)
        self.fragment(2, pieces[-1])
        return self.status()

    def status(self) -> int:
        """Return the status of the next response."""
        kind, value = self.pdu()
        if kind != 4:
            return -1
        at = value.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
        return int(struct.unpack_from("<H", value, at)[0])


def proposal(aet: str, called: str, sop_class: str, transfer_syntax: str) -> bytes:
    """Return an A-ASSOCIATE-RQ for one context."""
    ask = A_ASSOCIATE()
    ask.application_context_name = "1.2.840.10008.3.1.1.1"
    ask.calling_ae_title, ask.called_ae_title = aet, called
    context = build_context(sop_class, transfer_syntax)
    context.context_id = 1
    ask.presentation_context_definition_list = [context]
    length, identity = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    identity.implementation_class_uid = "1.2.3.4"
    ask.user_information = [length, identity]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(ask)
    encoded: bytes = pdu.encode()
    return encoded


def command(sop_uid: str, sop_class: str = CT, operation: int = 1) -> bytes:
    """Return the command set of a request with a data set."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    return b"".join((
        element(0x0002, sop_class.encode()),
        element(0x0100, struct.pack("<H", operation)),
        element(0x0110, struct.pack("<H", 1)),
        element(0x0700, struct.pack("<H", 0)),
        element(0x0800, struct.pack("<H", 1)),
        element(0x1000, sop_uid.encode()),
    ))  # fmt: skip
