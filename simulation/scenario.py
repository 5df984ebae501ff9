"""What kind of nights there are: sites with their curves and mixes, findings and their detector, readers, due times.

A scenario is data; :meth:`Scenario.night` draws one night from it. The same seed is the same night for every desk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from actors.domain.words import Acuity, Priority
from simulation.case import FOREVER, Case, Night

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulation.case import Person

HOUR_S, DAY_S = 3600.0, 86400.0
FLAT = (1.0,) * 24
_ANSWERS = 12  # offers of one case with draws of their own


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of study; its reading time is lognormal with this mean (minutes) and sigma of the logarithm."""

    modality: str
    specialty: str | None
    minutes: float
    sigma: float = 0.5
    rvu: float = 1.0
    body_part: str = ""

    @property
    def name(self) -> str:
        """Whose minutes are learned together."""
        return f"{self.modality}/{self.specialty or 'any'}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A critical finding of a kind, and the operating point of the detector that looks for it."""

    name: str
    kind: str
    prevalence: float
    sensitivity: float
    specificity: float
    acuity: Acuity = Acuity.SUSPECTED_CRITICAL


@dataclass(frozen=True, slots=True)
class Site:
    """A hospital: studies an hour by hour of the day and day of the week, what they are and how urgent.

    Args:
        curve: weight of each hour of the day, from midnight.
        week: weight of each day, from Monday.
        mix: weight of each kind.
        priorities: share of STAT, URGENT, ROUTINE.
        trauma: share of arrivals that are a trauma, three CTs of one patient at once, all STAT.
    """

    name: str
    weight: float
    mix: Mapping[str, float]
    priorities: tuple[float, float, float]
    jurisdiction: str | None = None
    curve: tuple[float, ...] = FLAT
    week: tuple[float, ...] = (1.0,) * 7
    trauma: float = 0.0


@dataclass(frozen=True, slots=True)
class Surge:
    """Hours in which more work comes than is read: ``load`` times what those present can read."""

    from_h: float
    to_h: float
    load: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of night.

    Args:
        studies: how many come; a surge comes on top.
        hours: during which they come.
        begins_h: hour of the day at which it begins, ``weekday`` from Monday = 0.
        due_s: seconds to the due time, by priority.
        triage_s: mean seconds from the images to the detector's result.
        trauma: kinds of the three studies of a trauma.
    """

    name: str
    about: str
    sites: tuple[Site, ...]
    kinds: tuple[Kind, ...]
    persons: tuple[Person, ...]
    studies: int
    hours: float
    begins_h: float = 19.0
    weekday: int = 4
    findings: tuple[Finding, ...] = ()
    due_s: Mapping[Priority, float] = field(default_factory=lambda: dict.fromkeys(Priority, FOREVER))
    triage_s: float = 90.0
    answer_s: float = 0.0
    open_s: float = 120.0
    warm_h: float = 0.0
    surge: Surge | None = None
    trauma: tuple[str, ...] = ()

    def night(self, seed: int) -> Night:
        """Draw a night."""
        rng = np.random.default_rng([seed, 5])
        at = self._times(rng)
        drawn: list[Case] = []
        for when in at:
            self._come(rng, float(when), drawn)
        means = {k.name: k.minutes for k in self.kinds}
        return Night(tuple(drawn), self.persons, seed, self.answer_s, self.open_s, self.warm_h * HOUR_S, means)

    def _rate(self, site: Site, at_s: np.ndarray) -> np.ndarray:
        hour = self.begins_h + at_s / HOUR_S
        day = (self.weekday + hour // 24).astype(int) % 7
        return np.asarray(site.weight * np.array(site.curve)[(hour % 24).astype(int)] * np.array(site.week)[day])

    def _times(self, rng: np.random.Generator) -> np.ndarray:
        """Return when something comes: so many, spread as the curves of all sites say, and the surge."""
        grid = np.arange(0.0, self.hours * HOUR_S, 60.0)
        weight = sum(self._rate(s, grid) for s in self.sites)
        at = rng.choice(grid, self.studies, p=weight / np.sum(weight)) + rng.uniform(0, 60, self.studies)
        if self.surge is None:
            return np.sort(at)
        begin, end = self.surge.from_h * HOUR_S, self.surge.to_h * HOUR_S
        able = sum(p.on_s(end) - p.on_s(begin) for p in self.persons) / 60
        more = rng.poisson(self.surge.load * able / self.mean_min())
        return np.sort(np.concatenate([at[(at < begin) | (at >= end)], rng.uniform(begin, end, more)]))

    def mean_min(self) -> float:
        """Return the minutes that a mean arrival costs its mean reader, calls included."""
        total = weight = 0.0
        by_name = {k.name: k for k in self.kinds}
        for site in self.sites:
            for name, share in site.mix.items():
                pace = float(np.mean([p.pace(name) * (1 + p.interruptions * p.call_min / 60) for p in self.persons]))
                cost = by_name[name].minutes * pace
                total, weight = total + site.weight * share * cost, weight + site.weight * share
        return total / weight

    def _come(self, rng: np.random.Generator, at_s: float, drawn: list[Case]) -> None:
        weights = np.array([float(self._rate(s, np.array([at_s]))[0]) for s in self.sites])
        site = self.sites[_pick(rng, weights)]
        whole = self.trauma if self.trauma and rng.random() < site.trauma else ()
        names = whole or (list(site.mix)[_pick(rng, list(site.mix.values()))],)
        priority = Priority.STAT if whole else tuple(Priority)[_pick(rng, site.priorities)]
        patient = f"{site.name}/{len(drawn)}"
        for name in names:
            drawn.append(self._case(rng, len(drawn), at_s, name, site, priority, patient))

    def _case(  # noqa: PLR0913, PLR0917 - a row
        self, rng: np.random.Generator, index: int, at_s: float, name: str, site: Site, priority: Priority, patient: str
    ) -> Case:
        kind = next(k for k in self.kinds if k.name == name)
        work = kind.minutes * math.exp(kind.sigma * rng.normal() - kind.sigma**2 / 2)
        finding, acuity = self._looked(rng, name)
        luck = rng.random(_ANSWERS + 2)
        return Case(
            index, at_s, name, work, priority, site.name, site.jurisdiction, kind.modality, kind.body_part,
            kind.specialty, patient, kind.rvu, self.due_s[priority], finding, acuity,
            self.triage_s * float(-math.log(1 - luck[0])) if acuity.level else 0.0,
            tuple(float(u) for u in luck[2:]), float(luck[1]),
        )  # fmt: skip

    def _looked(self, rng: np.random.Generator, name: str) -> tuple[str | None, Acuity]:
        """Return what is there and what the detectors say; every finding costs its two draws, found or not."""
        found, said = None, Acuity.NOT_ASSESSED
        for finding in self.findings:
            if finding.kind != name:
                continue
            there, seen = rng.random() < finding.prevalence and found is None, rng.random()
            said = max(said, Acuity.NOTHING_FLAGGED, key=lambda a: (a.level, a is Acuity.NOTHING_FLAGGED))
            found = finding.name if there else found
            if seen < (finding.sensitivity if there else 1 - finding.specificity):
                said = max(said, finding.acuity, key=lambda a: a.level)
        return found, said


def _pick(rng: np.random.Generator, weights: Sequence[float] | np.ndarray) -> int:
    total = np.cumsum(weights)
    return int(np.searchsorted(total, rng.random() * total[-1], side="right"))
