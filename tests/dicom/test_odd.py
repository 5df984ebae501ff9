"""Odd data: phantoms, big endian, deflated, enhanced multi-frame, bad representations, wrong lengths, missing numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import generate_uid

from readingroom.demo.sender import send
from tests.dicom.raw import Raw
from tests.dicom.test_query_retrieve import FIND, query

if TYPE_CHECKING:
    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"


async def store(listener: Listener, *images: object) -> list[int | None]:
    sent = await asyncio.to_thread(send, images, "127.0.0.1", listener.port, aet="NORTH_MAIN")
    return [one.status for one in sent]


@pytest.mark.parametrize("keyword", ["QualityControlSubject", "QualityControlImage"])
async def test_phantoms_are_stored_and_found_and_on_no_worklist(
    world: World, listener: Listener, images: Images, keyword: str
) -> None:
    study = images(count=2, **{keyword: "YES"})
    assert await store(listener, *study) == [0, 0]
    await asyncio.sleep(1.5)  # three times as long as counts as quiet
    assert await world.inbox() == []
    assert await world.value("SELECT images FROM rr.dicom_study WHERE phantom AND quiet_at IS NOT NULL") == 2
    uid = str(study[0].StudyInstanceUID)
    _, found = await asyncio.to_thread(query, listener.port, FIND, QueryRetrieveLevel="STUDY", StudyInstanceUID=uid)
    assert len(found) == 1


async def test_a_phantom_among_a_patients_images_hides_nothing(
    world: World, listener: Listener, images: Images
) -> None:
    test, real, other = images(count=3)
    test.QualityControlImage = "YES"
    assert await store(listener, test) == [0]
    assert await store(listener, real) == [0]
    other.QualityControlImage = "YES"
    assert await store(listener, other) == [0]
    assert await world.value("SELECT phantom FROM rr.dicom_study") is False
    told = [entry for entry in await world.inbox() if entry["kind"] == "images"]
    assert [entry["study_uid"] for entry in told] == [real.StudyInstanceUID] * 2
    assert not any("phantom" in entry["body"] for entry in told)


@pytest.mark.parametrize(
    "file", ["MR_small_bigendian.dcm", "image_dfl.dcm", "rtdose_expb.dcm", "SC_rgb_rle_2frame.dcm", "liver_1frame.dcm"]
)
async def test_uncommon_encodings_are_found_by_their_own_words(
    world: World, listener: Listener, images: Images, file: str
) -> None:
    (image,) = images(file)
    assert await store(listener, image) == [0]
    assert await world.value("SELECT count(*) FROM rr.instance") == 1
    _, found = await asyncio.to_thread(
        query, listener.port, FIND, QueryRetrieveLevel="IMAGE", SOPInstanceUID=image.SOPInstanceUID, PatientID="",
        NumberOfFrames="",
    )  # fmt: skip
    assert [one.PatientID for one in found] == ["4711"]
    assert found[0].get("NumberOfFrames") == image.get("NumberOfFrames")


@pytest.mark.parametrize(("old", "new", "status"), [
    (b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00ZZ", 0x0000),  # no such representation
    (b"\x08\x00\x60\x00CS\x02\x00", b"\x08\x00\x60\x00CS\xf0\xff", 0xC000),  # a length that leads out of the header
    (b"\x20\x00\x0d\x00UI", b"\x21\x00\x0d\x00UI", 0xC000),  # no Study Instance UID
])  # fmt: skip
async def test_broken_headers_are_stored_when_they_can_be_told_apart_else_refused(  # noqa: PLR0917
    world: World, listener: Listener, ct_small: bytes, old: bytes, new: bytes, status: int
) -> None:
    assert ct_small.count(old) == 1
    own = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate) == 2
        assert await asyncio.to_thread(raw.store, own, ct_small.replace(old, new)) == status
    assert await world.value("SELECT count(*) FROM rr.instance") == (status == 0)


async def test_one_accession_number_on_two_studies_is_two_studies(
    world: World, listener: Listener, images: Images
) -> None:
    assert await store(listener, *images(AccessionNumber="A9")) == [0]
    assert await store(listener, *images(AccessionNumber="A9", PatientID="815")) == [0]
    _, found = await asyncio.to_thread(query, listener.port, FIND, QueryRetrieveLevel="STUDY", AccessionNumber="A9",
                                       PatientID="")  # fmt: skip
    assert sorted(one.PatientID for one in found) == ["4711", "815"]
    assert await world.value("SELECT count(*) FROM rr.dicom_study") == 2


async def test_images_without_a_patients_number_are_found_by_their_study(listener: Listener, images: Images) -> None:
    (image,) = images(PatientID="", PatientName="", StudyInstanceUID=str(generate_uid()))
    assert await store(listener, image) == [0]
    status, found = await asyncio.to_thread(query, listener.port, FIND, QueryRetrieveLevel="STUDY", PatientID="",
                                            StudyInstanceUID=str(image.StudyInstanceUID))  # fmt: skip
    assert (status, [one.PatientID or "" for one in found]) == (0, [""])


async def test_find_answers_with_whose_the_images_are_now(world: World, listener: Listener, images: Images) -> None:
    (image,) = images(PatientID="OLD", PatientName="PHANTOM^Iris")
    await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    await world.conn.execute(
        "INSERT INTO rr.patient VALUES ('north', 'p-new', 'north-main', 'NEW', 'NEWNAME^Iris', '', '')"
    )
    await world.conn.execute(
        "INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, patient_id, accession_number,"
        " flags, doc) SELECT tenant_id, study_uid, site_id, 1, 1, 'unread', true, 'STAT', 'p-new', '', '{}', '{}'"
        " FROM rr.dicom_study"
    )
    for mrn, names in (("NEW", ["NEWNAME^Iris"]), ("OLD", [])):
        status, found = await asyncio.to_thread(
            query, listener.port, FIND, QueryRetrieveLevel="STUDY", PatientID=mrn, PatientName=""
        )
        assert (status, [str(one.PatientName) for one in found]) == (0, names)
