"""What a modality gets for an image, and what stands in rows, inbox and store when it has its answer."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pynetdicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import HTJ2K, MPEG2MPML, HTJ2KLossless, JPEG2000Lossless, generate_uid

from actors.domain.identity import study_key
from gateway.ingest.listener import Listener
from readingroom.demo.sender import send
from tests.dicom.raw import Raw

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


async def test_every_test_file_is_stored_byte_identical_or_refused_and_the_listener_lives(
    world: World, listener: Listener
) -> None:
    pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True  # sends the file's very bytes
    try:
        outcomes = await asyncio.to_thread(_send_files, listener.port)
    finally:
        pynetdicom._config.STORE_SEND_CHUNKED_DATASET = False
    accepted = {sop_uid for sop_uid, (status, _) in outcomes.items() if status == 0}
    assert len(accepted) > 30
    assert {status for status, _ in outcomes.values()} <= {0x0000, 0xC000, 0xA900}
    for sop_uid in accepted:
        assert hashlib.sha256(await stored(world, sop_uid)).digest() in outcomes[sop_uid][1]
    assert not world.files(world.settings.objects / ".incoming")


def _send_files(port: int) -> dict[str, tuple[int, set[bytes]]]:
    """Return for each instance the status and the checksums of the files that carry its UID."""
    outcomes: dict[str, tuple[int, set[bytes]]] = {}
    for path in sorted((Path(pydicom.data.__file__).parent / "test_files").rglob("*.dcm")):
        try:
            meta = pydicom.filereader.read_file_meta_info(path)
            ae = pynetdicom.AE("NORTH_MAIN")
            ae.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        except (pydicom.errors.InvalidDicomError, AttributeError, ValueError):
            continue
        association = ae.associate("127.0.0.1", port, ae_title="READINGROOM")
        if association.is_established and meta.MediaStorageSOPInstanceUID:
            content = path.read_bytes()
            sha = hashlib.sha256(content[144 + int.from_bytes(content[140:144], "little") :]).digest()
            status = association.send_c_store(path).get("Status", -1)
            before = outcomes.get(meta.MediaStorageSOPInstanceUID, (status, set()))
            outcomes[meta.MediaStorageSOPInstanceUID] = (min(before[0], status), before[1] | {sha})
            association.release()
    return outcomes


async def test_rows_and_inbox_say_what_the_image_says(world: World, listener: Listener, images: Images) -> None:
    (image,) = images(
        PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100", BodyPartExamined="HEAD",
        RequestedProcedurePriority="STAT", RequestedProcedureDescription="Head without contrast",
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
        "priority": "STAT", "apart": False,
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
