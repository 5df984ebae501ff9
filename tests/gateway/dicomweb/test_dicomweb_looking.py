"""A search in one round trip sees what a transaction of the same session sees, whatever its shape, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from multidict import MultiDict
from yarl import URL

from actors.domain.identity import Principal
from actors.domain.words import Role
from gateway.dicomweb import query
from storage import dicom_query
from storage.dicom_query import INSTANCE, SERIES, STUDY
from storage.faults import AWAY
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    from readingroom.settings import Settings
    from storage.dicom_query import Search

    Make = Callable[..., FileDataset]

BOTH = frozenset({"main", "harbor"})
PEOPLE = {
    "admin": Principal("ada", "north", Role.ADMIN, frozenset(), ""),
    "manager": Principal("mona", "north", Role.MANAGER, frozenset(), ""),
    "main": Principal("tom", "north", Role.TECHNOLOGIST, frozenset({"main"}), ""),
    "harbor": Principal("tess", "north", Role.TECHNOLOGIST, frozenset({"harbor"}), ""),
    "nowhere": Principal("tim", "north", Role.TECHNOLOGIST, frozenset(), ""),
    "viewer": Principal("vera", "north", Role.VIEWER, BOTH, ""),
    "referring": Principal("paula", "north", Role.REFERRING_PHYSICIAN, BOTH, ""),
    "south": Principal("rolf", "south", Role.RADIOLOGIST, frozenset(), ""),
    "nobody": Principal("otto", "", Role.OPERATOR, frozenset(), ""),
}
STUDIES = (
    "", "limit=2", "limit=2&offset=1", "StudyInstanceUID={uid}", "AccessionNumber=A*", "AccessionNumber=A1", "PatientID=4711",
    "PatientID=47*", "PatientName=quay*", "PatientName=*ada*", "fuzzymatching=true&PatientName=ada", "PatientBirthDate=19700102",
    "PatientSex=F", "IssuerOfPatientID=north-main", "StudyDate=20260101-20260131", "StudyDate=20260101", "StudyTime=-23",
    "ModalitiesInStudy=CT", "SOPClassesInStudy={sop_class}", "StudyDescription=CT*", "ReferringPhysicianName=*",
    "ReferringPhysicianName=refer*", "fuzzymatching=true&ReferringPhysicianName=refer",
)  # fmt: skip
SERIES_ = (
    "",
    "SeriesInstanceUID={series}",
    "Modality=CT",
    "SeriesNumber=1",
    "PatientName=quay*",
    "SeriesDescription=AX*",
)
INSTANCES = (
    "",
    "SOPInstanceUID={sop}",
    "SOPClassUID={sop_class}",
    "InstanceNumber=1",
    "Rows=128",
    "AccessionNumber=A1",
)
SHAPES = (
    [(STUDY, text) for text in STUDIES]
    + [(SERIES, text) for text in SERIES_]
    + [(INSTANCE, text) for text in INSTANCES]
)


def _search(level: str, text: str, image: FileDataset) -> Search:
    text = text.format(
        uid=image.StudyInstanceUID,
        series=image.SeriesInstanceUID,
        sop=image.SOPInstanceUID,
        sop_class=image.SOPClassUID,
    )
    return query.parse(MultiDict(URL("/?" + text).query), level).search


@pytest.fixture
async def images(dicomweb: Any, make: Make) -> list[FileDataset]:
    """The same patient's images at two sites of one group and at another group."""
    said = {
        "AccessionNumber": "A1", "StudyDate": "20260102", "StudyTime": "1015", "StudyDescription": "CT HEAD", "SeriesNumber": 1,
        "InstanceNumber": 1, "SeriesDescription": "AXIAL", "ReferringPhysicianName": "Refer^Rita",
    }  # fmt: skip
    made = [make(**said) for _ in range(3)]
    await dicomweb.person("sue", Role.ADMIN, "south")
    await dicomweb.store(made[0])
    await dicomweb.store(made[1], site="harbor")
    await dicomweb.store(made[2], by="sue")
    await dicomweb.status(made[0].StudyInstanceUID, "final", "paula")
    await dicomweb.status(made[1].StudyInstanceUID, "prelim", "paula")
    return made


async def test_every_shape_of_search_finds_what_a_transaction_finds(
    dicomweb: Any, images: list[FileDataset], fresh: Settings
) -> None:
    del dicomweb
    db = await Database(fresh.dsn("rr_app"), max_size=1).open()  # one connection: each search follows another's
    seen: dict[str, set[str]] = {name: set() for name in PEOPLE}
    for level, text in SHAPES:
        for image in images:
            search = _search(level, text, image)
            for name, who in PEOPLE.items():
                async with db.view(who) as conn:
                    expected = await dicom_query.find(conn, who, search)
                assert await dicom_query.found(db.looking, who, search) == expected, (level, text, name)
                seen[name] |= {one.study_uid for one in expected[0]}
            if level == STUDY and text.startswith(("PatientID", "AccessionNumber", "StudyInstanceUID")):
                assert seen["admin"], text
    await db.close()
    here, there, far = (image.StudyInstanceUID for image in images)
    assert seen == {
        "admin": {here, there}, "manager": {here, there}, "main": {here}, "harbor": {there}, "nowhere": set(),
        "viewer": {here}, "referring": {here}, "south": {far}, "nobody": set(),
    }  # fmt: skip


async def test_a_look_leaves_nothing_behind(dicomweb: Any, images: list[FileDataset], fresh: Settings) -> None:
    del dicomweb
    db = await Database(fresh.dsn("rr_app"), max_size=1).open()
    search = _search(STUDY, "", images[0])
    left = "SELECT rr.tenants() AS tenants, rr.all_sites() AS everywhere, pg_backend_pid() AS pid"
    pids = set()
    for who in PEOPLE.values():
        await dicom_query.found(db.looking, who, search)
        [row] = await db.looking.fetch(left)
        assert (row["tenants"], row["everywhere"]) == (None, False)
        assert await db.looking.fetch("SELECT 1 FROM rr.dicom_study") == []
        pids.add(row["pid"])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.looking.fetch("SELECT set_config('rr.tenants', '{north}', true), 1 / $1::int", 0)
    [row] = await db.looking.fetch(left)
    assert (row["tenants"], pids) == (None, {row["pid"]})
    await db.close()


async def test_looks_at_once_see_each_their_own(dicomweb: Any, images: list[FileDataset], fresh: Settings) -> None:
    del dicomweb
    db = await Database(fresh.dsn("rr_app"), max_size=3).open()
    search = _search(STUDY, "", images[0])
    asked = [name for _ in range(20) for name in ("main", "harbor", "south", "nobody")]
    found = await asyncio.gather(*(dicom_query.found(db.looking, PEOPLE[name], search) for name in asked))
    own = dict(zip(("main", "harbor", "south"), (image.StudyInstanceUID for image in images), strict=True))
    for name, (rows, more) in zip(asked, found, strict=True):
        assert ([one.study_uid for one in rows], more) == ([own[name]] if name in own else [], False)
    await db.close()


async def test_a_look_that_was_given_up_costs_its_connection_only(fresh: Settings) -> None:
    db = await Database(fresh.dsn("rr_app"), max_size=1).open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await db.looking.fetch("SELECT pg_sleep(30)")
    assert [row["x"] for row in await db.looking.fetch("SELECT 1 AS x")] == [1]
    [row] = await db.looking.fetch("SELECT pg_backend_pid() AS pid")
    admin = await asyncpg.connect(fresh.admin_dsn)
    await admin.execute("SELECT pg_terminate_backend($1, 5000)", row["pid"])
    await admin.close()
    with suppress(*AWAY):  # unless the end is noticed before
        await db.looking.fetch("SELECT 1 AS x")
    assert [row["x"] for row in await db.looking.fetch("SELECT 1 AS x")] == [1]
    await db.close()
    with pytest.raises(asyncpg.InterfaceError):
        await db.looking.fetch("SELECT 1 AS x")
