"""The actors in numbers: activation, memory, asks with and without the journal, failover, timers, a soak; then ten times that.

In three parts, each on a stack of its own when it is asked for alone: ``asks`` (with the soak), ``open``, ``open_x10``.
Beside them, in the same run, the plain way to use Ray: one Ray actor a study.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import harness  # first: it makes the packages importable
import psutil
from room import Room, in_turn, manager, rate, ray, soon, study_of, tenant_of, tenfold

from actors.domain.commands import Envelope, ObservePresence, PauseClock, ResumeClock
from actors.domain.errors import ReadingRoomError
from actors.domain.identity import radiologist_key
from actors.domain.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FEW, MANY = 10_000, 100_000
READERS, HOT = 100, 100  # entities that are asked; and ten times as many
SECONDS = 8.0
SOAK = 1_000_000
SOAKED_EACH = 100  # one ask in so many is journalled
FAILOVERS, FAILOVERS_MANY = 8, 4
WINDOW_S = 30.0
TOGETHER = 100
PLAIN = 8  # Ray actors of the baseline
PARTS = ("asks", "open", "open_x10")
LEAD_S, SPREAD_S = {FEW: 170, MANY: 330}, 500  # until the first timer is due: to seed, kill, activate, passivate
IDLE_S = 90.0  # after which entities that nobody asked have left memory


class Plain:
    """The baseline: a Ray actor that holds one study."""

    def __init__(self, study_uid: str) -> None:
        self._study = Study(study_uid)

    def pid(self) -> int:
        return os.getpid()

    async def ask(self, _: object) -> dict[str, Any]:
        return {"version": self._study.step, "state": self._study.status}


class Run:
    """One stack under measurement."""

    def __init__(self, data: Path) -> None:
        self.room = Room(data)
        self.found: dict[str, float | None] = {}
        self._empty_mib: float | None = None

    async def measure(self, parts: Sequence[str]) -> None:
        """Measure these parts, in the order in which they disturb the rest least."""
        steps = {
            "asks": (self._asks, self._plain, self._journalled, self._soak),
            "open": (self._empty, partial(self._open, "", FEW, FAILOVERS)),
            "open_x10": (self._empty, partial(self._open, "_x10", MANY, FAILOVERS_MANY)),
        }
        try:
            await self.room.start()
            for part, step in [(p, step) for p in PARTS if p in parts for step in steps[p]]:
                began = time.monotonic()
                try:
                    await step()
                except Exception:  # noqa: BLE001 - what was measured counts, what was not has no value
                    traceback.print_exc()
                print(f"a step of {part} took {time.monotonic() - began:.0f} s", file=sys.stderr)
        finally:
            await self.room.stop()

    def _note(self, metric: str, value: float | None) -> None:
        self.found[metric] = value
        print(f"  {metric} {value}", file=sys.stderr)

    # -- asks ---------------------------------------------------------------------------------
    async def _present(self, number: int) -> None:
        """Ask what gateways ask most: that somebody is still not there. Nothing changes, so nothing is written."""
        key = radiologist_key(tenant_of(number), f"r{number}")
        await self.room.system.ask(key, Envelope(ObservePresence(connected=False)))

    async def _asks(self) -> None:
        for suffix, readers in (("", READERS), ("_x10", 10 * READERS)):
            await in_turn([partial(self._present, n) for n in range(readers)], TOGETHER)
            for clients in (1, 10, 100):
                asking = [partial(self._any_reader, readers)] * clients
                self._note(f"asks_per_s_c{clients}{suffix}", await rate(asking, SECONDS))

    async def _any_reader(self, readers: int) -> None:
        await self._present(random.randrange(readers))  # noqa: S311 - a load, not a secret

    async def _journalled(self) -> None:
        """A manager stops and starts clocks: journal, row, three streams, counters, audit, answer, the decider told."""
        for suffix, hot in (("", HOT), ("_x10", 10 * HOT)):
            await self.room.seed(hot, first=soon(3600), spread=timedelta(hours=1))
            await in_turn([partial(self.room.probe, study_of(n)) for n in range(hot)], TOGETHER)
            clients = [Clock(self.room, range(n, hot, TOGETHER)).turn for n in range(TOGETHER)]
            self._note(f"journalled_asks_per_s_c100{suffix}", await rate(clients, SECONDS))

    async def _soak(self) -> None:
        """A million asks of a host that knows everybody already: what is kept of them?"""
        clocks = [Clock(self.room, range(n, 10 * HOT, TOGETHER)) for n in range(TOGETHER)]
        clients = [partial(self._soaked, clock) for clock in clocks]
        await rate(clients, 600, SOAK // 20)
        before = await asyncio.to_thread(self.room.host_mib)
        await rate(clients, 600, SOAK // 10)
        tenth = await asyncio.to_thread(self.room.host_mib)
        await rate(clients, 600, SOAK - SOAK // 10)
        self._note("soak_growth_tenth_mib", tenth - before)
        self._note("soak_growth_mib", await asyncio.to_thread(self.room.host_mib) - before)

    async def _soaked(self, clock: Clock) -> None:
        if random.randrange(SOAKED_EACH):  # noqa: S311
            await self._any_reader(10 * READERS)
        else:
            await clock.turn()

    # -- open studies -------------------------------------------------------------------------
    async def _empty(self) -> None:
        """Weigh a host that has nothing in memory yet."""
        if self._empty_mib is None:
            await self._kill()
            await asyncio.sleep(5)
            self._empty_mib = await asyncio.to_thread(self.room.host_mib)
            self._note("empty_host_mib", self._empty_mib)

    async def _open(self, suffix: str, studies: int, runs: int) -> None:
        """Open studies with timers: how fast they come into memory, what they weigh, whether their timers keep time."""
        empty = self._empty_mib or 0.0
        await self.room.seed(studies, first=soon(LEAD_S[studies]), spread=timedelta(seconds=SPREAD_S))
        away = [await self._kill() for _ in range(runs)]
        self._note(f"failover_s_median{suffix}", median(away))
        began = time.monotonic()
        await in_turn([partial(self.room.probe, study_of(n)) for n in range(studies)], TOGETHER)
        self._note(f"activate_per_s{suffix}", studies / (time.monotonic() - began))
        active = await asyncio.to_thread(self.room.host_mib) - empty
        self._note(f"active_{studies // 1000}k_mib", active)
        said = await self._idle(studies)
        weight = await asyncio.to_thread(self.room.host_mib) - empty
        self._note(f"open_{studies // 1000}k_mib", weight)
        self._note(f"timers_armed{suffix}", said["timers"])
        await self._timers(suffix)

    async def _idle(self, studies: int) -> dict[str, Any]:
        """Wait until studies that nobody asks have left memory; return what the host says of itself."""
        end = time.monotonic() + IDLE_S
        while True:
            said = await self.room.health()
            if said["entities"] <= studies / 10 or time.monotonic() > end:
                print(f"  {said}", file=sys.stderr)
                return said
            await asyncio.sleep(2)

    async def _kill(self) -> float:
        """Kill the host; return how long until a study is answered for again."""
        began = time.monotonic()
        os.kill(self.room.host_pid, signal.SIGKILL)
        await asyncio.sleep(0.05)  # the next answer is not the old host's
        await self.room.answers()
        away = time.monotonic() - began
        await asyncio.sleep(2)
        return away

    async def _timers(self, suffix: str) -> None:
        since = max(datetime.now(UTC), min(self.room.warned_at.values()))
        await asyncio.sleep((since - datetime.now(UTC)).total_seconds() + WINDOW_S)
        until = datetime.now(UTC) - timedelta(seconds=2)
        late = await self.room.warnings(since)
        self._note(f"timers_fired{suffix}", len(late))
        self._note(f"timers_missing{suffix}", await self.room.unwarned(since, until))
        p99 = harness.percentile(late, 0.99)
        self._note(f"timer_late_ms_p99{suffix}", p99)

    # -- the baseline -------------------------------------------------------------------------
    async def _plain(self) -> None:
        """One Ray actor a study, on the same head."""
        actor: Any = ray.remote(num_cpus=0)(Plain)
        began = time.monotonic()
        actors = [actor.remote(study_of(n).name) for n in range(PLAIN)]
        pids = [await one.pid.remote() for one in actors]
        self._note("ray_actor_activate_per_s", PLAIN / (time.monotonic() - began))
        each = sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / PLAIN / 2**20
        self._note("ray_actor_open_100k_mib", each * MANY)
        envelope = Envelope(ObservePresence(connected=False))

        async def ask() -> None:
            await random.choice(actors).ask.remote(envelope)  # noqa: S311

        self._note("ray_actor_asks_per_s_c100", await rate([ask] * TOGETHER, SECONDS))
        for one in actors:
            ray.kill(one)


class Clock:
    """A manager who stops and starts the clocks of some studies, one after the other."""

    def __init__(self, room: Room, numbers: range) -> None:
        self._room, self._numbers = room, numbers
        self._next = 0
        self._stands: dict[int, tuple[int, bool]] = {}

    async def turn(self) -> None:
        """Stop or start the next clock."""
        number = self._numbers[self._next % len(self._numbers)]
        self._next += 1
        key = study_of(number)
        version, paused = self._stands.get(number) or await self._look(number)
        command = ResumeClock(version, "bench") if paused else PauseClock(version, "bench")
        try:
            answer = await self._room.system.ask(key, Envelope(command, manager(key)))
        except ReadingRoomError:
            self._stands.pop(number, None)
        else:
            self._stands[number] = (answer["version"], not paused)

    async def _look(self, number: int) -> tuple[int, bool]:
        row = await self._room.admin_row(study_of(number))
        return row["step"], row["paused"]


def rows(found: dict[str, float | None]) -> Iterator[harness.Row]:
    """Return the figures in the order in which they are read."""
    targets: dict[str, tuple[str, float | None, Any]] = {
        "activate_per_s": ("1/s", None, "higher"),
        "asks_per_s_c1": ("1/s", None, "higher"),
        "asks_per_s_c10": ("1/s", None, "higher"),
        "asks_per_s_c100": ("1/s", 10_000, "higher"),
        "journalled_asks_per_s_c100": ("1/s", 3_000, "higher"),
        "failover_s_median": ("s", 3, "lower"),
    }
    for metric, (unit, target, better) in targets.items():
        yield harness.Row(metric, found.get(metric), unit, target, better)
        yield harness.Row(
            f"{metric}_x10", tenfold(found.get(f"{metric}_x10"), found.get(metric)), "ratio", None, better
        )
    late, many = found.get("timer_late_ms_p99"), found.get("timer_late_ms_p99_x10")
    yield harness.Row("timer_late_ms_p99", many, "ms", 1_000, "lower")
    yield harness.Row("timer_late_ms_p99_x10", tenfold(many, late), "ratio", None, "lower")
    yield harness.Row("timers_armed", found.get("timers_armed_x10"), "timers", None, "higher")
    yield harness.Row("timers_missing", found.get("timers_missing_x10"), "timers", 0, "lower")
    for name, target in (("open", 150), ("active", None)):  # at rest, and right after everybody was asked
        weight = found.get(f"{name}_100k_mib")
        yield harness.Row(f"{name}_100k_mib", weight, "MiB", target, "lower")
        yield harness.Row(f"{name}_100k_mib_x10", tenfold(weight, found.get(f"{name}_10k_mib")), "ratio", None, "lower")
    growth = found.get("soak_growth_mib")
    yield harness.Row("soak_growth_mib", growth, "MiB", None, "lower")
    tenth = found.get("soak_growth_tenth_mib")
    yield harness.Row("soak_growth_tenth_mib", tenth, "MiB", None, "lower")
    for metric, unit, ours in (
        ("ray_actor_activate_per_s", "1/s", "activate_per_s"),
        ("ray_actor_open_100k_mib", "MiB", "open_100k_mib"),
        ("ray_actor_asks_per_s_c100", "1/s", "asks_per_s_c100"),
    ):
        plain = found.get(metric)
        better: Any = "lower" if unit == "MiB" else "higher"
        yield harness.Row(metric, plain, unit, None, better)
        ratio = tenfold(plain, found.get(ours)) if better == "lower" else tenfold(found.get(ours), plain)
        yield harness.Row(f"{ours}_to_ray_actor", ratio, "ratio", None, "higher")


def measure(parts: Sequence[str]) -> Iterator[harness.Row]:
    """Run a stack in a throw-away directory; a part that was not asked for has no rows."""
    data = Path(tempfile.mkdtemp(prefix="rr-bench-", dir="/tmp"))
    data.chmod(0o711)
    run = Run(data)
    try:
        asyncio.run(run.measure(parts))
        yield from (row for row in rows(run.found) if row.value is not None or set(parts) == set(PARTS))
    finally:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    harness.main("actors", measure, PARTS)
