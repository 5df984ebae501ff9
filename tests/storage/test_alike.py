"""Headers of a series are kept as what differs from one of them, and are read whole whatever has happened meanwhile."""

from __future__ import annotations

import itertools
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest

from actors.domain.identity import Principal
from actors.domain.words import Role
from storage import dicom
from storage.alike import Alike
from storage.dicom_query import INSTANCE, Match, Search, find
from storage.ingest import Arrival, Person, store_images
from storage.objects import Stored
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

_SITE = """
INSERT INTO rr.tenant VALUES ('t', 'Night Group');
INSERT INTO rr.site VALUES ('t', 'harbor', 'Harbor', NULL, 'harbor');
"""
ANN = Person(issuer="harbor", mrn="1", name="PHANTOM^Ann", birth_date="1961-04-12", sex="F")
WHO = Principal("boss", "t", Role.MANAGER)
_CT = "1.2.840.10008.5.1.4.1.1.2"
_numbers = itertools.count(1)


def element(vr: str, value: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def image(number: int, *, study: str = "1.2.3", content: str = "", **other: dict[str, Any] | None) -> Arrival:
    """One of a series; ``other`` are attributes as ``T00180050``, None for one that it lacks."""
    uid = f"{study}.1.{number}"
    header = {
        "00080018": element("UI", uid), "00100020": element("LO", "1"), "0020000D": element("UI", study),
        "0020000E": element("UI", f"{study}.1"), "00200013": element("IS", number), "00280010": element("US", 512),
        "00080060": element("CS", "CT"), "00180050": element("DS", 2.5), "00080070": element("LO", "Phantom Works"),
        "00081030": element("LO", "Head"), "00280011": element("US", 512), "00180060": element("DS", 120.0),
    }  # fmt: skip
    for tag, value in other.items():
        if value is None:
            header.pop(tag[1:])
        else:
            header[tag[1:]] = value
    return Arrival(
        tenant_id="t", site_id="harbor", study_uid=study, series_uid=f"{study}.1", sop_uid=uid, sop_class=_CT,
        transfer_syntax="1.2.840.10008.1.2.1", stored=Stored(f"t/{uid}{content}", 9, sha256((uid + content).encode()).digest()),
        header=header, person=ANN, accession_number="", study_date="20261124", study_time="", modality="CT",
        study_modality="CT", body_part="", laterality="", procedure="", priority="",
    )  # fmt: skip


class World:
    """A database as ingest and readers see it."""

    def __init__(self, settings: Settings) -> None:
        self._ingest, self._app = (Database(settings.dsn(role), max_size=1) for role in ("rr_ingest", "rr_app"))
        self._settings = settings

    async def open(self) -> None:
        await self._ingest.open()
        await self._app.open()
        await self.admin(_SITE)

    async def close(self) -> None:
        await self._ingest.close()
        await self._app.close()

    async def admin(self, statement: str) -> list[Any]:
        conn = await asyncpg.connect(self._settings.admin_dsn)
        try:
            return [tuple(row) for row in await conn.fetch(statement)] if statement[:6] == "SELECT" else [
                await conn.execute(statement)
            ]  # fmt: skip
        finally:
            await conn.close()

    async def store(self, *arrivals: Arrival) -> list[str]:
        async with self._ingest.pool.acquire() as conn:
            return [outcome.outcome for outcome in await store_images(conn, arrivals)]

    async def headers(self, study: str) -> list[dict[str, Any]]:
        async with self._app.view(WHO) as conn:
            return [msgspec.json.decode(text) for text in await dicom.headers(conn, WHO, study)]

    async def found(self, *matches: Match) -> list[str]:
        async with self._app.view(WHO) as conn:
            found, _ = await find(conn, WHO, Search(INSTANCE, None, None, matches, 100, 0))
        return [each.sop_uid for each in found]

    async def alike(self, study: str) -> list[str | None]:
        rows = await self.admin(f"SELECT alike FROM rr.instance WHERE study_uid = '{study}' ORDER BY sop_uid")
        return [row[0] for row in rows]


@pytest.fixture
async def world(fresh: Settings) -> AsyncIterator[World]:
    made = World(fresh)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def study() -> str:
    """A study of its own, as a process remembers series whatever database it speaks to."""
    return f"1.2.826.{next(_numbers)}"


async def test_one_header_of_a_series_is_whole_and_every_one_is_read_so(world: World, study: str) -> None:
    series = [image(n, study=study) for n in range(1, 5)]
    assert await world.store(series[0]) == ["stored"]
    assert await world.store(*series[1:]) == ["stored"] * 3
    whole = series[0].sop_uid
    assert await world.alike(study) == [None, whole, whole, whole]
    kept = await world.admin(f"SELECT header::text FROM rr.instance WHERE sop_uid = '{series[3].sop_uid}'")
    assert set(msgspec.json.decode(kept[0][0])) == {"00080018", "00200013", "00280010"}
    assert await world.headers(study) == [each.header for each in series]
    of_all, of_one = Match(("00180060",), "number", ("120",)), Match(("00200013",), "number", ("3",))
    assert await world.found(of_all) == [each.sop_uid for each in series]
    assert await world.found(of_all, of_one) == [series[2].sop_uid]


async def test_an_image_that_lacks_what_the_others_have_is_kept_whole(world: World, study: str) -> None:
    lacks = image(2, study=study, T00180050=None)
    series = [image(1, study=study), lacks, image(3, study=study)]
    for each in series:
        assert await world.store(each) == ["stored"]
    assert await world.alike(study) == [None, None, lacks.sop_uid]
    assert await world.headers(study) == [each.header for each in series]


async def test_a_study_that_was_erased_begins_with_a_whole_header_again(world: World, study: str) -> None:
    first, second = image(1, study=study), image(2, study=study)
    assert await world.store(first) == ["stored"]
    for table in ("instance", "series", "dicom_study"):
        await world.admin(f"DELETE FROM rr.{table} WHERE study_uid = '{study}'")
    assert await world.store(second) == ["stored"]
    assert await world.headers(study) == [second.header]


async def test_another_image_of_the_same_name_is_not_what_was_remembered(world: World, study: str) -> None:
    first = image(1, study=study)
    assert await world.store(first) == ["stored"]
    other = (
        'UPDATE rr.instance SET sha256 = \'\\x00\', header = header || \'{"00180060": {"vr": "DS", "Value": [80.0]}}\''
    )
    await world.admin(f"{other} WHERE study_uid = '{study}'")
    assert await world.store(image(2, study=study), image(3, study=study)) == ["stored"] * 2
    assert [header["00180060"]["Value"] for header in await world.headers(study)] == [[80.0], [120.0], [120.0]]


async def test_of_two_images_of_a_name_in_a_group_the_first_is_stored(world: World, study: str) -> None:
    assert await world.store(image(1, study=study)) == ["stored"]
    again, other = image(2, study=study), image(2, study=study, content="changed")
    assert await world.store(again, again, other) == ["stored", "duplicate", "conflict"]
    assert await world.admin(f"SELECT images FROM rr.dicom_study WHERE study_uid = '{study}'") == [(2,)]
    kinds = await world.admin(f"SELECT body->>'kind' FROM rr.inbox WHERE study_uid = '{study}' ORDER BY inbox_id")
    assert kinds == [("images",), ("conflict",), ("images",)]


async def test_another_patient_of_a_known_study_stands_apart(world: World, study: str) -> None:
    assert await world.store(image(1, study=study)) == ["stored"]
    bea = Person(issuer="harbor", mrn="2", name="PHANTOM^Bea", birth_date="1970-01-01", sex="F")
    assert await world.store(replace(image(2, study=study), person=bea), image(3, study=study)) == ["stored"] * 2
    rows = await world.admin(
        f"SELECT i.sop_uid, d.study_uid = '{study}', i.alike FROM rr.dicom_study d JOIN rr.instance i USING (study_uid)"
        f" WHERE d.header_study_uid = '{study}' ORDER BY 1"
    )
    assert [row[1] for row in rows] == [True, False, True]


def test_a_header_that_has_little_in_common_is_kept_whole() -> None:
    alike, first = Alike(), image(1)
    alike.learn(first)
    other = {f"T{tag}": element("LO", "x") for tag in first.header if tag != "00200013"}
    assert alike.own(image(2, **other)) == (image(2, **other).header, None)
    own, whole = alike.own(image(2))
    assert len(own) == 3
    assert whole is not None
    alike.forget([first])
    assert alike.own(image(2))[1] is None
