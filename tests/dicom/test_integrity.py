"""A byte that changed on disk is found, by a check of all files or of those that are read, and told where it matters."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from actors import inbox as actors_inbox
from actors.domain import commands as c
from gateway.ingest.checking import Checker, Sampler, Scrubber
from readingroom.cli import instance
from readingroom.cli.main import app
from readingroom.demo.sender import send
from storage import dicom
from storage.inbox import Entry
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"
FAST = 1e9  # bytes a second

STUDY = """
INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, patient_id, accession_number,
  flags, doc)
SELECT tenant_id, study_uid, site_id, 1, 1, 'final', false, 'STAT', patient_id, '', '{}', '{}' FROM rr.dicom_study
"""


@pytest.fixture
async def db(world: World) -> AsyncIterator[Database]:
    db = await Database(world.settings.dsn("rr_ingest")).open()
    yield db
    await db.close()


@pytest.fixture
async def rows(world: World, listener: Listener, images: Images) -> list[dict[str, Any]]:
    """Three stored images of a signed study, of which its actor has heard."""
    await asyncio.to_thread(send, images(count=3), "127.0.0.1", listener.port, aet="NORTH_MAIN")  # type: ignore[operator]
    await world.conn.execute(STUDY)
    await world.conn.execute("DELETE FROM rr.inbox")
    return await world.rows("SELECT * FROM rr.instance ORDER BY sop_uid")


def flip(world: World, path: str, at: int = -40) -> None:
    """Change a byte of a file where it lies."""
    file = world.settings.objects / path
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


class Told:
    """Whom a checker nudged."""

    def __init__(self, world: World, db: Database) -> None:
        self.shards: list[int] = []
        self.checker = Checker(db, world.store, self.nudge)

    def nudge(self, shards: Iterable[int]) -> None:
        self.shards += shards


async def test_the_slow_check_finds_a_changed_byte_and_a_missing_file_once(
    world: World, rows: list[dict[str, Any]], db: Database
) -> None:
    told = Told(world, db)
    scrub = Scrubber(db, told.checker, FAST)
    assert (await scrub.step(), await scrub.step(), told.shards) == (3, 0, [])
    flip(world, rows[0]["path"])
    (world.settings.objects / rows[1]["path"]).unlink()
    assert await scrub.step() == 3
    found = await world.rows("SELECT path, cause, found_by FROM rr.damage ORDER BY path")
    assert sorted((f["path"], f["cause"], f["found_by"]) for f in found) == sorted([
        (rows[0]["path"], "changed", "scrub"), (rows[1]["path"], "missing", "scrub"),
    ])  # fmt: skip
    inbox = await world.inbox()
    assert [(e["kind"], e["sop_uid"]) for e in inbox] == [("damaged", r["sop_uid"]) for r in rows[:2]]
    assert told.shards == [e["shard"] for e in inbox]
    assert (await scrub.step(), await scrub.step(), len(await world.inbox())) == (0, 3, 2)  # told once
    flip(world, rows[0]["path"])  # as it was: restored
    await scrub.step()
    await scrub.step()
    healed = await world.rows("SELECT path FROM rr.damage WHERE healed_at IS NOT NULL")
    assert [h["path"] for h in healed] == [rows[0]["path"]]
    flip(world, rows[0]["path"])
    await scrub.step()
    await scrub.step()
    assert len(await world.inbox()) == 3


async def test_a_round_goes_on_where_it_was_left(world: World, rows: list[dict[str, Any]], db: Database) -> None:
    await Scrubber(db, Told(world, db).checker, FAST).step()
    assert await Scrubber(db, Told(world, db).checker, FAST).step() == 0
    assert await world.value("SELECT round_at IS NOT NULL FROM rr.scrub WHERE tenant_id = 'north'")
    assert len(rows) == 3


async def test_what_is_read_is_checked_as_often_as_is_said(
    world: World, rows: list[dict[str, Any]], db: Database
) -> None:
    flip(world, rows[0]["path"])
    places = [
        dicom.Stored(r["study_uid"], r["study_uid"], r["series_uid"], r["sop_uid"], r["sop_class"], r["transfer_syntax"],
                     r["path"], r["size"], r["sha256"], image=True, received_at=r["received_at"])
        for r in rows
    ]  # fmt: skip
    never, always = (Sampler(Told(world, db).checker, fraction) for fraction in (0.0, 1.0))
    never.read("north", places)
    assert never._task is None
    always.read("north", places * 3)
    assert always._task is not None
    await always._task
    [found] = await world.rows("SELECT path, found_by FROM rr.damage")
    assert found == {"path": rows[0]["path"], "found_by": "read"}
    await always.stop()


async def test_what_is_being_erased_is_no_damage(world: World, rows: list[dict[str, Any]], db: Database) -> None:
    await world.conn.execute(
        "INSERT INTO rr.erasure (tenant_id, study_uid, site_id, images, bytes) VALUES ('north', $1, 'main', 3, 0)",
        rows[0]["study_uid"],
    )
    for row in rows:
        (world.settings.objects / row["path"]).unlink()
    await Scrubber(db, Told(world, db).checker, FAST).step()
    assert not await world.rows("SELECT 1 FROM rr.damage")


async def test_the_command_line_lists_it(
    world: World, rows: list[dict[str, Any]], db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "settings_of", lambda _: world.settings)

    async def run(*words: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["admin", "integrity", *words])
        return result.exit_code, result.output

    assert await run() == (0, "")
    flip(world, rows[0]["path"])
    scrub = Scrubber(db, Told(world, db).checker, FAST)
    await scrub.step()
    await scrub.step()
    code, said = await run()
    assert (code, "changed" in said, "every file checked" in said) == (1, True, True)
    code, said = await run("--json")
    assert (code, [f["path"] for f in json.loads(said)["files"]]) == (1, [rows[0]["path"]])


def test_the_study_is_flagged_by_what_its_inbox_says() -> None:
    patient = c.Patient("p1", "PHANTOM^Iris", "1", "harbor", "", "")
    entry = Entry(1, "north", "1.2.3", {"kind": "damaged", "site_id": "main", "sop_uid": "1.2.3.4"})
    assert actors_inbox.fold([entry], 3, None, patient).damaged
