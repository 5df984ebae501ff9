"""Whatever bytes come, headers are read or refused, associations end, and the listener goes on.

Each part runs for ``FUZZ_S`` seconds, 3 unless set; ``make fuzz`` takes a minute each. Seeds count up from 0.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pydicom
import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pynetdicom.dsutils import encode

from gateway.dimse import identifier
from gateway.ingest import dimse, header
from gateway.ingest.dimse import Malformed, Operation, Request, Tag
from gateway.ingest.negotiation import (
    COMMITMENT,
    PERFORMED_STEP,
    STUDY_FIND,
    STUDY_MOVE,
    WORKLIST,
    NotAnAssociation,
    Proposal,
)
from tests.dicom.raw import CT, EXPLICIT, Raw, command, proposal
from tests.dicom.test_query_retrieve import identifier as keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

FUZZ_S = float(os.environ.get("FUZZ_S", "3"))
SYNTAXES = ["1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.90"]


def fuzz(strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Check examples for the time there is."""
    end, number = time.monotonic() + FUZZ_S, 0
    while time.monotonic() < end:

        @seed(number)
        @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck),
                  phases=[Phase.generate, Phase.shrink])  # fmt: skip
        @given(strategy)
        def one(example: Any) -> None:
            check(example)

        one()
        number += 1


def _seeds() -> list[bytes]:
    """Return the beginnings of data sets as they come in the wild."""
    found = []
    for path in sorted((Path(pydicom.data.__file__).parent / "test_files").glob("*.dcm"))[:60]:
        content = path.read_bytes()
        if content[128:132] == b"DICM" and len(content) > 200:
            found.append(content[144 + int.from_bytes(content[140:144], "little") :][:8192])
    return found


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Draw one of the seeds with bytes changed, dropped, repeated or cut off."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 64))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case 3:
                data[at : at + 4] = draw(
                    st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\0\xe0", b"SQ\0\0", b"UN\0\0"])
                )
            case _:
                del data[at:]
    return bytes(data)


def test_a_header_is_read_or_refused() -> None:
    def check(example: tuple[bytes, str]) -> None:
        data, syntax = example
        with suppress(header.Unparsable):
            found = header.read(data, syntax)
            assert found.sop_uid
            assert msgspec.json.encode(found.data)

    fuzz(st.tuples(mutated(_seeds()) | st.binary(max_size=400), st.sampled_from(SYNTAXES)), check)


def _identifiers() -> list[bytes]:
    asked = [
        {
            "QueryRetrieveLevel": "STUDY",
            "PatientName": "Quay*",
            "StudyDate": "20260101-",
            "ModalitiesInStudy": "CT\\MR",
        },
        {
            "QueryRetrieveLevel": "IMAGE",
            "SOPInstanceUID": "1.2.3",
            "InstanceNumber": "7",
            "SpecificCharacterSet": "ISO_IR 100",
        },
        {"ScheduledProcedureStepSequence": [keys({"Modality": "CT", "ScheduledProcedureStepStartDate": "20260101"})]},
        {"TransactionUID": "1.2", "ReferencedSOPSequence": [keys({"ReferencedSOPInstanceUID": "1.2.3"})]},
        {
            "PerformedProcedureStepStatus": "IN PROGRESS",
            "ScheduledStepAttributesSequence": [keys({"StudyInstanceUID": "1.2"})],
        },
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [encode(keys(one), is_implicit_vr=False, is_little_endian=True) or b"" for one in asked]


def test_an_identifier_is_read_or_refused_and_written_again() -> None:
    def check(data: bytes) -> None:
        for syntax in SYNTAXES[:2]:
            with suppress(identifier.NotAnIdentifier):
                for charset in ("", "ISO_IR 100", "nonsense"):
                    identifier.write(identifier.read(data, syntax), syntax, charset)

    fuzz(mutated(_identifiers()) | st.binary(max_size=200), check)


def test_commands_and_requests_are_read_or_refused() -> None:
    whole = proposal("NORTH_MAIN", "READINGROOM", CT, EXPLICIT)

    def check(example: tuple[bytes, bytes]) -> None:
        with suppress(Malformed):
            Request.of(example[0]).response(1, 0)
        with suppress(NotAnAssociation):
            proposed = Proposal.of(example[1])
            if proposed.known_application:
                proposed.accept()

    seeds = [command("1.2.3"), command("", "", 0x20)]
    fuzz(st.tuples(mutated(seeds) | st.binary(max_size=200), mutated([whole]) | st.binary(max_size=200)), check)


def _conversations() -> list[bytes]:
    """Return what clients say from the first byte to the release."""
    release = bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0))
    made = []
    data = _seeds()[0]
    store = b"".join(
        dimse.message(1, {Tag.SOP_CLASS: CT, Tag.OPERATION: 1, Tag.MESSAGE_ID: 1, Tag.SOP_UID: "1.2"}, data)
    )
    made.append(proposal("NORTH_MAIN", "READINGROOM", CT, EXPLICIT) + store + release)
    asked = _identifiers()
    for sop_class, operation, which in (
        (STUDY_FIND, Operation.C_FIND, 0), (STUDY_MOVE, Operation.C_MOVE, 1), (WORKLIST, Operation.C_FIND, 2),
        (COMMITMENT, Operation.N_ACTION, 3), (PERFORMED_STEP, Operation.N_CREATE, 4),
    ):  # fmt: skip
        said: dict[int, int | str] = {
            Tag.SOP_CLASS: sop_class, Tag.OPERATION: operation, Tag.MESSAGE_ID: 2, Tag.SOP_UID: "1.2.840.10008.1.20.1.1",
            Tag.ACTION_TYPE: 1, Tag.DESTINATION: "NORTH_MAIN",
        }  # fmt: skip
        words = b"".join(dimse.message(1, said, asked[which]))
        made.append(proposal("NORTH_MAIN", "READINGROOM", sop_class, EXPLICIT) + words + release)
    return made


@pytest.mark.timeout(900)
async def test_whatever_a_connection_says_it_ends_and_the_listener_goes_on(world: World, listener: Listener) -> None:
    listener._services.limits.opened_per_s = listener._services.limits.requests_per_s = 1e9
    assert world.settings

    def check(data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as sock, suppress(ConnectionError):
            with suppress(OSError):  # it may be over before we have said all
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fuzz(mutated(_conversations()) | st.binary(max_size=100), check)

    with structlog.testing.capture_logs() as said:
        await asyncio.to_thread(run)
        async with asyncio.timeout(30):
            while listener._open:
                await asyncio.sleep(0.05)
    assert [entry for entry in said if entry["event"] == "association failed"] == []
    assert any(entry["event"] == "association released" for entry in said)
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate) == 2
