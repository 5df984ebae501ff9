"""After the decision: its inputs are kept, reads are learned from, and who was asked twice is left alone."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.assignment.record import replay, unpack
from actors.domain.errors import NotEligible, StaleVersion
from actors.domain.identity import Principal, radiologist_key, tenant_key
from actors.domain.words import DeclineReason, Role, SignKind
from actors.local import Local
from storage import decisions
from storage.pool import Database
from storage.worklist import study_snapshot
from tests.actors.night import ADA, BOB, MAX, Night, at_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres
MIA = Principal("mia", "t", Role.MANAGER)


@pytest.fixture
async def night(fresh: Settings) -> AsyncIterator[Night]:
    """A tenant at work in this process."""
    async with at_work(fresh) as made:
        yield made


async def policy(night: Night, **rules: Any) -> None:
    """Set a policy and wait until it holds."""
    await night.admin.execute(
        "INSERT INTO rr.policy (tenant_id, version, body) VALUES ('t', 1, $1)", json.dumps({"assignment": rules})
    )
    await asyncio.sleep(1.0)


async def read(night: Night, study_uid: str, who: Principal) -> None:
    """Let a reader take her offer, read and sign."""
    offer = await night.offered(study_uid)
    await night.study(study_uid, c.Accept(offer["offer_id"]), who)
    await night.study(study_uid, c.StartReading(), who)
    await night.study(study_uid, c.SaveDraft(0, {"impression": "None."}), who)
    await night.study(study_uid, c.Sign(SignKind.FINAL, 1), who)


async def test_who_declines_is_asked_once_more_and_then_no_more_until_she_comes_back(night: Night) -> None:
    await policy(night, ask_again_s=1.0, declines_told=2)
    await night.online(ADA)
    await night.images("1.2.3")
    seen = set()
    for _ in range(2):
        doc = await night.until("1.2.3", lambda d: d.get("offer") and d["offer"]["offer_id"] not in seen)
        seen.add(doc["offer"]["offer_id"])
        await night.study("1.2.3", c.Decline(doc["offer"]["offer_id"], DeclineReason.OVERLOADED), ADA)
    await asyncio.sleep(3.0)
    doc = await night.doc("1.2.3")
    assert (doc["status"], doc["asked"][0]["times"]) == ("unread", 2)
    told = "SELECT count(*) FROM rr.feed WHERE stream = 'user:max' AND type = 'message_received'"
    assert await night.admin.fetchval(told) > 0
    assert await night.admin.fetchval(told + " AND data->'message'->>'text' LIKE 'Nobody has taken%2 times.'") == 1
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("busy"), ADA)
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("online"), ADA)
    assert (await night.offered("1.2.3"))["radiologist_id"] == "ada"


async def test_of_two_managers_one_is_told_who_was_first(night: Night) -> None:
    await night.admin.execute(
        "INSERT INTO rr.person (user_id, email, name, password_hash) VALUES ('mia','m@x','Mia','')"
    )
    await night.admin.execute("INSERT INTO rr.membership (tenant_id, user_id, role) VALUES ('t', 'mia', 'manager')")
    await night.images("1.2.3")
    step = (await night.status("1.2.3", "unread"))["step"]

    async def assign(by: Principal, to: str) -> Any:
        try:
            command = c.AssignStudy("1.2.3", to, step, override=True)
            return (await night.ask(tenant_key("t"), command, by))["row"]["assigned_to"]
        except StaleVersion as exc:
            return exc

    outcomes = await asyncio.gather(assign(MAX, "ada"), assign(MIA, "bob"))
    [refused] = [o for o in outcomes if isinstance(o, StaleVersion)]
    won = "max" if outcomes[1] is refused else "mia"
    assert (refused.fields["by"], refused.fields["by_name"]) == (won, won.title())
    assert refused.fields["row"]["assigned_to"] == {"max": "ada", "mia": "bob"}[won]
    assert won.title() in str(refused)


async def test_a_decision_is_kept_with_its_inputs_and_can_be_made_again(night: Night) -> None:
    await night.online(ADA, BOB)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    await night.images("1.2.4")
    await night.status("1.2.4", "offered")
    asked = await _explanation(night, "1.2.4")
    db = await Database(night.settings.dsn("rr_host")).open()
    try:
        async with asyncio.timeout(10), db.scope(["t"]) as conn:
            while (packed := await decisions.packed(conn, "t", asked["decision_id"])) is None:
                await asyncio.sleep(0.05)
    finally:
        await db.close()
    [again] = replay(unpack(packed))
    assert again.explanation | {name: asked[name] for name in ("decision_id", "policy_version")} == asked
    assert asked["why"] == (await night.doc("1.2.4"))["offer"]["why"]
    assert offer["why"] == "You read neuro, 0 of 5 studies, due in 30 min." or "0 of 5 studies" in offer["why"]


async def test_a_claimed_and_an_assigned_study_are_explained_too(night: Night) -> None:
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
    await night.ask(radiologist_key("t", "bob"), c.SetPresence("busy"))
    taken = await night.ask(tenant_key("t"), c.NextCase(), BOB)
    assert "decision_id" in await _explanation(night, "1.2.3")
    await night.ask(tenant_key("t"), c.AssignStudy("1.2.3", "ada", taken["version"], "hers", override=True), MAX)
    assert (await _explanation(night, "1.2.3"))["reason"] == "hers"


async def _explanation(night: Night, study_uid: str) -> dict[str, Any]:
    text = await night.admin.fetchval(
        "SELECT body FROM rr.explanation WHERE study_uid = $1 ORDER BY at DESC LIMIT 1", study_uid
    )
    found: dict[str, Any] = json.loads(text)
    return found


async def test_signed_reads_teach_minutes_that_a_new_decider_knows(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    await read(night, "1.2.3", ADA)
    row = await night.admin.fetchrow("SELECT radiologist_id, modality, minutes FROM rr.read_time")
    assert (row["radiologist_id"], row["modality"]) == ("ada", "CT")
    assert 0 <= row["minutes"] < 1
    await night.admin.execute("UPDATE rr.read_time SET minutes = 2.0")
    await night.admin.execute("""
        INSERT INTO rr.read_time (tenant_id, study_uid, radiologist_id, modality, body_part, procedure, minutes)
        SELECT 't', 'x' || n, 'ada', 'CT', 'HEAD', '', 2.0 FROM generate_series(1, 300) AS n
    """)
    await night.actors.stop()
    night.actors = Local(night.place)
    await night.actors.start()
    await night.online(BOB)
    await night.images("1.2.4")
    await night.status("1.2.4", "offered")
    text = await night.admin.fetchval("SELECT body FROM rr.explanation WHERE study_uid = '1.2.4'")
    points = {f["name"]: f.get("points") for f in json.loads(text)["factors"]}
    assert 1.5 < points["minutes"] < 5.0, "the policy alone says 8"


async def test_what_she_has_not_begun_when_her_shift_ends_goes_back_and_what_she_reads_stays(night: Night) -> None:
    await night.online(ADA)
    for uid in ("1.2.3", "1.2.4"):
        await night.images(uid)
        await night.study(uid, c.Accept((await night.offered(uid))["offer_id"]), ADA)
    await night.study("1.2.4", c.StartReading(), ADA)
    await night.admin.execute(
        "INSERT INTO rr.shift (tenant_id, user_id, starts_at, ends_at) VALUES ('t', 'ada', now() - interval '9 h', now())"
    )
    doc = await night.status("1.2.3", "unread")
    assert doc["assigned_to"] is None
    assert (await night.doc("1.2.4"))["assigned_to"] == "ada"
    await night.online(BOB)
    assert (await night.offered("1.2.3"))["radiologist_id"] == "bob"
    journal = await night.admin.fetch("SELECT body FROM rr.journal WHERE entity = 'study/1.2.3' AND type = 'Released'")
    assert [json.loads(r["body"])["reason"] for r in journal] == ["shift_end"]


async def test_a_stat_in_busy_hands_goes_to_whoever_is_free_first(night: Night) -> None:
    await night.online(ADA)
    for uid, patient in (("1.2.3", "p1"), ("1.2.4", "p2"), ("1.2.5", "p1")):
        await night.images(uid, patient=patient)
        await night.study(uid, c.Accept((await night.offered(uid))["offer_id"]), ADA)
    await night.study("1.2.3", c.StartReading(), ADA)
    await asyncio.sleep(1.5)
    assert (await night.doc("1.2.4"))["assigned_to"] == "ada"  # nobody else is there
    await night.online(BOB)
    doc = await night.until("1.2.4", lambda d: d.get("offer"))
    assert doc["offer"]["radiologist_id"] == "bob"
    for uid in ("1.2.3", "1.2.5"):  # begun, and the same patient's
        assert (await night.doc(uid))["assigned_to"] == "ada"
    told = await night.admin.fetch("SELECT type, data FROM rr.feed WHERE stream = 'user:ada' ORDER BY seq")
    assert any(r["type"] == "assignment_released" and json.loads(r["data"])["row"] is None for r in told)


async def test_a_study_whose_reader_is_gone_goes_on_to_another_when_her_lock_lapses(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    await night.study("1.2.3", c.Accept((await night.offered("1.2.3"))["offer_id"]), ADA)
    await night.study("1.2.3", c.StartReading("left"), ADA)
    await night.study("1.2.3", c.SaveDraft(0, {"findings": "Half."}), ADA)
    db = await Database(night.settings.dsn("rr_host")).open()
    async with db.scope(["t"]) as conn:
        shown = await study_snapshot(conn, "t", "1.2.3")
    await db.close()
    assert shown is not None
    assert (shown["data"]["lock"]["user_id"], shown["data"]["lock"]["tab"]) == ("ada", "left")
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("away"), ADA)
    await night.online(BOB)
    await asyncio.sleep(1.5)
    doc = await night.doc("1.2.3")
    assert doc["status"] == "reading"  # her lock holds
    until = datetime.fromisoformat(doc["lock"]["until"])
    await night.study("1.2.3", c.FireTimer("lock", doc["step"], until))
    assert (await night.offered("1.2.3"))["radiologist_id"] == "bob"
    assert (await night.doc("1.2.3"))["report"]["version"] == 1  # with what she had written


async def test_a_reader_may_name_her_next_case_within_the_window_only(night: Night) -> None:
    for uid in ("1.2.3", "1.2.4"):
        await night.images(uid)
        await night.status(uid, "unread")
    await night.ask(radiologist_key("t", "bob"), c.SetPresence("busy"))
    with pytest.raises(NotEligible):
        await night.ask(tenant_key("t"), c.NextCase("1.2.4"), BOB)
    await policy(night, window=2)
    taken = await night.ask(tenant_key("t"), c.NextCase("1.2.4"), BOB)
    assert (taken["row"]["study_uid"], taken["row"]["assigned_to"]) == ("1.2.4", "bob")
