"""A study that is read twice, through real actors and a real PostgreSQL: the same in one process and on Ray."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from actors.domain import commands as c
from actors.domain.errors import NotEligible
from actors.domain.identity import tenant_key
from actors.domain.policy import policy
from actors.domain.replay import replay
from actors.domain.second import Outcome
from actors.domain.study import load
from actors.domain.words import DeclineReason, SignKind
from storage import journal
from storage.pool import Database
from tests.actors.night import ADA, BOB, MAX

if TYPE_CHECKING:
    from actors.domain.identity import Principal
    from tests.actors.night import Night

pytestmark = pytest.mark.postgres


async def _policy(night: Night) -> None:
    body = json.dumps(policy({"second_reads": {"double": [{"modality": ["CT"]}]}}).body())
    await night.admin.execute("INSERT INTO rr.policy (tenant_id, version, body) VALUES ('t', 1, $1)", body)
    await night.valkey.publish("roster", "t")  # as who sets one does: the host may have read the one before


async def _read(night: Night, who: Principal, text: str) -> None:
    """Accept what is offered to her, write and sign."""
    doc = await night.until("1.2.3", lambda d: d.get("offer") and d["offer"]["radiologist_id"] == who.user_id)
    await night.study("1.2.3", c.Accept(doc["offer"]["offer_id"]), who)
    await night.study("1.2.3", c.StartReading(), who)
    assert await _load(night, who) == 1
    await night.study("1.2.3", c.SaveDraft(0, {"impression": text}), who)
    await night.study("1.2.3", c.Sign(SignKind.FINAL, 1), who)
    assert await _load(night, who) == 0


async def _load(night: Night, who: Principal) -> int:
    return int(await night.admin.fetchval("SELECT load FROM rr.reader WHERE user_id = $1", who.user_id))


async def test_the_second_reader_is_another_and_the_hospital_hears_once(night: Night) -> None:
    await _policy(night)
    await night.online(ADA)
    await night.images("1.2.3")
    await _read(night, ADA, "No bleed.")
    assert await night.admin.fetchval("SELECT count(*) FROM rr.outbox") == 0
    step = (await night.doc("1.2.3"))["step"]
    with pytest.raises(NotEligible):  # not even by a manager who overrides
        await night.ask(tenant_key("t"), c.AssignStudy("1.2.3", "ada", step, "called away", override=True), MAX)
    await night.online(BOB)
    offer = (await night.until("1.2.3", lambda d: d.get("offer")))["offer"]
    assert (offer["radiologist_id"], offer["why"].startswith("Second read")) == ("bob", True)
    await night.study("1.2.3", c.Decline(offer["offer_id"], DeclineReason.OVERLOADED), BOB)
    step = (await night.doc("1.2.3"))["step"]
    given = await night.ask(tenant_key("t"), c.AssignStudy("1.2.3", "bob", step), MAX)
    assert (given["row"]["status"], given["row"]["second_reader"]) == ("assigned", "bob")
    await night.study("1.2.3", c.SaveDraft(0, {"impression": "no  BLEED."}), BOB)
    signed = await night.study("1.2.3", c.Sign(SignKind.FINAL, 1), BOB)
    assert (signed["row"]["status"], signed["row"]["second_read"]["state"]) == ("final", "agreed")
    assert [r["type"] for r in await night.rows("SELECT type FROM rr.outbox")] == ["report_final"]
    texts = await night.rows("SELECT status, sections->>'impression' AS text FROM rr.report ORDER BY status")
    assert [tuple(r) for r in texts] == [("final", "No bleed."), ("prelim", "no  BLEED.")]
    db = await Database(night.settings.dsn("rr_host")).open()
    async with db.scope(["t"]) as conn:
        rebuilt = replay("1.2.3", await journal.read(conn, "t", "study/1.2.3"))
    await db.close()
    assert rebuilt == load(await night.doc("1.2.3"))


async def test_two_that_differ_wait_for_a_word_and_a_manager_decides(night: Night) -> None:
    await _policy(night)
    await night.online(ADA)
    await night.images("1.2.3")
    await _read(night, ADA, "No bleed.")
    await night.online(BOB)
    await _read(night, BOB, "A bleed.")
    step = (await night.doc("1.2.3"))["step"]
    settle = c.Settle(step, Outcome.DISCORDANT)
    differ = await night.study("1.2.3", settle, BOB, idem="s1")
    assert await night.study("1.2.3", settle, BOB, idem="s1") == differ
    assert differ["row"]["second_read"]["state"] == "discordant"
    done = await night.study("1.2.3", c.Settle(differ["version"], Outcome.SECOND), MAX)
    assert (done["row"]["status"], done["row"]["second_read"]["state"]) == ("final", "decided")
    text = await night.admin.fetchval("SELECT sections->>'impression' FROM rr.report WHERE status = 'final'")
    assert text == "A bleed."
