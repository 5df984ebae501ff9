"""Files that no row refers to are collected, and no other."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from gateway.ingest.listener import Listener
from gateway.ingest.strays import StraySweeper
from readingroom.demo.sender import send
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"


@pytest.fixture
async def db(world: World) -> AsyncIterator[Database]:
    db = Database(world.settings.dsn("rr_ingest"))
    await db.open()
    yield db
    await db.close()


async def test_files_whose_rows_failed_go_and_what_rows_name_stays(
    world: World, listener: Listener, images: Images, db: Database
) -> None:
    study = images(count=4)
    await asyncio.to_thread(send, study, "127.0.0.1", listener.port, aet="NORTH_MAIN")
    study[3].InstanceNumber = 99
    await asyncio.to_thread(send, study[3:], "127.0.0.1", listener.port, aet="NORTH_MAIN")  # kept apart, with a row
    rows = await world.rows("SELECT sop_uid, path FROM rr.instance ORDER BY sop_uid")
    lost, young = rows[0], rows[1]
    await world.conn.execute("DELETE FROM rr.instance WHERE sop_uid = ANY($1)", [lost["sop_uid"], young["sop_uid"]])
    for path in world.files(pattern="*.dcm"):
        if not str(path).endswith(young["path"]):
            os.utime(path, (time.time() - 9000, time.time() - 9000))
    before = {str(path) for path in world.files(pattern="*.dcm")}
    assert len(before) == 5
    assert await StraySweeper(db, listener._store, wait_s=0).sweep() == 1
    after = {str(path) for path in world.files(pattern="*.dcm")}
    assert before - after == {str(world.settings.objects / lost["path"])}
    assert await StraySweeper(db, listener._store, wait_s=0).sweep() == 0


async def test_a_file_that_gets_its_row_meanwhile_comes_back(
    world: World, listener: Listener, images: Images, db: Database
) -> None:
    (image,) = images()
    await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    (row,) = await world.rows("SELECT * FROM rr.instance")
    path = world.settings.objects / row["path"]
    content = path.read_bytes()
    os.utime(path, (time.time() - 9000, time.time() - 9000))
    await world.conn.execute("CREATE TABLE kept AS SELECT * FROM rr.instance; DELETE FROM rr.instance")
    sweep = asyncio.create_task(StraySweeper(db, listener._store, wait_s=1).sweep())
    async with asyncio.timeout(20):
        while path.exists():
            await asyncio.sleep(0.01)
    await world.conn.execute("INSERT INTO rr.instance SELECT * FROM kept")
    assert await sweep == 0
    assert path.read_bytes() == content


async def test_a_bucket_is_swept_as_a_disk_is(world: World, images: Images, db: Database, bucket: str) -> None:
    world.settings.objects_url = bucket
    listener = Listener(world.settings, quiet_s=60)
    await listener.start()
    try:
        await asyncio.to_thread(send, images(count=3), "127.0.0.1", listener.port, aet="NORTH_MAIN")
        rows = await world.rows("SELECT sop_uid, path FROM rr.instance ORDER BY sop_uid")
        lost, found = rows[0], rows[1]
        await world.conn.execute("CREATE TABLE kept AS SELECT * FROM rr.instance WHERE sop_uid = $1", found["sop_uid"])
        uids = [lost["sop_uid"], found["sop_uid"]]
        await world.conn.execute("DELETE FROM rr.instance WHERE sop_uid = ANY($1)", uids)
        store = listener._store
        assert await StraySweeper(db, store, wait_s=0).sweep() == 0  # they are young
        sweep = asyncio.create_task(StraySweeper(db, store, old_s=-60, wait_s=2).sweep())
        async with asyncio.timeout(20):
            while len([name for name, _ in store.shelf.listed(".strays/north")]) < 2:
                await asyncio.sleep(0.02)
        await world.conn.execute("INSERT INTO rr.instance SELECT * FROM kept")
        assert await sweep == 1
        assert {name for name, _ in store.shelf.listed("north")} == {rows[1]["path"], rows[2]["path"]}
        assert not list(store.shelf.listed(".strays"))
        with store.open(found["path"]) as file:
            assert file.read(132)[128:] == b"DICM"
    finally:
        await listener.stop()
