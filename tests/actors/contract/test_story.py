"""The main job through real actors and a real PostgreSQL: the same in one process and on Ray."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.errors import AlreadyTaken, BadPayload, Expired, NotEligible, NothingToRead, ReadingRoomError
from actors.domain.identity import Principal, minted_study_uid, radiologist_key, study_key, tenant_key
from actors.domain.replay import replay
from actors.domain.study import load
from actors.domain.words import DeclineReason, Priority, SignKind
from actors.local import Local
from storage import journal
from storage.pool import Database
from tests.actors.night import ADA, BOB, MAX, PATIENT, Night

if TYPE_CHECKING:
    from collections.abc import Awaitable

pytestmark = pytest.mark.postgres


async def test_images_become_an_offer_a_reading_and_a_signed_report(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    assert offer["radiologist_id"] == "ada"
    answer = await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="a1")
    assert answer["row"]["status"] == "assigned"
    assert await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="a1") == answer
    await night.study("1.2.3", c.StartReading(), ADA)
    draft = await night.study("1.2.3", c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    assert draft["report_version"] == 1
    signed = await night.study("1.2.3", c.Sign(SignKind.FINAL, 1), ADA)
    assert signed["row"]["status"] == "final"
    assert await night.admin.fetchval("SELECT count(*) FROM rr.outbox") == 1
    assert await night.admin.fetchval("SELECT count(*) FROM rr.inbox") == 0
    assert await night.admin.fetchval("SELECT load FROM rr.reader WHERE user_id = 'ada'") == 0
    text = await night.admin.fetchval("SELECT sections->>'impression' FROM rr.report WHERE status = 'final'")
    assert text == "Bleed."
    gaps = await night.admin.fetch("""
        SELECT stream FROM rr.feed GROUP BY stream HAVING max(seq) <> count(*) OR min(seq) <> 1
        UNION ALL SELECT 'pos' FROM rr.feed HAVING max(pos) <> count(*)
    """)
    assert gaps == []
    db = await Database(night.settings.dsn("rr_host")).open()
    async with db.scope(["t"]) as conn:
        rebuilt = replay("1.2.3", await journal.read(conn, "t", "study/1.2.3"))
    await db.close()
    assert rebuilt == load(await night.doc("1.2.3"))


async def test_a_decline_passes_the_study_on(night: Night) -> None:
    await night.online(ADA, BOB)
    await night.images("1.2.3")
    first = await night.offered("1.2.3")
    who = {"ada": ADA, "bob": BOB}[first["radiologist_id"]]
    await night.study("1.2.3", c.Decline(first["offer_id"], DeclineReason.OVERLOADED), who)
    doc = await night.until("1.2.3", lambda d: d.get("offer") and d["offer"]["offer_id"] != first["offer_id"])
    assert doc["offer"]["radiologist_id"] != who.user_id


async def test_nobody_present_is_told_to_the_managers_and_the_first_who_comes_is_asked(night: Night) -> None:
    await night.images("1.2.3")
    async with asyncio.timeout(20):
        while not await night.admin.fetchval("SELECT count(*) FROM rr.feed WHERE stream = 'user:max'"):
            await asyncio.sleep(0.02)
    await night.online(ADA)
    assert (await night.offered("1.2.3"))["radiologist_id"] == "ada"


async def test_an_order_meets_its_images_whichever_comes_first(night: Night) -> None:
    order = c.Order("harbor", "A1", Priority.STAT, "CT head", "CT", PATIENT, expected_instances=1)
    minted = minted_study_uid("t", "harbor", "A1")
    await night.study(minted, c.ReceiveOrder(order))
    await night.images("1.2.3", accession="A1", priority="")
    doc = await night.until("1.2.3", lambda d: d.get("ordered"))
    assert (doc["priority"], doc["flags"]) == ("STAT", [])
    assert (await night.doc(minted))["moved_to"] == "1.2.3"

    await night.images("1.2.4", accession="A2", priority="")
    await night.until("1.2.4", lambda d: d["status"] == "unread")
    late = c.Order("harbor", "A2", Priority.STAT, "CT head", "CT", PATIENT)
    await night.study(minted_study_uid("t", "harbor", "A2"), c.ReceiveOrder(late))
    await night.until("1.2.4", lambda d: d.get("ordered"))


async def test_next_case_and_assign_are_answered_once(night: Night) -> None:
    await night.images("1.2.3")
    await night.until("1.2.3", lambda d: d["status"] == "unread")
    await night.ask(radiologist_key("t", "bob"), c.SetPresence("busy"))
    taken = await night.ask(tenant_key("t"), c.NextCase(), BOB, idem="n1")
    assert taken["row"]["assigned_to"] == "bob"
    assert await night.ask(tenant_key("t"), c.NextCase(), BOB, idem="n1") == taken
    with pytest.raises(NothingToRead):
        await night.ask(tenant_key("t"), c.NextCase(), BOB, idem="n2")
    with pytest.raises(NotEligible):
        await night.ask(tenant_key("t"), c.AssignStudy("1.2.3", "ada", taken["version"]), MAX)
    moved = await night.ask(tenant_key("t"), c.AssignStudy("1.2.3", "ada", taken["version"], override=True), MAX)
    assert moved["row"]["assigned_to"] == "ada"


async def test_refusals_have_no_effect(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    with pytest.raises(Expired):
        await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, deadline=1.0)
    await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="k")
    with pytest.raises(BadPayload):
        await night.study("1.2.3", c.StartReading(), ADA, idem="k")
    with pytest.raises(AlreadyTaken):
        await night.study("1.2.3", c.Accept(offer["offer_id"]), BOB)


async def test_a_new_host_goes_on_where_the_old_one_ended(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    other = Local(night.place, doubled=True)
    await other.start()
    try:
        key = study_key("t", "1.2.3")
        await other.ask(key, c.Envelope(c.Accept(offer["offer_id"]), ADA))
        started = await night.study("1.2.3", c.StartReading(), ADA)  # a stale copy must not say no
        assert started["row"]["status"] == "reading"
    finally:
        await other.stop()


async def test_twenty_claims_of_one_study_have_one_winner(night: Night) -> None:
    await night.images("1.2.3")
    await night.until("1.2.3", lambda d: d["status"] == "unread")

    async def claim(who: Principal, n: int) -> Any:
        try:
            return (await night.insist(tenant_key("t"), c.NextCase(), who, f"{n}"))["row"]["assigned_to"]
        except ReadingRoomError as exc:
            return exc.code

    await night.ask(radiologist_key("t", "ada"), c.SetPresence("busy"))
    await night.ask(radiologist_key("t", "bob"), c.SetPresence("busy"))
    jobs: list[Awaitable[Any]] = [claim(ADA if n % 2 else BOB, n) for n in range(20)]
    results = await asyncio.gather(*jobs)
    assert sorted(results).count("nothing_to_read") == 19
