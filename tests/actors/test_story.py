"""The main job through real actors and a real PostgreSQL, without Ray: images, offer, accept, sign."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from actors.domain import commands as c
from actors.domain.errors import AlreadyTaken, BadPayload, Expired, NotEligible, NothingToRead, ReadingRoomError
from actors.domain.identity import Principal, minted_study_uid, radiologist_key, study_key, tenant_key
from actors.domain.words import DeclineReason, Priority, Role, SignKind
from actors.local import Local
from actors.shard import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from readingroom.settings import Settings

ADA = Principal("ada", "t", Role.RADIOLOGIST)
BOB = Principal("bob", "t", Role.RADIOLOGIST)
MAX = Principal("max", "t", Role.MANAGER)
PATIENT = c.Patient("p1", "PHANTOM^Iris", "1", "harbor", "1961-04-12", "F")


class Night:
    """A tenant at work: hosts in this process, the database to look into."""

    def __init__(self, settings: Settings, admin: asyncpg.Connection[Any]) -> None:
        self.settings, self.admin = settings, admin
        self.place = Place(settings.dsn("rr_host"), settings.dsn("rr_timer"), settings.valkey_url)
        self.actors = Local(self.place)

    async def ask(self, key: Any, command: Any, by: Principal | None = None, **more: Any) -> dict[str, Any]:
        return await self.actors.ask(key, c.Envelope(command, by, **more))

    async def study(self, study_uid: str, command: Any, by: Principal | None = None, **more: Any) -> dict[str, Any]:
        return await self.ask(study_key("t", study_uid), command, by, **more)

    async def online(self, *who: Principal) -> None:
        for person in who:
            await self.ask(radiologist_key("t", person.user_id), c.ObservePresence(connected=True))

    async def images(self, study_uid: str, *, accession: str = "", priority: str = "STAT", count: int = 1) -> None:
        """Do what ingest does: rows and an inbox entry in one transaction."""
        async with self.admin.transaction():
            await self.admin.execute(
                "INSERT INTO rr.patient VALUES ('t', 'p1', 'harbor', '1', 'PHANTOM^Iris', '1961-04-12', 'F')"
                " ON CONFLICT DO NOTHING"
            )
            await self.admin.execute(
                "INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, header, images)"
                " VALUES ('t', $1, 'harbor', 'p1', $1, '{}', $2)"
                " ON CONFLICT (tenant_id, study_uid) DO UPDATE SET images = rr.dicom_study.images + excluded.images",
                study_uid, count,
            )  # fmt: skip
            body = {"kind": "images", "site_id": "harbor", "patient_id": "p1", "accession_number": accession,
                    "modality": "CT", "body_part": "HEAD", "priority": priority}  # fmt: skip
            await self.admin.execute(
                "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES ('t', $1, $2, $3)",
                study_uid, study_key("t", study_uid).shard, json.dumps(body),
            )  # fmt: skip

    async def doc(self, study_uid: str) -> dict[str, Any]:
        text = await self.admin.fetchval("SELECT doc FROM rr.study WHERE study_uid = $1", study_uid)
        return json.loads(text) if text else {"status": "unknown"}

    async def until(self, study_uid: str, seen: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not seen(doc := await self.doc(study_uid)):
                await asyncio.sleep(0.02)
        return doc

    async def offered(self, study_uid: str) -> dict[str, Any]:
        return (await self.until(study_uid, lambda d: d.get("offer")))["offer"]  # type: ignore[no-any-return]


@pytest.fixture
async def night(fresh: Settings) -> AsyncIterator[Night]:
    admin = await asyncpg.connect(fresh.admin_dsn)
    await admin.execute("""
        INSERT INTO rr.tenant VALUES ('t', 'Night Group');
        INSERT INTO rr.site VALUES ('t', 'harbor', 'Harbor', NULL, 'harbor');
        INSERT INTO rr.person (user_id, email, name, password_hash)
          SELECT u, u || '@x', initcap(u), '' FROM unnest('{ada,bob,max}'::text[]) AS u;
        INSERT INTO rr.membership (tenant_id, user_id, role) VALUES
          ('t', 'ada', 'radiologist'), ('t', 'bob', 'radiologist'), ('t', 'max', 'manager');
    """)
    made = Night(fresh, admin)
    await made.actors.start()
    yield made
    await made.actors.stop()
    await admin.close()


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
    other = Local(night.place)
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
            return (await night.ask(tenant_key("t"), c.NextCase(), who, idem=f"{n}"))["row"]["assigned_to"]
        except ReadingRoomError as exc:
            return exc.code

    await night.ask(radiologist_key("t", "ada"), c.SetPresence("busy"))
    await night.ask(radiologist_key("t", "bob"), c.SetPresence("busy"))
    jobs: list[Awaitable[Any]] = [claim(ADA if n % 2 else BOB, n) for n in range(20)]
    results = await asyncio.gather(*jobs)
    assert sorted(results).count("nothing_to_read") == 19
