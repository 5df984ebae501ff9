"""What has been kept long enough goes, key first, on disk and in a bucket; nothing else ever does."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from actors.domain.errors import BadPayload, NotFound
from actors.domain.patient import patient_id
from readingroom.cli import instance
from readingroom.cli.main import app
from readingroom.demo.sender import send
from storage import audit, holds
from storage.objects import object_store
from storage.pool import Database
from tests.dicom.kept import Kept, Killed, keeping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"


@pytest.fixture(params=["disk", "bucket"])
async def kept(world: World, images: Images, request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    if request.param == "bucket":
        world.settings.objects_url = request.getfixturevalue("bucket")
    async with keeping(world, images) as made:
        yield made


async def test_an_expired_study_goes_key_first_and_only_its_journal_stays(kept: Kept) -> None:
    await kept.policy(10)
    old, young = await kept.study(), await kept.study(days=3000)
    paths = await kept.paths(old)
    store, world = object_store(kept.world.settings), kept.world
    await world.conn.execute(
        "INSERT INTO rr.report (tenant_id, report_id, study_uid, site_id, status, version, sections)"
        " VALUES ('north', 'r1', $1, 'main', 'final', 1, '{}')", old,
    )  # fmt: skip
    assert await kept.expired() == [old]
    eraser = kept.eraser()
    assert await eraser.sweep() == 0  # marked
    assert store.open(paths[0]).read(4) is not None
    assert await eraser.sweep() == 0  # destroyed
    for path in paths:
        with pytest.raises(FileNotFoundError):
            object_store(world.settings).open(path)
    assert await eraser.sweep() == 1
    for table in ("instance", "series", "dicom_study", "report", "study"):
        assert not await world.rows(f"SELECT 1 FROM rr.{table} WHERE study_uid = $1", old), table
    assert await world.rows("SELECT 1 FROM rr.journal WHERE entity = $1", f"study/{old}")
    assert await world.value("SELECT act FROM rr.access WHERE subject = $1", old) == "study_erased"
    [erased] = await world.rows("SELECT * FROM rr.erasure")
    assert (erased["images"], erased["paths"], erased["erased_at"] is not None) == (3, [], True)
    for path in await kept.paths(young):
        with store.open(path) as file:
            assert file.read(132)[128:] == b"DICM"
    assert await eraser.sweep() == 0
    # The same study may come again, under a key of its own.
    kept.later()
    resent = kept.make(count=1)
    resent[0].StudyInstanceUID = old
    await asyncio.to_thread(send, resent, "127.0.0.1", kept.listener.port, aet="NORTH_MAIN")
    [path] = await kept.paths(old)
    with object_store(world.settings).open(path) as file:
        assert file.read(132)[128:] == b"DICM"


async def test_the_key_goes_before_the_files_and_a_crash_between_is_taken_up(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.policy(10)
    old = await kept.study()
    paths = await kept.paths(old)
    await kept.eraser().sweep()
    dying, gone = kept.eraser(), []

    def crash(name: str, _remove: Any = dying._store.remove) -> None:
        if not name.endswith("/key"):
            raise Killed
        _remove(name)
        gone.append(name)

    monkeypatch.setattr(dying._store, "remove", crash)
    with pytest.raises(Killed):
        await dying.sweep()
    assert gone == [f"{paths[0].rpartition('/')[0]}/key"]
    with pytest.raises(FileNotFoundError):
        object_store(kept.world.settings).open(paths[0])  # the file is there, and says nothing any more
    assert await kept.eraser().sweep() == 1
    assert not await kept.paths(old)


async def test_images_of_a_study_that_goes_are_refused_until_it_is_gone(kept: Kept) -> None:
    await kept.policy(10)
    old = await kept.study()
    await kept.eraser().sweep()
    late = kept.make(count=1)
    late[0].StudyInstanceUID = old
    other = kept.make(count=1)
    told = await asyncio.to_thread(send, [*late, *other], "127.0.0.1", kept.listener.port, aet="NORTH_MAIN")
    assert [one.status for one in told] == [0xA700, 0]
    await kept.eraser().sweep()
    assert await kept.eraser().sweep() == 1
    kept.later()
    await asyncio.to_thread(send, late, "127.0.0.1", kept.listener.port, aet="NORTH_MAIN")
    assert len(await kept.paths(old)) == 1


async def test_what_is_open_held_or_young_stays(kept: Kept) -> None:
    assert await kept.expired() == []
    reading, held, hers = (
        await kept.study(is_open=True),
        await kept.study(PatientID="1"),
        await kept.study(PatientID="HELD"),
    )
    assert await kept.expired() == []  # no policy: for ever
    await kept.policy(10)
    assert set(await kept.expired()) == {held, hers}
    async with kept.admin.scope() as conn:
        first = await holds.place(conn, "north", "claim", study_uid=held)
        await holds.place(conn, "north", "claim", patient_id=patient_id("north", "north-main", "HELD"))
        with pytest.raises(BadPayload, match="reason"):
            await holds.place(conn, "north", " ", study_uid=held)
    assert await kept.expired() == []
    assert await kept.eraser().sweep() == 0
    assert not await kept.world.rows("SELECT 1 FROM rr.erasure")
    async with kept.admin.scope() as conn:
        await holds.lift(conn, "north", first, "settled")
        with pytest.raises(NotFound):
            await holds.lift(conn, "north", first, "settled")
        assert [h["reason"] for h in await holds.holds(conn, "north")] == ["claim"]
    assert await kept.expired() == [held]
    await kept.eraser().sweep()
    async with kept.admin.scope() as conn:
        await holds.place(conn, "north", "another claim", study_uid=held)
    assert await kept.eraser().sweep() == 0  # the mark is taken back
    assert not await kept.world.rows("SELECT 1 FROM rr.erasure")
    assert len(await kept.paths(held)) == len(await kept.paths(reading)) == 3
    acts = [
        r["act"] for r in await kept.world.rows("SELECT act FROM rr.access WHERE act LIKE 'hold%' ORDER BY access_id")
    ]
    assert acts == ["hold_placed", "hold_placed", "hold_lifted", "hold_placed"]


async def test_a_hold_follows_a_patient_through_a_merge(kept: Kept) -> None:
    await kept.policy(10)
    await kept.study(PatientID="OLD")
    hers, survivor = (patient_id("north", "north-main", mrn) for mrn in ("OLD", "NEW"))
    await kept.world.conn.execute("UPDATE rr.study SET patient_id = $1", survivor)
    await kept.world.conn.execute(
        "INSERT INTO rr.patient VALUES ('north', $1, 'north-main', 'NEW', 'X', '', '')", survivor
    )
    await kept.world.conn.execute(
        "UPDATE rr.patient SET merged_into = $2, survivor = $2 WHERE patient_id = $1", hers, survivor
    )
    assert len(await kept.expired()) == 1
    async with kept.admin.scope() as conn:
        hold = await holds.place(conn, "north", "claim", patient_id=hers)
    assert await kept.expired() == []
    async with kept.admin.scope() as conn:
        await holds.lift(conn, "north", hold, "the other way round")
        await holds.place(conn, "north", "claim", patient_id=survivor)
    assert await kept.expired() == []


async def test_modality_and_age_keep_longer(kept: Kept) -> None:
    child = await kept.study(PatientBirthDate="20150101", PatientID="1")
    grown = await kept.study(PatientBirthDate="19500101", PatientID="2")
    unknown = await kept.study(PatientBirthDate="", PatientID="3")
    mammo = await kept.study(Modality="MG", PatientID="4", PatientBirthDate="19500101")
    await kept.policy(10, MG=20)
    assert set(await kept.expired()) == {child, grown, unknown}
    await kept.policy(10, until_age=28, MG=20)
    assert await kept.expired() == [grown]
    await kept.policy(20, MG=10)
    assert await kept.expired() == [mammo]
    with pytest.raises(BadPayload):
        await kept.policy(-1)


async def test_two_patients_under_one_uid_share_a_key_that_stays(kept: Kept) -> None:
    await kept.policy(10)
    old = await kept.study(PatientID="FIRST", PatientBirthDate="19500101")
    stranger = kept.make(count=1)
    stranger[0].StudyInstanceUID, stranger[0].PatientID, stranger[0].PatientBirthDate = old, "SECOND", "19700101"
    await asyncio.to_thread(send, stranger, "127.0.0.1", kept.listener.port, aet="NORTH_MAIN")
    [apart] = await kept.world.rows("SELECT path FROM rr.instance WHERE study_uid <> $1", old)
    paths = await kept.paths(old)
    assert paths[0].rpartition("/")[0] == apart["path"].rpartition("/")[0]
    assert [await kept.eraser().sweep() for _ in range(3)] == [0, 0, 1]
    with pytest.raises(FileNotFoundError):
        object_store(kept.world.settings).open(paths[0])
    with object_store(kept.world.settings).open(apart["path"]) as file:
        assert file.read(132)[128:] == b"DICM"


async def test_the_command_line_sets_holds_and_shows_what_would_go(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "settings_of", lambda _: kept.world.settings)

    async def run(*words: str) -> Any:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["admin", *words])
        return result.exit_code, result.output

    old = await kept.study(PatientID="P7")
    assert (await run("retention", "set", "--tenant", "north", "--years", "10", "--modality", "MG=20"))[0] == 0
    code, said = await run("retention", "--dry-run", "--json")
    assert (code, [e["study_uid"] for e in json.loads(said)["north"]["expired"]]) == (0, [old])
    assert json.loads(said)["south"]["policy"] is None
    assert old in (await run("retention", "--dry-run"))[1]
    assert "10 years after the last change (MG 20)" in (await run("retention"))[1]
    code, hold = await run("hold", "add", "--tenant", "north", "--mrn", "P7", "--reason", "claim")
    assert code == 0
    assert json.loads((await run("retention", "--dry-run", "--json"))[1])["north"]["expired"] == []
    assert hold.strip() in (await run("hold", "list", "--tenant", "north"))[1]
    assert (await run("hold", "lift", hold.strip(), "--tenant", "north", "--reason", "settled"))[0] == 0
    assert json.loads((await run("hold", "list", "--tenant", "north", "--json"))[1]) == {"holds": []}
    assert (await run("hold", "add", "--tenant", "north", "--reason", "x"))[0] == 2
    await kept.world.conn.execute(
        "INSERT INTO rr.person (user_id, email, name, password_hash) VALUES ('ada', 'ada@example.org', 'Ada', '')"
    )
    named = ("--tenant", "north", "--reason", "by whom", "--as", "Ada@example.org")
    code, hold = await run("hold", "add", "--study", old, *named)
    assert (code, (await run("hold", "lift", hold.strip(), *named))[0]) == (0, 0)
    acts = await kept.world.rows(
        "SELECT user_id, act FROM rr.access WHERE subject = $1 ORDER BY access_id", hold.strip()
    )
    assert [tuple(one.values()) for one in acts] == [("ada", "hold_placed"), ("ada", "hold_lifted")]
    code, said = await run("hold", "add", "--study", old, *named[:-1], "nobody@example.org")
    assert (code, "nobody@example.org" in said) == (2, True)
    assert (await run("retention", "set", "--tenant", "north", "--modality", "MG"))[0] == 2
    assert (await run("retention", "set", "--tenant", "north"))[0] == 0
    assert "north: for ever" in (await run("retention"))[1]


async def test_the_audit_chain_is_whole_after_an_erasure(kept: Kept) -> None:
    await kept.policy(10)
    old = await kept.study()
    host = await Database(kept.world.settings.dsn("rr_host")).open()
    async with host.scope(["north"]) as conn:
        before = await audit.verify(conn, "north")
    assert [await kept.eraser().sweep() for _ in range(3)] == [0, 0, 1]
    async with host.scope(["north"]) as conn:
        assert await audit.verify(conn, "north") == before
    await host.close()
    assert not await kept.paths(old)
