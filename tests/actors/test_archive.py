"""A study closed long ago is put away, still found by everyone, and comes back with its next image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.identity import Principal, minted_study_uid
from actors.domain.replay import replay
from actors.domain.study import load
from actors.domain.words import Priority, Role, SignKind
from actors.local import Local
from storage import archive, journal, studies_read, worklist
from storage.pool import Database
from tests.actors.night import ADA, MAX, PATIENT, Night, at_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

TECH = Principal("tess", "t", Role.TECHNOLOGIST, sites=frozenset({"harbor"}))
ELSEWHERE = Principal("tom", "t", Role.TECHNOLOGIST, sites=frozenset({"other"}))


@pytest.fixture
async def night(fresh: Settings) -> AsyncIterator[Night]:
    async with at_work(fresh) as made:
        yield made


@pytest.fixture
async def host(night: Night) -> AsyncIterator[Database]:
    db = await Database(night.settings.dsn("rr_host")).open()
    yield db
    await db.close()


@pytest.fixture
async def app(night: Night) -> AsyncIterator[Database]:
    db = await Database(night.settings.dsn("rr_app")).open()
    yield db
    await db.close()


async def signed(night: Night, study_uid: str = "1.2.3") -> None:
    await night.online(ADA)
    await night.images(study_uid)
    offer = await night.offered(study_uid)
    await night.study(study_uid, c.Accept(offer["offer_id"]), ADA)
    await night.study(study_uid, c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    await night.study(study_uid, c.Sign(SignKind.FINAL, 1), ADA)
    doc = await night.doc(study_uid)
    for flag in doc["flags"]:
        await night.study(study_uid, c.DismissFlag(flag, "settled"), MAX)


async def put_away(host: Database, after_s: float = 0.0) -> int:
    async with host.scope(["t"]) as conn:
        return await archive.put_away(conn, "t", after_s)


async def seen(app: Database, who: Principal) -> Any:
    async with app.view(who) as conn:
        return await studies_read.seen(conn, who, "1.2.3")


async def test_only_what_is_closed_and_was_left_alone_is_put_away(night: Night, host: Database) -> None:
    await signed(night)
    await night.images("1.2.4")
    await night.offered("1.2.4")
    assert await put_away(host, 3600) == 0
    assert await put_away(host) == 1
    assert await put_away(host) == 0
    assert (await night.doc("1.2.3"))["shape"] == 0
    assert (await night.doc("1.2.4"))["status"] == "offered"


async def test_it_is_found_by_everyone_as_before(night: Night, host: Database, app: Database) -> None:
    await signed(night)
    before = await seen(app, MAX)
    await put_away(host)
    assert await seen(app, MAX) == before
    assert (await seen(app, TECH)).row["study_uid"] == "1.2.3"
    assert await seen(app, ELSEWHERE) is None
    async with app.view(MAX) as conn:
        assert [s.study_uid for s in await studies_read.page(conn, MAX, studies_read.Wanted(), None, 10)] == ["1.2.3"]
        snapshot = await worklist.study_snapshot(conn, "t", "1.2.3")
        assert snapshot is not None
        assert snapshot["data"]["row"] == before.row
        assert (await studies_read.history(conn, "t", "1.2.3", 0, 50))[-1]["type"] == "FlagDismissed"
    async with host.scope(["t"]) as conn:
        assert replay("1.2.3", await journal.read(conn, "t", "study/1.2.3")).status == "final"


@pytest.mark.parametrize("kept", [True, False])
async def test_a_late_image_brings_it_back_also_when_only_the_journal_is_left(
    night: Night, host: Database, *, kept: bool
) -> None:
    await signed(night)
    await put_away(host)
    await night.actors.stop()
    if not kept:
        await night.admin.execute("UPDATE rr.study_archive SET doc = '{\"shape\": 0}'")
    night.actors = Local(night.place)
    await night.actors.start()
    await night.images("1.2.3")
    doc = await night.until("1.2.3", lambda d: "images_after_sign" in d.get("flags", ()))
    assert (doc["images"], doc["status"]) == (2, "final")
    async with host.scope(["t"]) as conn:
        assert replay("1.2.3", await journal.read(conn, "t", "study/1.2.3")) == load(doc)
    assert await night.admin.fetchval("SELECT count(*) FROM rr.study_archive") == 0
    assert await night.admin.fetchval("SELECT archived_at FROM rr.study") is None


async def test_who_still_holds_it_in_memory_goes_on(night: Night, host: Database) -> None:
    await signed(night)
    await put_away(host)
    answer = await night.study("1.2.3", c.Sign(SignKind.ADDENDUM, 0, text="No change."), ADA)
    assert answer["row"]["report"]["version"] == 3
    assert await night.admin.fetchval("SELECT count(*) FROM rr.study_archive") == 0


async def test_a_host_puts_away_what_it_finds_when_it_begins(night: Night) -> None:
    await signed(night)
    await night.actors.stop()
    night.actors = Local(replace(night.place, archive_after_s=0.0))
    await night.actors.start()
    await night.until("1.2.3", lambda d: d["shape"] == 0)


async def test_an_order_that_left_its_minted_study_leaves_no_row_behind(
    night: Night, host: Database, app: Database
) -> None:
    minted = minted_study_uid("t", "harbor", "A1")
    await night.study(minted, c.ReceiveOrder(c.Order("harbor", "A1", Priority.STAT, "CT head", "CT", PATIENT)))
    await night.images("1.2.3", accession="A1")
    await night.until("1.2.3", lambda d: d.get("ordered"))
    assert await put_away(host) == 1
    async with app.view(MAX) as conn:
        assert [s.study_uid for s in await studies_read.page(conn, MAX, studies_read.Wanted(), None, 10)] == ["1.2.3"]
    again = await night.study(minted, c.CancelOrder("mistake"), MAX)  # forwarded to where the order is now
    assert again["row"]["study_uid"] == "1.2.3"
