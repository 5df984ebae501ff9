"""Searches find what is in view, and nothing else; OHIF's calls get what OHIF needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from actors.domain.words import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    Make = Callable[..., FileDataset]
    At = Callable[..., str]


def _first(result: dict[str, Any], tag: str) -> Any:
    return (result[tag].get("Value") or [None])[0]


def _uids(results: list[dict[str, Any]], tag: str = "0020000D") -> list[str]:
    return [_first(result, tag) for result in results]


async def test_a_study_result_has_what_a_study_list_shows(dicomweb: Any, make: Make) -> None:
    one = make(AccessionNumber="A1", StudyDate="20260101", StudyTime="101500", StudyDescription="CT HEAD", StudyID="7")
    two = make("MR_small.dcm", StudyInstanceUID=one.StudyInstanceUID, StudyDate="20260101", AccessionNumber="A1")
    await dicomweb.store(one, two)
    ohif = "/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030,00080060,00080090,00100030"
    [found] = await dicomweb.json(ohif)
    shown = {tag: _first(found, tag) for tag in found}
    assert shown["0020000D"] == one.StudyInstanceUID
    assert found["00080061"]["Value"] == ["CT", "MR"]
    assert (shown["00201206"], shown["00201208"]) == (2, 2)
    assert shown["00100010"] == {"Alphabetic": "Quay^Ada"}
    assert (shown["00100020"], shown["00100021"], shown["00100030"], shown["00100040"]) == (
        "4711",
        "north-main",
        "19700102",
        "F",
    )
    assert (shown["00080020"], shown["00080030"], shown["00081030"], shown["00080050"]) == (
        "20260101",
        "101500",
        "CT HEAD",
        "A1",
    )
    assert shown["00081190"].endswith(f"/dicom-web/studies/{one.StudyInstanceUID}")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PatientID=4711", "ab"),
        ("00100020=*71*", "abc"),
        ("00100020=47??", "ab"),
        ("PatientID=471", ""),
        ("00100020=4%711", ""),
        ("PatientName=quay*", "ab"),
        ("PatientName=QUAY%5EADA", "ab"),
        ("PatientName=Quay", "ab"),
        ("PatientName=*bea*", "c"),
        ("PatientName=%C3%96ST*", "c"),
        ("AccessionNumber=A1", "a"),
        ("AccessionNumber=A*", "ab"),
        ("StudyDate=20260101", "a"),
        ("StudyDate=20260101-20260102", "ab"),
        ("StudyDate=20260102-", "bc"),
        ("StudyDate=-20260101", "a"),
        ("StudyTime=10", "a"),
        ("StudyTime=1000-1200", "ab"),
        ("ModalitiesInStudy=MR", "b"),
        ("ModalitiesInStudy=CT,MR", "abc"),
        ("Modality=MR", "b"),
        ("StudyDescription=CT*", "ac"),
        ("00081030=CT%20HEAD", "a"),
        ("IssuerOfPatientID=north-main", "ab"),
        ("PatientID=4711&IssuerOfPatientID=elsewhere", ""),
        ("PatientBirthDate=19700102", "ab"),
        ("PatientSex=F", "ab"),
        ("PatientID=&AccessionNumber=*", "abc"),
        ("StudyInstanceUID=1.2.3", ""),
        ("fuzzymatching=true&PatientName=quay*", "ab"),
        ("limit=1", "c"),
        ("limit=1&offset=1", "b"),
        ("offset=3", ""),
        ("limit=0", ""),
    ],
)
async def test_studies_are_found_by(dicomweb: Any, make: Make, query: str, found: str) -> None:
    a = make(AccessionNumber="A1", StudyDate="20260101", StudyTime="101500", StudyDescription="CT HEAD")
    b = make("MR_small.dcm", AccessionNumber="A2", StudyDate="20260102", StudyTime="1130", StudyDescription="KNEE")
    c = make(
        AccessionNumber="B1", StudyDate="20260103", StudyTime="2300", StudyDescription="CT CHEST", PatientID="x4711",
        PatientName="Östberg^Bea", SpecificCharacterSet="ISO_IR 192", IssuerOfPatientID="harbor", PatientSex="O",
        PatientBirthDate="19800304",
    )  # fmt: skip
    await dicomweb.store(a, b, c)
    names = {a.StudyInstanceUID: "a", b.StudyInstanceUID: "b", c.StudyInstanceUID: "c"}
    got = _uids(await dicomweb.json(f"/studies?{query}"))
    assert sorted(names[uid] for uid in got) == list(found)


async def test_pages_follow_each_other_in_one_order(dicomweb: Any, make: Make) -> None:
    images = [make(StudyDate=f"2026010{1 + n % 3}") for n in range(7)]
    await dicomweb.store(*images)
    whole = _uids(await dicomweb.json("/studies"))
    pages = [_uids(await dicomweb.json(f"/studies?limit=2&offset={at}")) for at in (0, 2, 4, 6)]
    assert [uid for page in pages for uid in page] == whole
    async with dicomweb.get("/studies?limit=2") as answer:
        assert answer.headers["Warning"].startswith("299 ")


async def test_series_and_instances_at_every_level(dicomweb: Any, make: Make, at: At) -> None:
    one = make(SeriesDescription="AXIAL", SeriesNumber=3, InstanceNumber=2)
    two = make(
        StudyInstanceUID=one.StudyInstanceUID, SeriesInstanceUID=one.SeriesInstanceUID, InstanceNumber=1,
        SeriesDescription="AXIAL", SeriesNumber=3,
    )  # fmt: skip
    await dicomweb.store(one, two)
    [series] = await dicomweb.json(f"{at(one, level='study')}/series?includefield=00080021,00080031,0008103E,00200011")
    assert (_first(series, "00201209"), _first(series, "0008103E"), _first(series, "00200011")) == (2, "AXIAL", 3)
    assert _uids([series]) == [one.StudyInstanceUID]
    [everywhere] = await dicomweb.json("/series?Modality=CT&PatientID=4711")
    assert _first(everywhere, "00100020") == "4711"
    in_order = [two.SOPInstanceUID, one.SOPInstanceUID]
    for path in (f"{at(one, level='series')}/instances", f"{at(one, level='study')}/instances", "/instances"):
        found = await dicomweb.json(path)
        assert _uids(found, "00080018") == in_order
        assert _first(found[0], "00280010") == 128
        assert "00280030" not in found[0]
    [wide] = await dicomweb.json(f"/instances?SOPInstanceUID={one.SOPInstanceUID}&includefield=PixelSpacing")
    assert "00280030" in wide
    [all_] = await dicomweb.json("/instances?InstanceNumber=2&includefield=all")
    assert _uids([all_], "00080018") == [one.SOPInstanceUID]
    assert len(all_) > 100
    assert await dicomweb.json("/instances?InstanceNumber=3") == []


@pytest.mark.parametrize(
    "query",
    [
        "Nonsense=1", "limit=-1", "limit=x", "offset=1.5", "StudyDate=today", "StudyDate=2026-01-01", "StudyTime=25h",
        "fuzzymatching=perhaps", "includefield=Nonsense", "StudyInstanceUID=abc", "PixelData=1", "SeriesNumber=x",
        f"PatientID={quote(chr(0))}", "0010%27=1",
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_refused(dicomweb: Any, query: str) -> None:
    assert await dicomweb.refusal(f"/studies?{query}") == (400, "bad_payload")


async def test_only_dicom_json_is_offered(dicomweb: Any) -> None:
    wanted = 'multipart/related; type="application/dicom+xml"'
    assert await dicomweb.refusal("/studies", accept=wanted) == (406, "not_acceptable")
    async with dicomweb.get("/studies", accept="application/json") as answer:
        assert answer.status == 200


async def test_two_sites_with_one_mrn_are_two_people(dicomweb: Any, make: Make) -> None:
    here, there = make(PatientName="Quay^Ada"), make(PatientName="Other^Person")
    await dicomweb.store(here)
    await dicomweb.store(there, site="harbor")
    found = await dicomweb.json("/studies?00100020=4711&00100021=north-main")
    assert _uids(found) == [here.StudyInstanceUID]
    assert len(await dicomweb.json("/studies?00100020=4711")) == 2


async def test_demographics_are_those_of_the_patient_row(dicomweb: Any, make: Make) -> None:
    await dicomweb.store(make(PatientName="Quay^Ada"))
    await dicomweb.conn.execute("UPDATE rr.patient SET name = 'Quay-Lund^Ada=丁^阿达', birth_date = ''")
    [found] = await dicomweb.json("/studies?PatientName=quay-l*")
    assert _first(found, "00100010") == {"Alphabetic": "Quay-Lund^Ada", "Ideographic": "丁^阿达"}
    assert found["00100030"] == {"vr": "DA"}
    assert len(await dicomweb.json("/studies?PatientName=丁*")) == 1


async def test_a_study_that_an_order_took_over_is_its_patients(dicomweb: Any, make: Make) -> None:
    study = make()
    await dicomweb.store(study)
    await dicomweb.status(study.StudyInstanceUID, "unread")
    await dicomweb.conn.execute(
        "INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name) VALUES ('north', 'p', 'north-main', '99', 'X^Y')"
    )
    await dicomweb.conn.execute("UPDATE rr.study SET patient_id = 'p'")
    assert len(await dicomweb.json("/studies?PatientID=99")) == 1
    assert await dicomweb.json("/studies?PatientID=4711") == []


@pytest.mark.parametrize("path", ["/studies", "/series", "/instances"])
async def test_each_sees_her_own(dicomweb: Any, make: Make, path: str) -> None:
    main, harbor = make(), make()
    await dicomweb.store(main)
    await dicomweb.store(harbor, site="harbor")
    await dicomweb.status(main.StudyInstanceUID, "final", "paula")
    await dicomweb.status(harbor.StudyInstanceUID, "prelim", "paula")
    both = ("main", "harbor")
    for name, role, tenant, sites, seen in (
        ("tess", Role.TECHNOLOGIST, "north", ("harbor",), [harbor]),
        ("vera", Role.VIEWER, "north", both, [main]),
        ("vito", Role.VIEWER, "north", ("harbor",), []),
        ("paula", Role.REFERRING_PHYSICIAN, "north", both, [main]),
        ("pete", Role.REFERRING_PHYSICIAN, "north", both, []),
        ("mona", Role.MANAGER, "north", (), [main, harbor]),
        ("sam", Role.RESIDENT, "north", (), [main, harbor]),
        ("rolf", Role.RADIOLOGIST, "south", (), []),
    ):
        await dicomweb.person(name, role, tenant, sites)
        found = _uids(await dicomweb.json(path, by=name))
        assert sorted(found) == sorted(one.StudyInstanceUID for one in seen), name


async def test_who_may_not_is_told_so(dicomweb: Any) -> None:
    await dicomweb.person("otto", Role.OPERATOR)
    assert await dicomweb.refusal("/studies", by="otto") == (403, "forbidden")
    assert await dicomweb.refusal("/studies", by=None) == (401, "unauthenticated")
    assert await dicomweb.refusal("/studies", by="nobody") == (401, "unauthenticated")
    assert await dicomweb.refusal("/studies/1.2.3/series?limit=x") == (404, "not_found")
    assert await dicomweb.refusal("/studies/1.2.3/instances") == (404, "not_found")
    assert await dicomweb.refusal("/studies/1.2.3/series/1/instances") == (404, "not_found")
