"""Query and retrieve as dcmtk's clients do it, and what only a client of our own can ask."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined] # made at run time
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from readingroom.demo.sender import send
from tests.dicom.conftest import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

    Dcmtk = Callable[..., CompletedProcess[str]]

Images = "Callable[..., list[FileDataset]]"
FIND, PATIENT_FIND = StudyRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelFind


def identifier(keys: dict[str, Any]) -> Dataset:
    """Return a data set with these values, whether they may stand there or not."""
    made = Dataset()
    for keyword, value in keys.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        made.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
    return made


def query(port: int, model: str, aet: str = "NORTH_MAIN", **keys: Any) -> tuple[int, list[Dataset]]:
    """Return the final status and the identifiers of a C-FIND."""
    ae = AE(aet)
    ae.add_requested_context(model)
    association = ae.associate("127.0.0.1", port, ae_title="READINGROOM")
    assert association.is_established
    answers = list(association.send_c_find(identifier(keys), model))
    association.release()
    return answers[-1][0].Status, [found for status, found in answers if status.Status == 0xFF00 and found]


async def stored(listener: Listener, images: list[Any], aet: str = "NORTH_MAIN") -> None:
    sent = await asyncio.to_thread(send, images, "127.0.0.1", listener.port, aet=aet)
    assert {one.status for one in sent} == {0}


@pytest.fixture
async def archive(listener: Listener, images: Images) -> dict[str, str]:
    """Three studies of two patients at one site; their UIDs by accession number."""
    made = [
        images(count=3, AccessionNumber="A1", StudyDate="20260301", StudyTime="081500", StudyDescription="Head"),
        images(AccessionNumber="A2", StudyDate="20260310", StudyTime="140000", StudyDescription="Chest_1"),
        images("MR_small.dcm", PatientID="815", PatientName="Müller^Jörg=山田^太郎", SpecificCharacterSet="ISO_IR 192",
               AccessionNumber="A3", StudyDate="20260401"),
    ]  # fmt: skip
    for study in made:
        await stored(listener, study)
    return {study[0].AccessionNumber: str(study[0].StudyInstanceUID) for study in made}


@pytest.mark.parametrize(("keys", "found"), [
    ({}, "A1 A2 A3"),
    ({"AccessionNumber": "A?"}, "A1 A2 A3"),
    ({"AccessionNumber": "A2"}, "A2"),
    ({"PatientName": "QUAY*"}, "A1 A2"),
    ({"PatientName": "quay^ada"}, "A1 A2"),
    ({"PatientName": "*^J?rg*", "SpecificCharacterSet": "ISO_IR 100"}, "A3"),
    ({"PatientName": "Müller*", "SpecificCharacterSet": "ISO_IR 100"}, "A3"),
    ({"PatientName": "山田*", "SpecificCharacterSet": "ISO_IR 192"}, "A3"),
    ({"PatientID": "815"}, "A3"),
    ({"StudyDate": "20260301-20260331"}, "A1 A2"),
    ({"StudyDate": "-20260309"}, "A1"),
    ({"StudyDate": "20260310-"}, "A2 A3"),
    ({"StudyDate": "20260310", "StudyTime": "1300-1500"}, "A2"),
    ({"ModalitiesInStudy": "MR"}, "A3"),
    ({"ModalitiesInStudy": ["CT", "MR"]}, "A1 A2 A3"),
    ({"StudyDescription": "Chest_*"}, "A2"),
    ({"PatientBirthDate": "19700102", "PatientSex": "F"}, "A1 A2 A3"),
    ({"AccessionNumber": "nothing"}, ""),
    ({"RequestedContrastAgent": "ignored, as studies have none"}, "A1 A2 A3"),
])  # fmt: skip
async def test_studies_are_found_by_wildcards_ranges_lists_and_any_script(
    listener: Listener, archive: dict[str, str], keys: dict[str, Any], found: str
) -> None:
    asked = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "AccessionNumber": ""} | keys
    status, results = await asyncio.to_thread(query, listener.port, FIND, **asked)
    assert status == 0
    assert sorted(one.AccessionNumber for one in results) == found.split()
    assert {archive[one.AccessionNumber] for one in results} == {one.StudyInstanceUID for one in results}


async def test_several_uids_are_a_list(listener: Listener, archive: dict[str, str]) -> None:
    uids = [archive["A1"], archive["A3"], "1.2.3"]
    status, results = await asyncio.to_thread(query, listener.port, FIND, QueryRetrieveLevel="STUDY",
                                              StudyInstanceUID=uids)  # fmt: skip
    assert status == 0
    assert {one.StudyInstanceUID for one in results} == set(uids[:2])


async def test_every_level_answers_what_was_asked_for(listener: Listener, archive: dict[str, str]) -> None:
    status, patients = await asyncio.to_thread(
        query, listener.port, PATIENT_FIND, QueryRetrieveLevel="PATIENT", PatientID="", PatientName="",
        NumberOfPatientRelatedStudies="", NumberOfPatientRelatedInstances="", SpecificCharacterSet="ISO_IR 192",
    )  # fmt: skip
    assert status == 0
    told = {p.PatientID: (p.NumberOfPatientRelatedStudies, p.NumberOfPatientRelatedInstances) for p in patients}
    assert told == {"4711": (2, 4), "815": (1, 1)}
    assert {str(p.PatientName) for p in patients} == {"Quay^Ada", "Müller^Jörg=山田^太郎"}
    _, series = await asyncio.to_thread(
        query, listener.port, FIND, QueryRetrieveLevel="SERIES", StudyInstanceUID=archive["A1"], SeriesInstanceUID="",
        Modality="", NumberOfSeriesRelatedInstances="", SeriesNumber="", PatientWeight="",
    )  # fmt: skip
    assert [(s.Modality, s.NumberOfSeriesRelatedInstances) for s in series] == [("CT", 3)]
    assert series[0].RetrieveAETitle == "READINGROOM"
    assert "PatientName" not in series[0]
    _, one = await asyncio.to_thread(
        query, listener.port, FIND, QueryRetrieveLevel="IMAGE", StudyInstanceUID=archive["A1"],
        SeriesInstanceUID=series[0].SeriesInstanceUID, InstanceNumber="2", SOPInstanceUID="", SOPClassUID="", Rows=None,
    )  # fmt: skip
    assert [(i.InstanceNumber, i.SOPClassUID, i.Rows) for i in one] == [(2, CTImageStorage, 128)]


@pytest.mark.parametrize(("model", "keys", "status"), [
    (FIND, {"QueryRetrieveLevel": "PATIENT"}, 0xA900),
    (FIND, {"StudyInstanceUID": ""}, 0xA900),
    (FIND, {"QueryRetrieveLevel": "VOLUME"}, 0xA900),
    (FIND, {"QueryRetrieveLevel": "STUDY", "StudyDate": "yesterday"}, 0xC000),
    (FIND, {"QueryRetrieveLevel": "IMAGE", "Rows": 1}, 0x0000),
])  # fmt: skip
async def test_a_question_that_is_none_is_refused(
    world: World, listener: Listener, model: str, keys: dict[str, Any], status: int
) -> None:
    assert world.settings
    assert (await asyncio.to_thread(query, listener.port, model, **keys))[0] == status


async def test_a_query_can_be_cancelled_and_the_association_goes_on(
    world: World, listener: Listener, images: Images
) -> None:
    await stored(listener, images())
    await world.conn.execute("""
        INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, header)
        SELECT 'north', '1.2.3.' || n, 'main', patient_id, '1.2.3.' || n, '{}' FROM rr.patient, generate_series(1, 4000) n
    """)

    def ask() -> tuple[int, int, int]:
        ae = AE("NORTH_MAIN")
        ae.add_requested_context(FIND)
        association = ae.associate("127.0.0.1", listener.port, ae_title="READINGROOM")
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", ""
        seen, last = 0, 0
        for status, _ in association.send_c_find(asked, FIND, msg_id=7):
            last = status.Status
            seen += last == 0xFF00
            if seen == 10:
                association.send_c_cancel(7, association.accepted_contexts[0].context_id)
        asked.StudyInstanceUID = "1.2.3.7"
        again = len(list(association.send_c_find(asked, FIND, msg_id=8)))
        association.release()
        return last, seen, again

    last, seen, again = await asyncio.to_thread(ask)
    assert last == 0xFE00
    assert 10 <= seen < 4001
    assert again == 2


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """dcmtk's receiver, which takes everything."""
    directory = tmp_path / "destination"
    directory.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    receiver = subprocess.Popen(
        [PEERS / "bin" / "storescp", "+xa", "--bit-preserving", "-od", directory, str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.02)
    yield port, directory
    receiver.terminate()
    receiver.wait()


async def send_to(world: World, port: int, site: str = "main", tenant: str = "north") -> None:
    await world.conn.execute(
        "INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, host, port) VALUES ($1, $2, 'd1', 'PACS', '127.0.0.1', $3)",
        tenant, site, port,
    )  # fmt: skip
    await asyncio.sleep(0.6)  # the table is read again within half a second


@pytest.mark.dcmtk
async def test_dcmtk_moves_a_study_byte_for_byte(  # noqa: PLR0917
    world: World, listener: Listener, images: Images, dcmtk: Dcmtk, destination: tuple[int, Path],
    archive: dict[str, str],
) -> None:  # fmt: skip
    port, directory = destination
    await send_to(world, port)
    compressed = images("JPEG2000.dcm", StudyInstanceUID=archive["A1"])
    await stored(listener, compressed)
    done = await asyncio.to_thread(
        dcmtk, "movescu", "-v", "-S", "-aet", "NORTH_MAIN", "-aec", "READINGROOM", "-aem", "PACS", "-k",
        "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive['A1']}", "127.0.0.1", listener.port,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = await world.rows("SELECT path, sop_uid FROM rr.instance WHERE study_uid = $1", archive["A1"])
    assert len(rows) == 4
    for row in rows:
        (file,) = world.files(directory, f"*{row['sop_uid']}*")
        assert world.strip(file.read_bytes()) == world.data_set(row["path"])


@pytest.mark.dcmtk
@pytest.mark.parametrize(("option", "syntax"), [("+xi", None), ("+x=", None), ("+xw", JPEG2000)])
async def test_dcmtk_gets_an_image_as_it_is_or_made_native(  # noqa: PLR0917
    world: World, listener: Listener, images: Images, dcmtk: Dcmtk, tmp_path: Path, option: str, syntax: str | None
) -> None:
    (image,) = images("JPEG2000.dcm")
    await stored(listener, [image])
    out = tmp_path / "got"
    out.mkdir()
    done = await asyncio.to_thread(
        dcmtk, "getscu", "-v", "-S", option, "-od", out, "-aet", "NORTH_MAIN", "-aec", "READINGROOM",
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={image.StudyInstanceUID}", "127.0.0.1", listener.port,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = world.files(out)
    got = pydicom.dcmread(file)
    if syntax:
        assert got.file_meta.TransferSyntaxUID == syntax
        assert got.PixelData == image.PixelData
    else:
        assert not got.file_meta.TransferSyntaxUID.is_compressed
        assert len(got.PixelData) == got.Rows * got.Columns * got.SamplesPerPixel * got.BitsAllocated // 8


def move(port: int, to: str, aet: str = "NORTH_MAIN", **keys: Any) -> list[tuple[Dataset, Dataset | None]]:
    ae = AE(aet)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
    association = ae.associate("127.0.0.1", port, ae_title="READINGROOM")
    answers = list(association.send_c_move(identifier(keys), to, StudyRootQueryRetrieveInformationModelMove))
    association.release()
    return answers


async def test_sub_operations_are_counted_and_failures_are_named(
    world: World, listener: Listener, images: Images
) -> None:
    study = images(count=4)
    await stored(listener, study)
    seen: list[tuple[str, int]] = []
    refused = str(study[2].SOPInstanceUID)

    def receive(event: evt.Event) -> int:
        seen.append((event.request.MoveOriginatorApplicationEntityTitle, event.request.MoveOriginatorMessageID))
        return 0xA700 if event.request.AffectedSOPInstanceUID == refused else 0

    taker = AE("PACS")
    taker.add_supported_context(CTImageStorage)
    server = taker.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, receive)])
    try:
        await send_to(world, server.server_address[1])
        uid = str(study[0].StudyInstanceUID)
        answers = await asyncio.to_thread(move, listener.port, "PACS", QueryRetrieveLevel="STUDY", StudyInstanceUID=uid)
    finally:
        server.shutdown()
    counts = [
        (
            s.Status,
            s.get("NumberOfRemainingSuboperations"),
            s.NumberOfCompletedSuboperations,
            s.NumberOfFailedSuboperations,
        )
        for s, _ in answers
    ]
    assert counts[-1] == (0xB000, None, 3, 1)
    assert [remaining for _, remaining, _, _ in counts[:-1]] == [3, 2, 1]
    assert answers[-1][1] is not None
    assert answers[-1][1].FailedSOPInstanceUIDList == refused
    assert set(seen) == {("NORTH_MAIN", 1)}


@pytest.mark.parametrize(("to", "uid", "status"), [
    ("NOWHERE", "1.2.3", 0xA801),
    ("NORTH_HARBOR", "1.2.3", 0xA801),  # another site's, for a caller of one site
    ("SOUTH_MAIN", "1.2.3", 0xA801),  # another group's
    ("NORTH_MAIN", "", 0xA900),
    ("NORTH_MAIN", "*", 0xA900),
    ("NORTH_MAIN", "1.2.3", 0x0000),  # nothing there: nothing to do
])  # fmt: skip
async def test_what_cannot_be_moved_has_its_own_status(
    world: World, listener: Listener, to: str, uid: str, status: int
) -> None:
    assert world.settings
    answers = await asyncio.to_thread(move, listener.port, to, QueryRetrieveLevel="STUDY", StudyInstanceUID=uid)
    assert [s.Status for s, _ in answers] == [status]


async def test_a_destination_that_is_not_there_fails_all(listener: Listener, images: Images) -> None:
    study = images(count=2)
    await stored(listener, study)
    answers = await asyncio.to_thread(
        move, listener.port, "NORTH_MAIN", QueryRetrieveLevel="STUDY", StudyInstanceUID=str(study[0].StudyInstanceUID)
    )
    assert [(s.Status, s.NumberOfFailedSuboperations) for s, _ in answers] == [(0xA702, 2)]


async def test_what_was_fetched_is_on_record(world: World, listener: Listener, images: Images) -> None:
    (image,) = images()
    await stored(listener, [image])

    def fetch() -> int:
        ae = AE("NORTH_MAIN")
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        ae.add_requested_context(CTImageStorage)
        association = ae.associate(
            "127.0.0.1", listener.port, ae_title="READINGROOM", ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, lambda _: 0)],
        )  # fmt: skip
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", image.StudyInstanceUID
        answers = list(association.send_c_get(asked, StudyRootQueryRetrieveInformationModelGet))
        association.release()
        return int(answers[-1][0].Status)

    assert await asyncio.to_thread(fetch) == 0
    (row,) = await world.rows("SELECT tenant_id, user_id, act, subject FROM rr.access")
    assert tuple(row.values()) == ("north", "ae:a1", "study_opened", str(image.StudyInstanceUID))


@pytest.mark.dcmtk
async def test_dcmtk_finds_a_study(listener: Listener, dcmtk: Dcmtk, archive: dict[str, str]) -> None:
    for model in ("-S", "-P"):
        done = await asyncio.to_thread(
            dcmtk, "findscu", "-v", model, "-aet", "NORTH_MAIN", "-aec", "READINGROOM", "-k", "QueryRetrieveLevel=STUDY",
            "-k", "PatientName=QUAY^*", "-k", "StudyInstanceUID", "127.0.0.1", listener.port,
        )  # fmt: skip
        assert done.returncode == 0
        found = set(re.findall(r"\(0020,000d\) UI \[([0-9.]+)", done.stdout + done.stderr))
        assert found == {archive["A1"], archive["A2"]}
