"""Whose images they are: the caller's site, the patient that issuer and number name, the study that nobody else has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from actors.domain.identity import apart_study_uid
from actors.domain.patient import patient_id
from gateway.ingest.callers import CALLED_UNKNOWN, CALLING_UNKNOWN, Stranger, match
from readingroom.demo.sender import NotAssociated, send
from storage.callers import Caller
from tests.dicom.raw import Raw

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from pydicom.dataset import FileDataset

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"


async def store(
    listener: Listener, images: list[FileDataset], aet: str, called: str = "READINGROOM"
) -> list[int | None]:
    sent = await asyncio.to_thread(send, images, "127.0.0.1", listener.port, aet=aet, called=called)
    return [one.status for one in sent]


@pytest.mark.dcmtk
@pytest.mark.parametrize(("calling", "called", "said"), [
    ("NOBODY", "READINGROOM", "Calling AE Title Not Recognized"),
    ("SOUTH_FAR", "READINGROOM", "Calling AE Title Not Recognized"),
    ("NORTH_MAIN", "ELSEWHERE", "Called AE Title Not Recognized"),
    ("SOUTH_MAIN", "READINGROOM", "Called AE Title Not Recognized"),
])  # fmt: skip
async def test_a_stranger_is_told_why(
    listener: Listener, dcmtk: Callable[..., CompletedProcess[str]], calling: str, called: str, said: str
) -> None:
    done = await asyncio.to_thread(dcmtk, "echoscu", "-v", "-aet", calling, "-aec", called, "127.0.0.1", listener.port)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


async def test_an_application_entity_acts_within_a_second_of_being_added_and_removed(
    world: World, listener: Listener, images: Images
) -> None:
    with pytest.raises(NotAssociated):
        await store(listener, images(), "NEW_CT")
    await world.conn.execute(
        "INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, host, port) VALUES ('south', 'main', 'n', 'NEW_CT', 'x', 1)"
    )
    await asyncio.sleep(0.7)
    assert await store(listener, images(), "NEW_CT") == [0]
    assert await world.value("SELECT tenant_id FROM rr.dicom_study") == "south"
    await world.conn.execute("DELETE FROM rr.ae WHERE ae_id = 'n'")
    await asyncio.sleep(0.7)
    with pytest.raises(NotAssociated):
        await store(listener, images(), "NEW_CT")


async def test_what_is_no_storage_class_is_refused_by_context(listener: Listener) -> None:
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate, "NORTH_MAIN", "1.2.840.10008.5.1.1.9") == 2
        await asyncio.to_thread(raw.command, "1.2.3", "1.2.840.10008.5.1.1.9", 0x20)
        assert (await asyncio.to_thread(raw.pdu))[0] == 7  # abort: that context was not accepted


def caller(site: str, called: str | None = None, source: str | None = None, tenant: str = "t") -> Caller:
    return Caller(tenant, site, f"issuer-{site}", "CT1", called, source)


@pytest.mark.parametrize(("rows", "called", "address", "site"), [
    ([caller("a")], "ROOM", "10.0.0.1", "a"),
    ([caller("a"), caller("b", "OTHER")], "OTHER", "10.0.0.1", "b"),
    ([caller("a"), caller("b", "OTHER")], "ROOM", "10.0.0.1", "a"),
    ([caller("a", source="10.0.0.0/8"), caller("b", source="10.1.0.0/16")], "ROOM", "10.1.2.3", "b"),
    ([caller("a", source="10.0.0.0/8"), caller("b", source="10.1.0.0/16")], "ROOM", "10.2.2.3", "a"),
    ([caller("a", source="10.0.0.0/8")], "ROOM", "::ffff:10.2.2.3", "a"),
    ([caller("a", source="fd00::/8")], "ROOM", "fd00::1%eth0", "a"),
])  # fmt: skip
def test_the_narrowest_row_says_whose_the_images_are(rows: list[Caller], called: str, address: str, site: str) -> None:
    assert match(rows, "ROOM", "CT1", called, address).site_id == site


@pytest.mark.parametrize(("rows", "calling", "called", "address", "reason"), [
    ([], "CT1", "ROOM", "10.0.0.1", CALLING_UNKNOWN),
    ([caller("a")], "CT2", "ROOM", "10.0.0.1", CALLING_UNKNOWN),
    ([caller("a", source="10.0.0.0/8")], "CT1", "ROOM", "11.0.0.1", CALLING_UNKNOWN),
    ([caller("a", source="fd00::/8")], "CT1", "ROOM", "10.0.0.1", CALLING_UNKNOWN),
    ([caller("a")], "CT1", "OTHER", "10.0.0.1", CALLED_UNKNOWN),
    ([caller("a", "OTHER")], "CT1", "ROOM", "10.0.0.1", CALLED_UNKNOWN),
    ([caller("a"), caller("b", tenant="u")], "CT1", "ROOM", "10.0.0.1", CALLING_UNKNOWN),
])  # fmt: skip
def test_a_call_that_no_site_or_two_could_claim_is_refused(
    rows: list[Caller], calling: str, called: str, address: str, reason: int
) -> None:
    with pytest.raises(Stranger) as refused:
        match(rows, "ROOM", calling, called, address)
    assert refused.value.reason == reason


async def test_two_sites_with_one_study_uid_stand_apart(world: World, listener: Listener, images: Images) -> None:
    (image,) = images()
    assert await store(listener, [image], "NORTH_MAIN") == [0]
    assert await store(listener, [image], "NORTH_HARBOR") == [0]
    assert await store(listener, [image], "SOUTH_MAIN", "SOUTHROOM") == [0]
    apart = apart_study_uid("north", "harbor", image.StudyInstanceUID)
    rows = await world.rows("SELECT tenant_id, site_id, study_uid, header_study_uid FROM rr.dicom_study ORDER BY 1, 2")
    assert [tuple(row.values()) for row in rows] == [
        ("north", "harbor", apart, image.StudyInstanceUID),
        ("north", "main", image.StudyInstanceUID, image.StudyInstanceUID),
        ("south", "main", image.StudyInstanceUID, image.StudyInstanceUID),
    ]
    told = {(e["tenant_id"], e["study_uid"]): e["apart"] for e in await world.inbox() if e["kind"] == "images"}
    assert told == {
        ("north", image.StudyInstanceUID): False, ("north", apart): True, ("south", image.StudyInstanceUID): False,
    }  # fmt: skip
    assert len(world.files()) == 3


async def test_a_uid_that_another_sites_order_names_is_not_taken(
    world: World, listener: Listener, images: Images
) -> None:
    (image,) = images()
    await world.conn.execute(
        "INSERT INTO rr.orders VALUES ('north', 'main', 'A9', $1, 'p', '{}', false)", image.StudyInstanceUID
    )
    assert await store(listener, [image], "NORTH_HARBOR") == [0]
    assert await world.value("SELECT study_uid FROM rr.dicom_study") == apart_study_uid(
        "north", "harbor", image.StudyInstanceUID
    )


async def test_one_number_at_two_hospitals_is_two_people(world: World, listener: Listener, images: Images) -> None:
    await store(listener, images(), "NORTH_MAIN")
    await store(listener, images(), "NORTH_HARBOR")
    await store(listener, images(), "NORTH_MAIN")
    await store(listener, images(IssuerOfPatientID="north-main"), "NORTH_HARBOR")
    rows = await world.rows("SELECT patient_id, issuer FROM rr.patient ORDER BY issuer DESC")
    assert [tuple(row.values()) for row in rows] == [
        (patient_id("north", issuer, "4711"), issuer) for issuer in ("north-main", "north-harbor")
    ]


async def test_a_contradicting_birth_date_or_sex_is_another_person(
    world: World, listener: Listener, images: Images
) -> None:
    await store(listener, images(PatientName="Quay^Ada"), "NORTH_MAIN")
    await store(listener, images(PatientBirthDate="", PatientName="QUAY^A"), "NORTH_MAIN")
    await store(listener, images(PatientBirthDate="19710102"), "NORTH_MAIN")
    await store(listener, images(PatientSex="M"), "NORTH_MAIN")
    rows = await world.rows("SELECT name, birth_date, sex FROM rr.patient ORDER BY 2, 3")
    assert [tuple(row.values()) for row in rows] == [
        ("Quay^Ada", "1970-01-02", "F"), ("Quay^Ada", "1970-01-02", "M"), ("Quay^Ada", "1971-01-02", "F"),
    ]  # fmt: skip
    assert await world.value("SELECT count(DISTINCT patient_id) FROM rr.dicom_study") == 3


async def test_without_a_number_each_study_is_of_a_person_of_its_own(
    world: World, listener: Listener, images: Images
) -> None:
    one, two = images(count=2, PatientID=""), images(PatientID="")
    await store(listener, one, "NORTH_MAIN")
    await store(listener, two, "NORTH_MAIN")
    rows = await world.rows("SELECT study_uid, patient_id FROM rr.dicom_study")
    assert {row["study_uid"]: row["patient_id"] for row in rows} == {
        study: patient_id("north", "north-main", "", study)
        for study in (str(one[0].StudyInstanceUID), str(two[0].StudyInstanceUID))
    }
    assert {row["mrn"] for row in await world.rows("SELECT mrn FROM rr.patient")} == {""}


async def test_another_patients_image_under_a_study_uid_stands_apart(
    world: World, listener: Listener, images: Images
) -> None:
    first, second = images(count=2)
    second.PatientID = "9999"
    assert await store(listener, [first, second], "NORTH_MAIN") == [0, 0]
    rows = await world.rows(
        "SELECT d.images, p.mrn FROM rr.dicom_study d JOIN rr.patient p USING (patient_id) ORDER BY mrn"
    )
    assert [tuple(row.values()) for row in rows] == [(1, "4711"), (1, "9999")]
    assert sorted(e["apart"] for e in await world.inbox() if e["kind"] == "images") == [False, True]
