"""Files of studies closed long ago go to the cold tier and come back; whatever dies between the steps, each can be read."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from actors.domain.errors import BadPayload
from gateway.ingest.checking import Checker, Scrubber
from gateway.ingest.mover import Mover, NotMoved
from gateway.ingest.strays import StraySweeper
from readingroom.cli import instance
from readingroom.cli.main import app
from readingroom.demo.sender import send
from storage import holds, tiering
from storage.objects import ObjectStore, object_store
from storage.pool import Database
from storage.shelves import shelf
from storage.tiers import COLD, is_cold
from tests.dicom.kept import Kept, Killed, keeping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from tests.dicom.conftest import World


@pytest.fixture(params=["to a directory", "to a bucket", "from bucket to bucket"])
async def kept(
    world: World, images: Callable[..., list[FileDataset]], tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Kept]:
    world.settings.objects_cold_url = (tmp_path / "a cold place").as_uri()
    own = uuid4().hex
    if "bucket" in request.param:
        world.settings.objects_cold_url = f"{request.getfixturevalue('bucket')}/{own}/cold"
    if "from bucket" in request.param:
        world.settings.objects_url = f"{request.getfixturevalue('bucket')}/{own}/hot"
    async with keeping(world, images) as made:
        yield made


def mover(kept: Kept, **how: Any) -> Mover:
    return Mover(kept.db, object_store(kept.world.settings), **({"bytes_s": 1e12, "grace_s": 0} | how))


async def policy(kept: Kept, days: float | None) -> None:
    async with kept.admin.scope() as conn:
        await tiering.keep(conn, "north", days)


async def sweeps(kept: Kept, count: int) -> None:
    for _ in range(count):
        await mover(kept).sweep()


def readable(kept: Kept, paths: list[str]) -> bool:
    """Whether every file opens, as a process that has just begun reads it."""
    store = object_store(kept.world.settings)
    for path in paths:
        with store.open(path) as file:
            if file.read(132)[128:] != b"DICM":
                return False
    return True


def lying(kept: Kept, top: str = "") -> set[str]:
    """Return the names of the images that lie on a tier."""
    return {name for name, _ in object_store(kept.world.settings).shelf.listed(f"{top}north")}


async def read(kept: Kept, uid: str) -> list[bytes]:
    store, found = object_store(kept.world.settings), {}
    for path in await kept.paths(uid):
        with store.open(path) as file:
            found[path.rpartition("/")[2][:32]] = kept.world.strip(file.read())
    return [found[name] for name in sorted(found)]


async def test_a_study_left_alone_goes_and_comes_back_when_it_is_opened(kept: Kept) -> None:
    await policy(kept, 90)
    old, young, reading = await kept.study(100), await kept.study(80), await kept.study(100, is_open=True)
    before = [await read(kept, uid) for uid in (old, young, reading)]
    came = await kept.paths(old)
    assert await mover(kept).sweep() == 1
    away = await kept.paths(old)
    assert all(is_cold(path) for path in away)
    assert not any(is_cold(path) for path in [*await kept.paths(young), *await kept.paths(reading)])
    assert readable(kept, came)  # whoever has an old name in hand still reads it
    assert await mover(kept, grace_s=3600).sweep() == 0
    assert set(came) <= lying(kept)
    assert await mover(kept).sweep() == 0  # the grace is over
    assert not set(came) & lying(kept)
    assert lying(kept, COLD) == set(away)
    await kept.world.conn.execute(
        "INSERT INTO rr.access (tenant_id, user_id, act, subject) VALUES ('north', 'rita', 'study_opened', $1)", old
    )
    assert await mover(kept).sweep(look=False) == 1
    again = await kept.paths(old)
    assert not any(is_cold(path) for path in again)
    assert not set(again) & set(came)  # no name is ever used twice
    assert await mover(kept).sweep() == 0  # opened lately: it stays
    assert lying(kept, COLD) == set()
    assert [await read(kept, uid) for uid in (old, young, reading)] == before
    await kept.world.conn.execute("UPDATE rr.access SET at = now() - interval '91 days'")
    assert await mover(kept).sweep() == 1
    assert await read(kept, old) == before[0]


async def test_it_comes_back_when_it_is_worked_on_again_and_late_images_follow_it(kept: Kept) -> None:
    await policy(kept, 90)
    old = await kept.study(100)
    assert await mover(kept).sweep() == 1
    late = kept.make(count=1)
    late[0].StudyInstanceUID = old
    await asyncio.to_thread(send, late, "127.0.0.1", kept.listener.port, aet="NORTH_MAIN")
    paths = await kept.paths(old)
    assert sorted(is_cold(path) for path in paths) == [False, True, True, True]
    assert readable(kept, paths)
    await kept.world.conn.execute("UPDATE rr.study SET open = true WHERE study_uid = $1", old)
    await kept.world.conn.execute("DELETE FROM rr.inbox")
    assert [await mover(kept).sweep(look=False) for _ in range(2)] == [1, 0]
    assert not any(is_cold(path) for path in await kept.paths(old))
    await kept.world.conn.execute("UPDATE rr.study SET open = false")
    await kept.world.conn.execute(
        "UPDATE rr.dicom_study SET last_image_at = now() - interval '100 days', quiet_at = now()"
    )
    assert await mover(kept).sweep() == 1
    assert all(is_cold(path) for path in await kept.paths(old))


async def test_off_by_default_and_never_what_is_damaged_or_hears_of_something(kept: Kept) -> None:
    old = await kept.study(4000)
    assert await mover(kept).sweep() == 0
    await policy(kept, 90)
    assert [one.study_uid for one in (await mover(kept).due())["north"]] == [old]
    path = (await kept.paths(old))[0]
    await kept.world.conn.execute(
        "INSERT INTO rr.damage (tenant_id, path, site_id, study_uid, sop_uid, cause, found_by)"
        " VALUES ('north', $1, 'main', $2, '1', 'changed', 'scrub')", path, old,
    )  # fmt: skip
    assert await mover(kept).sweep() == 0
    await kept.world.conn.execute("UPDATE rr.damage SET healed_at = now()")
    await kept.world.conn.execute(
        "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES ('north', $1, 0, '{}')", old
    )
    assert await mover(kept).sweep() == 0
    await kept.world.conn.execute("DELETE FROM rr.inbox")
    await policy(kept, None)
    assert await mover(kept).sweep() == 0
    with pytest.raises(BadPayload, match="positive"):
        await policy(kept, 0)


STEPS = {
    "before the first copy": (ObjectStore, "copy", 1),
    "between copies": (ObjectStore, "copy", 2),
    "before a copy's sum": (ObjectStore, "verify", 2),
    "before the rows": (tiering, "flip", 1),
    "before the old files": (ObjectStore, "remove", 1),
    "between the old files": (ObjectStore, "remove", 2),
    "before the end": (tiering, "done", 1),
}


@pytest.mark.parametrize("kept", ["to a directory"], indirect=True)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("cold", [True, False])
async def test_whatever_dies_between_the_steps_the_next_sweep_goes_on(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, step: str, *, cold: bool
) -> None:
    await policy(kept, 90)
    old = await kept.study(100)
    before = await read(kept, old)
    if not cold:
        assert [await mover(kept).sweep() for _ in range(2)] == [1, 0]
        await kept.world.conn.execute(
            "INSERT INTO rr.access (tenant_id, user_id, act, subject) VALUES ('north', 'r', 'study_opened', $1)", old
        )
    of, name, at = STEPS[step]
    real, calls = getattr(of, name), 0

    def dying(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed
        return real(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(of, name, dying)
        with pytest.raises(Killed):
            await sweeps(kept, 2)
    assert await read(kept, old) == before
    await kept.world.conn.execute("UPDATE rr.tier_move SET alive_at = now() - interval '11 minutes'")
    await sweeps(kept, 3)
    assert {is_cold(path) for path in await kept.paths(old)} == {cold}
    assert await read(kept, old) == before
    assert not await kept.world.rows("SELECT 1 FROM rr.tier_move")
    paths = set(await kept.paths(old))
    assert (lying(kept), lying(kept, COLD)) == ((set(), paths) if cold else (paths, set()))


async def test_a_move_under_way_is_not_begun_twice_and_a_copy_that_differs_is_no_copy(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await policy(kept, 90)
    old = await kept.study(100)
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "verify", lambda *_: False)
        with pytest.raises(NotMoved, match="not what was received"):
            await mover(kept).move("north", old, cold=True)
    assert not any(is_cold(path) for path in await kept.paths(old))
    assert not await kept.world.rows("SELECT 1 FROM rr.tier_move")
    async with kept.db.scope(["north"]) as conn:
        assert await tiering.begin(conn, "north", old, "another", cold=True, lease_s=600) == "another"
    with pytest.raises(NotMoved, match="under way"):
        await mover(kept).move("north", old, cold=True)
    await kept.world.conn.execute("UPDATE rr.tier_move SET alive_at = now() - interval '25 hours'")
    assert await mover(kept).sweep() == 1  # nobody went on with it


async def test_what_opens_while_it_is_copied_stays(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    await policy(kept, 90)
    old = await kept.study(100)
    flip = tiering.flip

    async def opened(*args: Any) -> bool:
        await kept.world.conn.execute("UPDATE rr.study SET open = true WHERE study_uid = $1", old)
        return await flip(*args)

    monkeypatch.setattr(tiering, "flip", opened)
    with pytest.raises(NotMoved, match="open"):
        await mover(kept).move("north", old, cold=True)
    paths = await kept.paths(old)
    assert not any(is_cold(path) for path in paths)
    assert readable(kept, paths)
    # The copies are strays: collected when they are old, and nothing else is.
    db = await Database(kept.world.settings.dsn("rr_ingest")).open()
    assert len(lying(kept, COLD)) == 3
    assert await StraySweeper(db, object_store(kept.world.settings), old_s=-60, wait_s=0).sweep() == 3
    assert (lying(kept), lying(kept, COLD)) == (set(paths), set())
    await db.close()


async def test_the_sweeper_and_the_scrubber_know_both_tiers(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    await policy(kept, 90)
    old = await kept.study(100)
    came = set(await kept.paths(old))
    store = object_store(kept.world.settings)
    db = await Database(kept.world.settings.dsn("rr_ingest")).open()
    with monkeypatch.context() as patch:  # copied, and not yet named by any row
        patch.setattr(tiering, "flip", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            await mover(kept).sweep()
    strays = StraySweeper(db, store, old_s=-60, wait_s=0)
    assert await strays.sweep() == 0
    await kept.world.conn.execute("UPDATE rr.tier_move SET alive_at = now() - interval '11 minutes'")
    assert await mover(kept, grace_s=3600).sweep() == 1
    assert await strays.sweep() == 0  # the old files are kept for a while
    assert (lying(kept), lying(kept, COLD)) == (came, set(await kept.paths(old)))
    told: list[int] = []
    scrubber = Scrubber(db, Checker(db, store, told.extend), bytes_s=1e12)
    assert await scrubber.step() == 3
    assert told == []
    cold = (await kept.paths(old))[0]
    store.remove(cold)
    await scrubber.step()  # the round's end
    assert await scrubber.step() == 3
    assert [tuple(r.values()) for r in await kept.world.rows("SELECT path, cause FROM rr.damage")] == [
        (cold, "missing")
    ]
    assert len(told) == 1
    await db.close()


async def test_a_resent_image_of_a_cold_study_is_a_duplicate_and_leaves_nothing(kept: Kept) -> None:
    await policy(kept, 90)
    made = kept.make(count=1)
    await asyncio.to_thread(send, made, "127.0.0.1", kept.listener.port, aet="NORTH_MAIN")
    uid = str(made[0].StudyInstanceUID)
    assert await mover(kept).move("north", await kept.study(100), cold=True) == 3
    await kept.world.conn.execute(
        "UPDATE rr.dicom_study SET phantom = true, quiet_at = now() WHERE study_uid = $1", uid
    )
    await kept.world.conn.execute("DELETE FROM rr.inbox")
    assert await mover(kept).move("north", uid, cold=True, days=0) == 1
    await mover(kept).sweep()
    [told] = await asyncio.to_thread(send, made, "127.0.0.1", kept.listener.port, aet="NORTH_MAIN")
    assert told.status == 0
    [path] = await kept.paths(uid)
    assert is_cold(path)
    assert len(lying(kept)) == 1
    db = await Database(kept.world.settings.dsn("rr_ingest")).open()
    assert await StraySweeper(db, object_store(kept.world.settings), old_s=-60, wait_s=0).sweep() == 1
    assert (len(lying(kept)), readable(kept, [path])) == (0, True)
    await db.close()


async def test_retention_and_holds_reach_the_cold_tier(kept: Kept) -> None:
    await policy(kept, 90)
    await kept.policy(10)
    held, going = await kept.study(4000), await kept.study(4000)
    async with kept.admin.scope() as conn:
        await holds.place(conn, "north", "claim", study_uid=held)
    assert await mover(kept, grace_s=3600).sweep() == 2
    paths, kept_paths = await kept.paths(going), await kept.paths(held)
    store = object_store(kept.world.settings)
    key = f"{paths[0].removeprefix(COLD).rpartition('/')[0]}/key"
    assert len(store.shelf.read(key)) == 40
    eraser = kept.eraser()
    assert await eraser.sweep() == 0  # marked
    with pytest.raises(NotMoved):
        await mover(kept).move("north", going, cold=False)
    assert [await eraser.sweep() for _ in range(2)] == [0, 1]
    with pytest.raises(FileNotFoundError):
        store.shelf.read(key)
    assert lying(kept, COLD) == set(kept_paths)
    assert len(lying(kept)) == 3  # the old files of what is on hold, for the rest of their hour
    assert not await kept.world.rows("SELECT 1 FROM rr.tier_move WHERE study_uid = $1", going)
    await mover(kept).sweep()
    assert (lying(kept), readable(kept, kept_paths)) == (set(), True)


async def test_the_command_line_sets_shows_and_moves(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "settings_of", lambda _: kept.world.settings)

    async def run(*words: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["admin", "tier", *words])
        return result.exit_code, result.output

    old, reading = await kept.study(100), await kept.study(100, is_open=True)
    assert "north: cold never; 2 hot, 0 cold, 0 on the way" in (await run())[1]
    assert (await run("set", "--tenant", "north", "--days", "90"))[0] == 0
    code, said = await run("--dry-run", "--json")
    assert (code, json.loads(said)["north"]["due"]) == (0, [{"study_uid": old, "images": 3}])
    assert json.loads(said)["south"]["due"] == []
    assert old in (await run("--dry-run"))[1]
    assert await run("move", old, "--tenant", "north", "--to", "cold") == (0, "3\n")
    shown = json.loads((await run("--json"))[1])["north"]
    assert shown == {"days": 90, "hot": 1, "cold": 1, "moving": 0}
    code, said = await run("move", reading, "--tenant", "north", "--to", "cold")
    assert (code, "it is open" in said) == (2, True)
    assert (await run("move", old, "--tenant", "north", "--to", "lukewarm"))[0] == 2
    assert (await run("set", "--tenant", "north"))[0] == 0
    assert [r["act"] for r in await kept.world.rows("SELECT act FROM rr.access")] == ["tiering_changed"] * 2
    kept.world.settings.objects_cold_url = None
    for words in (("set", "--tenant", "north", "--days", "9"), ("move", old, "--tenant", "north", "--to", "hot")):
        code, said = await run(*words)
        assert (code, "READINGROOM_OBJECTS_COLD_URL" in said) == (2, True)
    with pytest.raises(OSError, match="READINGROOM_OBJECTS_COLD_URL"):
        object_store(kept.world.settings).open((await kept.paths(old))[0])


def test_what_a_crash_left_in_a_directory_goes_when_nobody_works_on_it(tmp_path: Path) -> None:
    incoming = tmp_path / ".incoming"
    incoming.mkdir()
    (incoming / "1-old").touch()
    os.utime(incoming / "1-old", (time.time() - 7 * 3600,) * 2)
    (incoming / "1-new").touch()
    shelf(tmp_path.as_uri()).take("north/aa/study/1.dcm", io.BytesIO(b"image"))
    assert [path.name for path in incoming.iterdir()] == ["1-new"]
    assert (tmp_path / "north/aa/study/1.dcm").read_bytes() == b"image"
    with pytest.raises(ValueError, match="file:///mnt/cold"):
        shelf("file://somewhere/else")
