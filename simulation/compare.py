"""Every policy on the same nights: figures with confidence intervals, and paired differences from one of them."""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from simulation.measure import measure
from simulation.policies import POLICIES
from simulation.room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulation.case import Night
    from simulation.room import Desk
    from simulation.scenario import Scenario

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and the half width of its confidence interval."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half

    def as_json(self) -> dict[str, float | None]:
        """Return it as JSON; a single run has no interval."""
        half = None if math.isinf(self.half) else round(self.half, 4)
        return {"mean": round(self.mean, 4), "half": half}


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of independent runs with Student's interval at 95 %."""
    given = np.asarray(values, dtype=float)
    if len(given) < 2:  # noqa: PLR2004 - one run tells nothing of the spread
        return Estimate(float(given.mean()), math.inf)
    half = student.ppf(0.5 + LEVEL / 2, len(given) - 1) * given.std(ddof=1) / math.sqrt(len(given))
    return Estimate(float(given.mean()), float(half))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of each policy by seed; all policies lived the same nights (common random numbers)."""

    scenario: str
    about: str
    seeds: tuple[int, ...]
    runs: dict[str, list[dict[str, float]]]  # policy → one measure a seed

    def figures(self) -> list[str]:
        """Return the names of all figures that every run has; a finding that one night lacks is left to the others."""
        names = [name for runs in self.runs.values() for run in runs for name in run]
        return list(dict.fromkeys(names))

    def of(self, policy: str, figure: str) -> Estimate:
        """Return a figure of a policy."""
        return estimate([run[figure] for run in self.runs[policy] if figure in run])

    def difference(self, policy: str, other: str, figure: str) -> Estimate:
        """Return ``policy`` minus ``other``, paired by seed."""
        pairs = zip(self.runs[policy], self.runs[other], strict=True)
        return estimate([a[figure] - b[figure] for a, b in pairs if figure in a and figure in b])

    def as_json(self) -> dict[str, Any]:
        """Return everything but the single runs."""
        return {
            "scenario": self.scenario,
            "about": self.about,
            "seeds": len(self.seeds),
            "policies": {
                p: {f: self.of(p, f).as_json() for f in self.figures() if any(f in run for run in runs)}
                for p, runs in self.runs.items()
            },
        }


def lived(night: Night, desk: Desk) -> dict[str, float]:
    """Live a night and measure it."""
    return measure(Room(night, desk).run())


def _seed(scenario: Scenario, policies: Sequence[str], seed: int) -> list[dict[str, float]]:
    night = scenario.night(seed)
    return [lived(night, POLICIES[name]()) for name in policies]


def compare(
    scenario: Scenario,
    policies: Sequence[str],
    seeds: Sequence[int],
    workers: int = 1,
    told: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Live each seed's night under each policy.

    Args:
        scenario: draws the nights.
        policies: names of ``POLICIES``.
        seeds: at least two, for an interval.
        workers: processes; 1 stays in this one.
        told: hears how many seeds are done.
    """
    one = partial(_seed, scenario, tuple(policies))
    done: list[list[dict[str, float]]] = []
    if workers == 1:
        for seed in seeds:
            done.append(one(seed))
            told(len(done))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for runs in pool.map(one, seeds):
                done.append(runs)
                told(len(done))
    by_policy = {name: [seed[i] for seed in done] for i, name in enumerate(policies)}
    return Comparison(scenario.name, scenario.about, tuple(seeds), by_policy)
