"""Deciding who reads what: one freed reader against a full pool, a burst of new studies, a simulated day; and at 10 x."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import harness  # first: it makes the packages importable

from actors.domain.assignment.case import Demand, Reader, Span, Waiting
from actors.domain.assignment.engine import decide
from actors.domain.assignment.minutes import Minutes
from actors.domain.assignment.rules import Rules
from actors.domain.assignment.table import OVER_CAP
from actors.domain.words import Acuity, Priority
from simulation.nights import large
from simulation.policies import POLICIES
from simulation.room import Room

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITING, READERS, BURST, CAPACITY, DAY = 1_000, 150, 500, 5, 10_000
DECISIONS, BURSTS = 200, 20
NOW = 1_767_225_600.0
DUE_S = {Priority.STAT: 1800.0, Priority.URGENT: 7200.0, Priority.ROUTINE: 86400.0}
MODALITIES, SPECIALTIES = ("CT", "MR", "CR", "US"), ("neuro", "chest", "body", "msk")
PLACES = ("US-ME", "US-CA", "US-NY")


def pool(count: int, chance: Random, *, aged_s: float) -> list[Waiting]:
    """Return studies of every kind; some of one patient, some declined before, some suspected."""
    made = []
    for number in range(count):
        priority = chance.choices(list(Priority), (1, 3, 6))[0]
        modality, specialty = chance.choice(MODALITIES), chance.choice((*SPECIALTIES, None))
        started_at = NOW - aged_s * chance.random()
        made.append(
            Waiting(
                f"{number:06d}", 1, priority, chance.choices(list(Acuity), (4, 2, 10, 2, 1))[0],
                Demand(chance.choice(PLACES), None, modality, specialty), f"{modality}/{specialty or 'any'}",
                started_at, started_at + DUE_S[priority], patient_id=f"p{chance.randrange(5 * count)}",
                asked={f"r{chance.randrange(READERS):05d}": NOW - 300} if number % 20 == 0 else {},
            )
        )  # fmt: skip
    return made


def staff(count: int, chance: Random, load: int) -> list[Reader]:
    """Return readers with some licences and skills each, and so many studies in hand."""
    return [
        Reader(
            f"r{number:05d}", f"R{number}", load=load, capacity=CAPACITY, ahead_min=8.0 * load,
            licences={place: (Span(),) for place in chance.sample(PLACES, 2)},
            subspecialties={name: chance.randint(1, 3) for name in chance.sample(SPECIALTIES, 2)},
            shifts=(Span(NOW - 3600, NOW + 8 * 3600),), done_min=200 * chance.random(), on_min=240.0,
        )
        for number in range(count)
    ]  # fmt: skip


def decide_ms(waiting: int, readers: int, times: int) -> float:
    """Return the p95 of one decision: everybody is full, one reader after the other has room for one."""
    chance, minutes, rules = Random(1), Minutes(), Rules()  # noqa: S311 - repeatable, not secret
    studies, people = pool(waiting, chance, aged_s=7200), staff(readers, chance, CAPACITY + OVER_CAP)
    took = []
    for number in range(times + 3):
        freed = chance.randrange(readers)
        now = [*people[:freed], replace(people[freed], load=CAPACITY - 1), *people[freed + 1 :]]
        began = time.perf_counter()
        if not decide(studies, now, rules, NOW, number, minutes):
            raise AssertionError("a freed reader was given nothing")
        took.append((time.perf_counter() - began) * 1000)
    return harness.percentile(took[3:], 0.95) or 0.0


def burst_ms(new: int, readers: int, times: int) -> float:
    """Return the p95 of deciding about new studies that come at once to readers with free hands."""
    chance, minutes, rules = Random(3), Minutes(), Rules()  # noqa: S311 - repeatable, not secret
    took = []
    for number in range(times + 1):
        studies, people = pool(new, chance, aged_s=1), staff(readers, chance, 0)
        gc.collect()
        began = time.perf_counter()
        decide(studies, people, rules, NOW, number, minutes)
        took.append((time.perf_counter() - began) * 1000)
    return harness.percentile(took[1:], 0.95) or 0.0


def day_s(studies: int, readers: int) -> float:
    """Return the seconds of a simulated day under the production policy; the night itself is drawn before."""
    night = large(studies, readers).night(1)
    began = time.perf_counter()
    Room(night, POLICIES["gcmu_matching"]()).run()
    return time.perf_counter() - began


def measure() -> Iterator[harness.Row]:
    """Measure each size, and the same with ten times as much."""
    one = decide_ms(WAITING, READERS, DECISIONS)
    yield harness.Row("decide_ms_1000x150_p95", one, "ms", 5, "lower")
    yield harness.Row(
        "decide_growth_10x", decide_ms(10 * WAITING, READERS, DECISIONS // 5) / one, "times", None, "lower"
    )
    many = burst_ms(BURST, READERS, BURSTS)
    yield harness.Row("burst_500_ms_p95", many, "ms", 100, "lower")
    yield harness.Row("burst_growth_10x", burst_ms(10 * BURST, 10 * READERS, 2) / many, "times", None, "lower")
    whole, tenth = day_s(DAY, READERS), day_s(DAY // 10, READERS // 10)
    yield harness.Row("sim_day_10000x150_s", whole, "s", 60, "lower")
    yield harness.Row("sim_day_growth_10x", whole / tenth, "times", None, "lower")


if __name__ == "__main__":
    harness.main("assignment", measure)
