"""Clocks, ladders and snapshots through real actors and a real PostgreSQL, across restarts of the hosts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from actors.domain import commands as c
from actors.domain.errors import BadPayload
from actors.domain.replay import replay
from actors.domain.study import dump, load
from actors.local import Local
from storage import journal
from storage.pool import Database
from tests.actors.night import ADA, MAX, Night, at_work
from tests.actors.test_edges import policy, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.domain.unit import Recorded
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


@pytest.fixture
async def night(fresh: Settings) -> AsyncIterator[Night]:
    async with at_work(fresh) as made:
        yield made


async def restart(night: Night) -> None:
    await night.actors.stop()
    night.actors = Local(night.place)
    await night.actors.start()


async def count(night: Night, what: str) -> int:
    return await night.admin.fetchval(f"SELECT count(*) FROM rr.feed WHERE {what}")


async def test_a_ladder_is_climbed_once_a_rung_also_when_the_host_was_restarted_meanwhile(night: Night) -> None:
    ladder = [{"share": 0.2, "tell": ["reader"]}, {"after_due_s": 0.5, "tell": ["managers"], "priority": "STAT"}]
    await policy(night, sla={"URGENT": {"due_s": 3}}, clock={"escalation": {"URGENT": ladder}})
    await night.online(ADA)
    await night.images("1.2.3", priority="HIGH", count=1)
    await soon(lambda: count(night, "type = 'sla_escalated' AND stream = 'tenant:t'"))
    await restart(night)
    await soon(
        lambda: count(night, "type = 'message_received' AND stream = 'user:max' AND data->'message'->>'text' ~ 'due'")
    )
    doc = await night.until("1.2.3", lambda d: d["priority"] == "STAT")
    assert doc["sla"]["rung"] == 2
    types = [r["type"] for r in await night.admin.fetch("SELECT type FROM rr.journal WHERE entity = 'study/1.2.3'")]
    assert [types.count(t) for t in ("Escalated", "SlaBreached", "PriorityRaised")] == [2, 1, 1]
    assert (
        await night.admin.fetchval("SELECT count(*) FROM rr.timer WHERE entity = 'study/1.2.3' AND name ~ 'sla'") == 0
    )


async def test_a_pause_for_an_unknown_reason_is_refused_and_a_long_one_ends_by_itself(night: Night) -> None:
    await policy(night, clock={"pause": {"reasons": ["scanner down"], "most_s": 1}})
    await night.images("1.2.3")
    doc = await night.status("1.2.3", "unread")
    with pytest.raises(BadPayload):
        await night.study("1.2.3", c.PauseClock(doc["step"], "coffee"), MAX)
    await night.study("1.2.3", c.PauseClock(doc["step"], "scanner down"), MAX)
    doc = await night.until("1.2.3", lambda d: d["sla"]["paused_s"])
    assert doc["sla"]["state"] == "running"


async def test_managers_are_told_once_that_nobody_can_read_it_whoever_decides(night: Night) -> None:
    for uid in ("1.2.3", "1.2.4"):
        await night.images(uid)
    await soon(lambda: _told(night, 2))
    await restart(night)
    await night.images("1.2.5")  # the new decider has looked at all of them once it says this
    await soon(lambda: _told(night, 3))
    ids = await night.admin.fetch("SELECT data->'message'->>'message_id' AS id FROM rr.feed WHERE stream = 'user:max'")
    assert len({r["id"] for r in ids}) == len(ids) == 3


async def _told(night: Night, times: int) -> bool:
    return await count(night, "stream = 'user:max'") == times


async def recorded(night: Night) -> list[Recorded]:
    db = await Database(night.settings.dsn("rr_host")).open()
    async with db.scope(["t"]) as conn:
        events = await journal.read(conn, "t", "study/1.2.3")
    await db.close()
    return events


@pytest.mark.parametrize("spoil", ["lost", "old", "late"])
async def test_a_snapshot_that_is_lost_old_or_late_is_made_good_from_the_journal(night: Night, spoil: str) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    await night.actors.stop()
    await night.admin.execute(  # the event as the first release wrote it
        "UPDATE rr.journal SET body = body - '{v,warn_at,policy,priority,escalate_at}'::text[] WHERE type = 'ClockStarted'"
    )
    if spoil == "lost":
        await night.admin.execute("DELETE FROM rr.study")
    else:
        kept = replay("1.2.3", (await recorded(night))[: 4 if spoil == "late" else 0])
        doc = dump(kept) if spoil == "late" else {"shape": 0}
        await night.admin.execute("UPDATE rr.study SET doc = $1, rev = $2", json.dumps(doc), kept.rev or 5)
    night.actors = Local(night.place)
    await night.actors.start()
    answer = await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA)
    assert (answer["row"]["status"], answer["row"]["patient"]["name"]) == ("assigned", "PHANTOM^Iris")
    doc = await night.status("1.2.3", "assigned")
    assert doc["sla"]["warn_at"] < doc["sla"]["due_at"]
    assert replay("1.2.3", await recorded(night)) == load(doc)


async def test_snapshots_of_another_shape_are_made_anew_without_being_asked_for(night: Night) -> None:
    await night.images("1.2.3")
    before = await night.status("1.2.3", "unread")
    await night.admin.execute("UPDATE rr.study SET doc = '{\"shape\": 0}'")
    await restart(night)
    assert await night.until("1.2.3", lambda d: d.get("shape") == before["shape"]) == before
    await night.online(ADA)
    await night.offered("1.2.3")
