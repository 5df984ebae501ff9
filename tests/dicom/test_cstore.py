"""What a modality gets for an image, and what stands in rows, inbox and store when it has its answer."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.uid import HTJ2K, MPEG2MPML, HTJ2KLossless, JPEG2000Lossless, generate_uid
from pynetdicom.pdu import A_ASSOCIATE_AC

from actors.domain.identity import study_key
from gateway.ingest import part10
from gateway.ingest.listener import Listener
from readingroom.demo.sender import send
from tests.dicom.raw import Raw
from tests.dicom.test_query_retrieve import FIND, query

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"
CONTENT = "SELECT path, sha256, size, transfer_syntax FROM rr.instance WHERE sop_uid = $1"


async def stored(world: World, sop_uid: str) -> bytes:
    """Return the data set on disk of the only instance with this UID, its checksum being right."""
    (row,) = await world.rows(CONTENT, sop_uid)
    data = world.data_set(row["path"])
    assert hashlib.sha256(data).digest() == row["sha256"]
    with world.store.open(row["path"]) as file:
        assert len(file.read()) == row["size"]
    assert world.store.verify(row["path"], row["sha256"])
    return data


@pytest.mark.dcmtk
async def test_echo_is_answered(listener: Listener, dcmtk: Callable[..., CompletedProcess[str]]) -> None:
    done = await asyncio.to_thread(
        dcmtk, "echoscu", "-v", "-aet", "NORTH_MAIN", "-aec", "READINGROOM", "127.0.0.1", listener.port
    )
    assert done.returncode == 0
    assert "Received Echo Response (Success)" in done.stdout + done.stderr


@pytest.mark.dcmtk
@pytest.mark.parametrize("file", [
    "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm",
    "JPEG-lossy.dcm",
])  # fmt: skip
async def test_what_dcmtk_sends_is_stored_as_another_receiver_gets_it(  # noqa: PLR0917
    world: World, listener: Listener, dcmtk: Callable[..., CompletedProcess[str]], written: Callable[..., Path],
    images: Images, file: str, reference: Path,
) -> None:  # fmt: skip
    (image,) = images(file)
    path = written(image)
    sent = ("dcmsend", "-v", "--decompress-never", "-aet", "NORTH_MAIN", "-aec", "READINGROOM", "127.0.0.1")
    done = await asyncio.to_thread(dcmtk, *sent, listener.port, path)
    assert done.returncode == 0, done.stderr
    await asyncio.to_thread(dcmtk, *sent, (reference / "port").read_text(), path)
    (same,) = world.files(reference, f"*{image.SOPInstanceUID}*")
    assert await stored(world, image.SOPInstanceUID) == world.strip(same.read_bytes())
    assert await world.value("SELECT count(*) FROM rr.inbox WHERE body->>'kind' = 'images'") == 1


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2K, MPEG2MPML, JPEG2000Lossless])
async def test_newer_encodings_are_stored_as_received(
    world: World, listener: Listener, images: Images, syntax: pydicom.uid.UID
) -> None:
    (image,) = images("JPEG2000.dcm")
    image.file_meta.TransferSyntaxUID = syntax
    (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0
    (row,) = await world.rows(CONTENT, sent.sop_uid)
    assert row["transfer_syntax"] == syntax
    with world.store.open(row["path"]) as file:
        assert pydicom.dcmread(file).PixelData == image.PixelData


@pytest.mark.timeout(600)
async def test_all_176_test_files_are_stored_byte_identical_or_refused_and_the_listener_lives(
    world: World, listener: Listener
) -> None:
    files = sorted(path for path in (Path(pydicom.data.__file__).parent / "test_files").rglob("*") if path.is_file())
    assert len(files) == 176
    outcomes: dict[int, int] = {}
    for path in files:
        sop_uid, data, status = await asyncio.to_thread(_send_file, listener.port, path)
        outcomes[status] = outcomes.get(status, 0) + 1
        assert status in (0x0000, 0xC000, 0xA900, 0x0122, REFUSED_CONTEXT), (path, hex(status))
        if status == 0:
            sha = hashlib.sha256(data).digest()
            rows = await world.rows(
                "SELECT path FROM rr.instance WHERE sop_uid = $1 AND sha256 = $2 UNION ALL"
                " SELECT path FROM rr.kept_apart WHERE sop_uid = $1 AND sha256 = $2", sop_uid, sha,
            )  # fmt: skip
            assert rows, path
            assert {world.data_set(row["path"]) for row in rows} == {data}, path
    assert outcomes[0] > 130
    assert not world.files(world.settings.objects / ".incoming")
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate) == 2


REFUSED_CONTEXT = -2


def _send_file(port: int, path: Path) -> tuple[str, bytes, int]:
    """Send a file's very bytes; return its instance, its data set, and the status."""
    content = path.read_bytes()
    try:
        found = part10.meta(content)
    except part10.Incomplete:
        found = part10.Meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.840.10008.1.2", 0)
    data = content[found.end :]
    if not found.transfer_syntax or not found.sop_class:  # of files that say none, as a sender would guess
        found = replace(
            found,
            sop_class=found.sop_class or "1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax=found.transfer_syntax or "1.2.840.10008.1.2",
        )
    with Raw(port) as raw:
        kind, answer = raw.associate_as("NORTH_MAIN", "READINGROOM", found.sop_class, found.transfer_syntax)
        assert kind == 2
        accepted = A_ASSOCIATE_AC()
        accepted.decode(struct.pack(">BBI", kind, 0, len(answer)) + answer)
        if accepted.presentation_context[0].result:
            return found.sop_uid, data, REFUSED_CONTEXT
        return found.sop_uid, data, raw.store(found.sop_uid, data, found.sop_class)


@pytest.mark.parametrize("file", sorted(
    path.name for path in (Path(pydicom.data.__file__).parent / "charset_files").glob("*.dcm")
))  # fmt: skip
async def test_names_in_every_character_set_are_read_as_they_are(world: World, listener: Listener, file: str) -> None:
    image = pydicom.dcmread(str(get_charset_files(file)[0]))
    image.SOPClassUID, image.StudyInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    image.SeriesInstanceUID, image.SOPInstanceUID = generate_uid(), generate_uid()
    image.PatientID, image.PatientBirthDate = "77", ""
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0
    image.decode()
    name = str(image.get("PatientName", "")).rstrip("=")
    assert await world.value("SELECT name FROM rr.patient") == name
    _, found = await asyncio.to_thread(
        query, listener.port, FIND, QueryRetrieveLevel="STUDY", PatientName="", StudyInstanceUID=image.StudyInstanceUID
    )
    assert str(found[0].PatientName) == name


async def test_rows_and_inbox_say_what_the_image_says(world: World, listener: Listener, images: Images) -> None:
    (image,) = images(
        PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100", BodyPartExamined="HEAD",
        RequestedProcedurePriority="STAT", CurrentPatientLocation="ED bay 4",
        RequestedProcedureDescription="Head without contrast",
    )  # fmt: skip
    await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    (patient,) = await world.rows("SELECT * FROM rr.patient")
    assert (patient["name"], patient["issuer"], patient["mrn"]) == ("Müller^Jörg", "north-main", "4711")
    assert (patient["birth_date"], patient["sex"]) == ("1970-01-02", "F")
    (study,) = await world.rows("SELECT * FROM rr.dicom_study")
    assert (study["site_id"], study["images"], study["accession_number"]) == ("main", 1, "A1")
    (entry,) = await world.inbox()
    assert entry["shard"] == study_key("north", image.StudyInstanceUID).shard
    assert entry["body"] == {
        "kind": "images", "site_id": "main", "patient_id": patient["patient_id"], "accession_number": "A1",
        "modality": "CT", "body_part": "HEAD", "laterality": "", "procedure": "Head without contrast",
        "priority": "STAT", "setting": "emergency", "apart": False,
    }  # fmt: skip
    header = await world.json("SELECT header FROM rr.instance")
    assert header["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]}
    assert header["00280010"] == {"vr": "US", "Value": [128]}
    assert header["00280030"]["Value"] == [pytest.approx(0.661468)] * 2
    assert "7FE00010" not in header
    assert set(await world.json("SELECT header FROM rr.series")) < set(header)
    assert (await world.json("SELECT header FROM rr.dicom_study"))["0020000D"]["Value"] == [image.StudyInstanceUID]


async def test_an_identical_resend_is_success_and_nothing_more(
    world: World, listener: Listener, images: Images
) -> None:
    (image,) = images()
    for _ in range(2):
        (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
        assert sent.status == 0
    assert await world.value("SELECT images FROM rr.dicom_study") == 1
    assert await world.value("SELECT count(*) FROM rr.instance") == 1
    assert [entry["kind"] for entry in await world.inbox() if entry["kind"] != "quiet"] == ["images"]
    assert len(world.files()) == 1


async def test_other_content_under_a_known_uid_is_kept_aside_and_told(
    world: World, listener: Listener, images: Images
) -> None:
    (image,) = images()
    await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    first = await stored(world, image.SOPInstanceUID)
    image.InstanceNumber = 99
    for _ in range(2):
        (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
        assert sent.status == 0
    assert await stored(world, image.SOPInstanceUID) == first
    (kept,) = await world.rows("SELECT * FROM rr.kept_apart")
    assert kept["sop_uid"] == image.SOPInstanceUID
    assert hashlib.sha256(world.data_set(kept["path"])).digest() == kept["sha256"]
    told = [entry for entry in await world.inbox() if entry["kind"] == "conflict"]
    assert [entry["sop_uid"] for entry in told] == [image.SOPInstanceUID]


async def test_a_large_image_goes_through_the_buffer_to_disk(world: World, listener: Listener, images: Images) -> None:
    (image,) = images()
    image.Rows = image.Columns = 3200
    image.PixelData = bytes(range(256)) * (3200 * 3200 * 2 // 256)
    del image[0xFFFC, 0xFFFC]
    (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0
    assert (await stored(world, sent.sop_uid)).endswith(image.PixelData)
    assert await world.value("SELECT header->'00280010'->'Value'->>0 FROM rr.instance") == "3200"


async def test_every_acknowledged_image_has_its_row_and_its_study_an_inbox_entry(
    world: World, listener: Listener, images: Images
) -> None:
    shared = images(count=12)
    groups = [shared[:6], shared[6:], images(count=6), images(count=6, PatientID="4712")]
    with ThreadPoolExecutor(4) as pool:
        runs = [
            asyncio.wrap_future(pool.submit(send, group, "127.0.0.1", listener.port, aet="NORTH_MAIN"))
            for group in groups
        ]
        answers = [sent for run in await asyncio.gather(*runs) for sent in run]
    assert [sent.status for sent in answers] == [0] * 24
    rows = await world.rows("SELECT sop_uid FROM rr.instance")
    assert {row["sop_uid"] for row in rows} == {sent.sop_uid for sent in answers}
    counts = {
        row["study_uid"]: row["images"] for row in await world.rows("SELECT study_uid, images FROM rr.dicom_study")
    }
    assert counts == {
        shared[0].StudyInstanceUID: 12,
        groups[2][0].StudyInstanceUID: 6,
        groups[3][0].StudyInstanceUID: 6,
    }
    assert {entry["study_uid"] for entry in await world.inbox()} == set(counts)
    assert await world.value("SELECT sum(images) FROM rr.series") == 24


async def test_garbage_is_refused_and_what_follows_on_the_association_is_stored(
    world: World, listener: Listener, images: Images, ct_small: bytes
) -> None:
    (image,) = images()
    uid = str(generate_uid())
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate) == 2
        for garbage in (b"", b"\0" * 500, b"not a data set " * 90, bytes(range(256)) * 300):
            assert await asyncio.to_thread(raw.store, uid, garbage) == 0xC000
        assert await asyncio.to_thread(raw.store, uid, ct_small) == 0xA900
        own = pydicom.dcmread(str(get_testdata_file("CT_small.dcm"))).SOPInstanceUID
        assert await asyncio.to_thread(raw.store, own, ct_small[:-1000]) == 0xC000
        assert await asyncio.to_thread(raw.store, own, ct_small) == 0
    (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0
    assert len(world.files()) == 2


async def test_two_listeners_share_a_port(world: World, listener: Listener, images: Images) -> None:
    world.settings.dicom_port = listener.port
    second = Listener(world.settings)
    await second.start()
    assert second.port == listener.port
    for _ in range(8):
        (sent,) = await asyncio.to_thread(send, images(), "127.0.0.1", listener.port, aet="NORTH_MAIN")
        assert sent.status == 0
    await second.stop()
    (sent,) = await asyncio.to_thread(send, images(), "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0
