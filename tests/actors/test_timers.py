"""A timer fires once it is due, once, until it has been fired."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from actors import timers as module
from actors.timers import HORIZON, Timers
from storage.timers import Timer

if TYPE_CHECKING:
    import pytest


def now() -> datetime:
    return datetime.now(UTC)


def timer(name: str, in_s: float, version: int = 1) -> Timer:
    return Timer("t", "study/1", name, version, now() + timedelta(seconds=in_s))


class Kept:
    def __init__(self, *stored: Timer, failures: int = 0) -> None:
        self.stored, self.failures, self.fired = list(stored), failures, list[Timer]()
        self.timers = Timers(self.load, self.fire, now)

    async def load(self, before: datetime) -> list[Timer]:
        return [t for t in self.stored if t.due_at < before]

    async def fire(self, fired: Timer) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError
        self.fired.append(fired)

    async def run(self, *, until: int, then_s: float = 0.1) -> list[str]:
        """Run until so many have fired and a moment longer; return which have."""
        self.timers.start()
        async with asyncio.timeout(20):
            while len(self.fired) < until:
                await asyncio.sleep(0.005)
        await asyncio.sleep(then_s)
        await self.timers.stop()
        return [t.name for t in self.fired]


async def test_stored_timers_fire_in_their_order_also_those_overdue() -> None:
    assert await Kept(timer("b", 0.05), timer("a", -60), timer("c", 300)).run(until=2) == ["a", "b"]


async def test_one_armed_later_fires_in_time() -> None:
    kept = Kept(timer("late", 300))
    asyncio.get_running_loop().call_later(0.02, lambda: kept.timers.arm(timer("soon", 0.02)))
    assert await kept.run(until=1) == ["soon"]


async def test_one_replaced_or_disarmed_does_not_fire() -> None:
    kept = Kept()
    kept.timers.arm(timer("offer", 0.02))
    kept.timers.arm(timer("offer", 300, version=2))
    kept.timers.arm(timer("warn", 0.02))
    kept.timers.disarm("t", "study/1", "warn")
    assert await kept.run(until=0) == []
    assert len(kept.timers) == 1


async def test_one_far_away_is_left_to_the_database() -> None:
    kept = Kept()
    kept.timers.arm(Timer("t", "study/1", "sla", 1, now() + HORIZON + timedelta(seconds=5)))
    assert len(kept.timers) == 0


async def test_one_that_found_the_database_away_fires_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.02)
    kept = Kept(timer("a", 0), failures=2)
    assert await kept.run(until=1) == ["a"]
