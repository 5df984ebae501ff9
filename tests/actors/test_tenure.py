"""A host answers only for what it holds and only while its lease lasts; an older copy of it retires; order is kept."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from actors import door, firing, router, tenure
from actors.domain import commands as c
from actors.domain.errors import Failed, Retry
from actors.domain.identity import Key, radiologist_key, study_key
from actors.domain.placement import Placement
from actors.local import Local
from actors.shard import Post, ShardHost
from actors.study.actor import StudyActor
from actors.told import Misplaced
from storage import placement
from storage.timers import Timer
from tests.actors.load import until_spread
from tests.actors.night import ADA, Night, at_work, place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


@asynccontextmanager
async def working(settings: Settings, hosts: int = 1) -> AsyncIterator[tuple[Night, Local]]:
    local = Local(place(settings), hosts)
    async with at_work(settings, local) as night:
        yield night, local


def presence(state: str) -> c.Envelope:
    return c.Envelope(c.SetPresence(state), ADA)


async def until(check: Any) -> None:
    async with asyncio.timeout(30):
        while not check():
            await asyncio.sleep(0.02)


async def test_an_older_copy_of_a_host_retires_and_is_silent(fresh: Settings) -> None:
    async with working(fresh) as (_, local):
        old, key = local.hosts["0"], radiologist_key("t", "ada")
        await old.here(key, presence("busy"))
        new = ShardHost(Post("0"), place(fresh), local)
        await new.start()  # as Ray does when it has lost sight of the old one
        try:
            await until(lambda: old.tenure.retired)
            with pytest.raises(Misplaced):
                await old.here(key, presence("away"))
            assert (len(old._cells), old.stats()["shards"]) == (0, 0)
            assert (await new.here(key, presence("away")))["version"] == 2
        finally:
            await new.stop()


async def test_a_host_whose_lease_has_run_out_is_silent_until_it_has_looked_again(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(fresh) as (_, local):
        host, key = local.hosts["0"], radiologist_key("t", "ada")
        monkeypatch.setattr(host.tenure, "_until", 0.0)  # as after twenty seconds of SIGSTOP
        with pytest.raises(Misplaced):
            await host.here(key, presence("busy"))
        assert (await local.ask(key, presence("busy")))["version"] == 1  # a router asks again


async def test_a_host_that_is_lost_loses_its_shards_to_who_lives(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "LOST_S", 1.5)
    async with working(fresh, hosts=2) as (night, local):
        await until_spread(night, h0=32, h1=32)
        lost = local.hosts["1"].tenure
        monkeypatch.setattr(lost, "_look", asyncio.Event().wait)  # it does not come round any more
        await until_spread(night, h0=64)
        await night.online(ADA)
        await night.images("1.2.3")
        await night.offered("1.2.3")


async def test_a_host_that_is_lost_while_it_hands_over_hands_nothing_over_and_all_is_taken(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "LOST_S", 1.5)
    async with working(fresh, hosts=2) as (night, local):
        await until_spread(night, h0=32, h1=32)
        monkeypatch.setattr(local.hosts["1"].tenure, "_look", asyncio.Event().wait)
        await night.rows("UPDATE rr.placement SET wanted = '0' WHERE host = '1'")  # it was told to, and died
        await until_spread(night, h0=64)


async def test_what_a_host_was_doing_is_done_before_its_shard_moves_and_nothing_is_taken_meanwhile(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(fresh) as (night, local):
        key = radiologist_key("t", "ada")
        old, going = local.hosts["0"], asyncio.Event()
        await local.ask(key, presence("busy"))
        entity = old._cells._cells[key].entity
        handle = entity.handle

        async def slowly(envelope: c.Envelope) -> dict[str, Any]:
            await going.wait()
            return await handle(envelope)

        monkeypatch.setattr(entity, "handle", slowly)
        first = asyncio.create_task(local.ask(key, presence("away")))
        await until(lambda: old._cells._busy[key])
        new = await local.add("1")
        await night.rows("UPDATE rr.placement SET wanted = '1', pinned = true")
        await until(lambda: not old.tenure.holds(key))
        second = asyncio.create_task(local.ask(key, presence("off")))
        await asyncio.sleep(1)
        assert old.tenure.mine(key)
        assert not new.tenure.mine(key)
        going.set()
        assert [(await first)["version"], (await second)["version"]] == [2, 3]
        assert new.tenure.mine(key)
        assert len(old._cells) == 0


async def test_a_shard_stays_where_it_is_when_nobody_wants_it_any_more(fresh: Settings) -> None:
    async with working(fresh) as (night, local):
        await night.rows("UPDATE rr.placement SET wanted = 'nobody'")
        host = local.hosts["0"].tenure
        await until(lambda: len(host.takes) == 64 and not any(h.wanted for h in host.placement.slots.values()))
        assert (await local.ask(radiologist_key("t", "ada"), presence("busy")))["version"] == 1


async def test_a_host_that_has_ended_is_begun_anew_by_nobody(fresh: Settings) -> None:
    local = Local(place(fresh))
    begun = asyncio.create_task(local.start())
    await asyncio.sleep(0)
    await local.stop()  # also what was just being begun
    await asyncio.gather(begun, return_exceptions=True)
    with pytest.raises(Retry):
        await local.ask(radiologist_key("t", "ada"), presence("busy"))


async def test_messages_of_one_sender_are_taken_in_the_order_they_were_sent(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((router, "_ASK_S"), (router, "_AWAY_S"), (door, "_CALL_S")):
        monkeypatch.setattr(module, name, 60.0)  # on a busy machine, too, none of them has to be asked again
    async with working(fresh) as (night, local):
        key = radiologist_key("t", "ada")
        asked = [asyncio.create_task(local.ask(key, presence("away" if n % 2 else "busy"))) for n in range(40)]
        assert [(await one)["version"] for one in asked] == list(range(1, 41))
        host = local.hosts["0"]
        for n in range(20):
            host.tell(key, presence("away" if n % 2 else "off"))
        await local.ask(key, presence("busy"))
        states = [
            r["s"] for r in await night.rows("SELECT body->>'state' AS s FROM rr.journal ORDER BY version OFFSET 40")
        ]
        assert states == ["off", "away"] * 10 + ["busy"]


async def test_a_timer_its_entity_fails_on_is_stopped_and_others_fire(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = StudyActor.handle

    async def failing(self: StudyActor, envelope: c.Envelope) -> dict[str, Any]:
        if isinstance(envelope.command, c.FireTimer) and self._key == study_key("t", "1.2.3"):
            raise ZeroDivisionError
        return await handle(self, envelope)

    monkeypatch.setattr(StudyActor, "handle", failing)
    async with working(fresh) as (night, _):
        await night.rows("""INSERT INTO rr.policy VALUES ('t', 1, '{"sla": {"STAT": {"due_s": 1, "warn_s": 0.2}}}')""")
        await asyncio.sleep(1.1)  # acts within a second
        for uid in ("1.2.3", "1.2.4"):
            await night.images(uid)
        await night.until("1.2.4", lambda d: d.get("sla") and d["sla"]["state"] == "breached")
        async with asyncio.timeout(30):
            while len(dead := await night.rows("SELECT * FROM rr.dead_letter ORDER BY command")) < 2:
                await asyncio.sleep(0.05)
        assert [(d["source"], d["command"], d["tries"]) for d in dead] == [
            ("timer", "sla_breach", 3), ("timer", "sla_warn", 3),
        ]  # fmt: skip
        assert await night.rows("SELECT 1 FROM rr.timer WHERE entity = 'study/1.2.3'") == []
        await night.status("1.2.3", "unread")  # it takes every other message


async def test_a_timer_of_a_shard_that_has_moved_is_not_fired_here() -> None:
    class Nowhere:
        placement = Placement()

        def mine(self, _key: Key) -> bool:
            return False

    told: list[Key] = []

    class Host:
        def now(self) -> Any: ...

        async def here(self, key: Key, _envelope: c.Envelope) -> dict[str, Any]:
            told.append(key)
            raise Failed

    of: Any = firing.Firing(Host(), Nowhere(), None, None)  # type: ignore[arg-type]
    await of._fire(Timer("t", "study/1", "sla_warn", 1, None))  # type: ignore[arg-type]
    assert told == []


def test_a_lease_ends_before_others_lose_patience() -> None:
    assert tenure.LEASE_S + tenure._EACH_S < placement.LOST_S
