"""Published results lived again: each a setting, the policies that were compared, and the figures told in print.

What the papers do not tell is assumed here and named in ``docs/assignment.md``; direction and size are to agree,
not the decimals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from actors.domain.assignment.rules import NAMED, ByPriority, Rules
from actors.domain.words import Acuity, Priority
from simulation.case import Case, Night, Person
from simulation.compare import estimate, lived
from simulation.desks import OpenList, by_priority
from simulation.production import Production, pulled
from simulation.room import Room
from simulation.scenario import HOUR_S, Finding, Kind, Scenario, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulation.compare import Estimate
    from simulation.room import Desk

S, U, R = Priority
CAP_S = 180 * 60.0  # Baltruschat's upper limit is set where it begins to matter here


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the table: what was printed and what comes out here."""

    study: str
    figure: str
    printed: str
    here: Estimate
    unit: str
    holds: bool


# -- Baltruschat et al. 2021, Eur Radiol 31:3837 ---------------------------------------------------------------
_CXR = "CR/chest"
CHEST_FINDINGS = (
    ("pneumothorax", 0.04, 0.80, 0.94, S), ("effusion", 0.20, 0.80, 0.85, U), ("infiltrate", 0.12, 0.75, 0.85, U),
    ("congestion", 0.15, 0.78, 0.85, U), ("none", 0.49, 0.0, 1.0, R),
)  # fmt: skip
_CURVE = tuple(float(w) for w in (3, 2, 2, 2, 3, 4, 6, 9, 11, 12, 12, 11, 10, 10, 9, 8, 7, 6, 5, 5, 4, 4, 3, 3))


def chest(seed: int, days: int = 14, studies: int = 150) -> Night:
    """Return two weeks of chest X-rays of a university hospital, read by one at a time around the clock.

    The detector's verdict is the priority: suspected pneumothorax, another suspected finding, nothing.
    """
    rng = np.random.default_rng([seed, 17])
    curve = np.repeat(np.array(_CURVE), 60)
    cases: list[Case] = []
    for day in range(days):
        minutes = np.sort(rng.choice(len(curve), rng.poisson(studies), p=curve / curve.sum()) + rng.random())
        for at in minutes:
            k = int(rng.choice(len(CHEST_FINDINGS), p=[f[1] for f in CHEST_FINDINGS]))
            seen = rng.random(len(CHEST_FINDINGS))
            said = [
                rank
                for i, (_, _, hit, right, rank) in enumerate(CHEST_FINDINGS[:-1])
                if seen[i] < (hit if i == k else 1 - right)
            ]
            work = 7.0 * float(np.exp(0.6 * rng.normal() - 0.18))
            cases.append(
                Case(len(cases), day * 86400 + float(at) * 60, _CXR, work, min(said, default=R, key=lambda p: p.rank),
                     finding=None if k == len(CHEST_FINDINGS) - 1 else CHEST_FINDINGS[k][0], acuity=Acuity.NOTHING_FLAGGED)
            )  # fmt: skip
    return Night(tuple(cases), (Person("reader", capacity=1),), seed, means={_CXR: 7.0})


def _capped() -> Rules:
    cap = ByPriority(STAT=0.0, URGENT=CAP_S, ROUTINE=CAP_S)
    return structs.replace(pulled(NAMED["priority_age_cap"]), age_cap_s=cap)


def baltruschat(seeds: Sequence[int], days: int = 14) -> list[Told]:
    """Return what ranking by the detector's verdict does to pneumothorax, with and without an upper limit."""
    runs: dict[str, list[dict[str, float]]] = {"fifo": [], "rank": [], "cap": []}
    desks: dict[str, Callable[[], Desk]] = {
        "fifo": OpenList,
        "rank": partial(Production, pulled(NAMED["strict_priority"])),
        "cap": partial(Production, _capped()),
    }
    for seed in seeds:
        night = chest(seed, days)
        for name, desk in desks.items():
            runs[name].append(lived(night, desk()))
    mean, most = "tat_mean/pneumothorax", "tat_max/pneumothorax"

    def change(name: str, figure: str) -> Estimate:
        pairs = zip(runs[name], runs["fifo"], strict=True)
        return estimate([100 * (a[figure] / b[figure] - 1) for a, b in pairs])

    paper = "Baltruschat 2021"
    faster, worst, kept, still = change("rank", mean), change("rank", most), change("cap", most), change("cap", mean)
    return [
        Told(paper, "pneumothorax, mean, first in first out", "80.1", estimate([r[mean] for r in runs["fifo"]]), "min",
             holds=True),
        Told(paper, "pneumothorax, mean, ranked", "-56", faster, "%", faster.mean <= -50),  # noqa: PLR2004
        Told(paper, "pneumothorax, worst case, ranked", "+45", worst, "%", worst.mean > 20),  # noqa: PLR2004
        Told(paper, "pneumothorax, worst case, ranked with upper limit", "+10", kept, "%", kept.mean < 15),  # noqa: PLR2004
        Told(paper, "pneumothorax, mean, ranked with upper limit", "about -50", still, "%", still.mean <= -40),  # noqa: PLR2004
    ]  # fmt: skip


# -- O'Neill et al. 2021, Radiology: AI 3(2):e200024 ------------------------------------------------------------
HEAD = Scenario(
    "heads", "head CTs of an academic neuroradiology, three readers, a haemorrhage detector",
    (Site("hospital", 1.0, {"CT/neuro": 1.0}, (0.35, 0.30, 0.35)),),
    (Kind("CT", "neuro", 8.0, 0.6),),
    tuple(Person(f"reader {i}", capacity=1) for i in range(3)),
    studies=1560, hours=80.0, findings=(Finding("haemorrhage", "CT/neuro", 0.12, 0.92, 0.95),),
    due_s={S: 1800.0, U: 3600.0, R: 14400.0}, triage_s=120.0, warm_h=4.0,
)  # fmt: skip


def oneill(seeds: Sequence[int]) -> list[Told]:
    """Return the wait of detector-positive heads: flagged only, and flagged and re-ranked."""
    flagged: list[float] = []
    ranked: list[float] = []
    negative: list[float] = []
    nothing: list[float] = []
    blind = structs.replace(NAMED["gcmu_matching"].cost, critical=0.0)
    for seed in seeds:
        night = HEAD.night(seed)
        plain = replace(night, cases=tuple(replace(c, acuity=Acuity.NOT_ASSESSED) for c in night.cases))
        for found, base, rules in (
            (flagged, night, structs.replace(pulled(NAMED["gcmu_matching"]), cost=blind)),
            (nothing, plain, structs.replace(pulled(NAMED["gcmu_matching"]), cost=blind)),
            (ranked, night, pulled(NAMED["gcmu_matching"])),
        ):
            room = Room(base, Production(rules)).run()
            positive = {c.index for c in night.cases if c.acuity.level}
            waits = [((c.begun_s - c.at_s) / 60, c.index in positive) for c in room.cases if c.at_s >= night.warm_s]
            found.append(float(np.mean([w for w, yes in waits if yes])))
            if found is ranked:
                negative.append(float(np.mean([w for w, yes in waits if not yes])))
    paper = "O'Neill 2021"
    same = estimate([a - b for a, b in zip(flagged, nothing, strict=True)])
    gain = estimate([a - b for a, b in zip(ranked, negative, strict=True)])
    return [
        Told(paper, "wait of positives, flag against none", "no effect (P > .99)", same, "min", abs(same.mean) < 0.1),  # noqa: PLR2004
        Told(paper, "wait of negatives, re-ranked", "15.45", estimate(negative), "min", holds=True),
        Told(paper, "wait of positives less negatives, re-ranked", "-3.4", gain, "min", gain.high < 0),
    ]


# -- negative externality of attractive work: J Oper Manag 2023, 62 hospitals ------------------------------------
_GOOD, _POOR, _MAIN = "CT/body", "CT/neuro", "CT/chest"
_DUE_S = {S: 1800.0, U: 3600.0, R: 14400.0}
_ATTRACTIVE = {_GOOD: 2.6, _POOR: 0.85, _MAIN: 1.0}


def picked(seed: int, more: str | None) -> Night:
    """Return a shift of eight readers who pick; with ``more``, one further routine study of that kind for each.

    What is added comes at once in the middle of the shift; the expedited studies then on the list and those of the
    next half hour are what is measured.
    """
    rng = np.random.default_rng([seed, 29])
    persons = tuple(Person(f"reader {i}", capacity=1, picks=True) for i in range(8))
    cases: list[Case] = []
    kinds, minutes = (_GOOD, _POOR, _MAIN), (16.0, 8.0, 10.0)
    at_s = 0.0
    while True:
        at_s += float(rng.exponential(60 / (8 * 0.86 / 10.6)))
        if at_s > 6 * HOUR_S:
            break
        k = int(rng.choice(3, p=(0.2, 0.4, 0.4)))
        work = minutes[k] * float(np.exp(0.4 * rng.normal() - 0.08))
        priority = (S, U, R)[int(rng.choice(3, p=(0.15, 0.35, 0.5)))]
        cases.append(
            Case(len(cases), at_s, kinds[k], work, priority, rvu=work * _ATTRACTIVE[kinds[k]],
                 due_s=_DUE_S[priority])
        )  # fmt: skip
    if more is not None:
        mean = minutes[kinds.index(more)]
        for i in range(len(persons)):
            work = mean * float(np.exp(0.4 * rng.normal() - 0.08))
            cases.append(
                Case(100_000 + i, 3 * HOUR_S, more, work, R, rvu=work * _ATTRACTIVE[more], due_s=_DUE_S[R])
            )  # fmt: skip
    ordered = sorted(cases, key=lambda c: c.at_s)
    return Night(tuple(replace(c, index=i) for i, c in enumerate(ordered)), persons, seed,
                 means=dict(zip(kinds, minutes, strict=True)))  # fmt: skip


def _expedited(room: Room) -> float:
    about = [c for c in room.cases if c.priority is U and 2.75 * HOUR_S <= c.at_s <= 3.5 * HOUR_S]
    return float(np.mean([(c.done_s - c.at_s) / 60 for c in about])) if about else 0.0


def cherries(seeds: Sequence[int]) -> list[Told]:
    """Return what one more well paid routine study a reader adds to the expedited, picked and dealt."""
    effect: dict[str, list[float]] = {"picked": [], "poor": [], "window": []}
    ours = pulled(NAMED["gcmu_matching"])
    for seed in seeds:
        base = picked(seed, None)
        free, dealt = (_expedited(Room(base, d).run()) for d in (OpenList(by_priority, picking=True), Production(ours)))
        good = picked(seed, _GOOD)
        effect["picked"].append(_expedited(Room(good, OpenList(by_priority, picking=True)).run()) - free)
        poor = picked(seed, _POOR)
        effect["poor"].append(_expedited(Room(poor, OpenList(by_priority, picking=True)).run()) - free)
        effect["window"].append(_expedited(Room(good, Production(ours)).run()) - dealt)
    found = {name: estimate(values) for name, values in effect.items()}
    paper = "J Oper Manag 2023"
    return [
        Told(paper, "one more well paid routine study a reader: expedited, open list", "+17.7", found["picked"], "min",
             10 <= found["picked"].mean <= 25),  # noqa: PLR2004
        Told(paper, "one more badly paid routine study a reader: expedited, open list", "+2", found["poor"], "min",
             found["poor"].mean < found["picked"].mean / 2),
        Told(paper, "the same well paid study, dealt within the window", "", found["window"], "min",
             found["window"].mean <= 2),  # noqa: PLR2004
    ]  # fmt: skip


# -- Thompson et al. 2024, Queueing Systems 108:579 ----------------------------------------------------------------
def load(seeds: Sequence[int], shares: Sequence[float] = (0.3, 0.5, 0.7, 0.9)) -> list[Told]:
    """Return what re-ranking saves a detector's positives, by how busy the room is."""
    told, saved = [], []
    for share in shares:
        busy = replace(HEAD, studies=int(share * 3 * 60 / 8.0 * HEAD.hours))
        gains = []
        for seed in seeds:
            night = busy.night(seed)
            waits = {
                name: lived(night, desk)["wait_mean/haemorrhage"]
                for name, desk in (("list", OpenList()), ("ours", Production(pulled(NAMED["gcmu_matching"]))))
            }
            gains.append(waits["list"] - waits["ours"])
        saved.append(estimate(gains))
        told.append(share)
    return [
        Told("Thompson 2024", f"minutes saved for haemorrhage at {share:.0%} load",
             "vanishes at low load" if k == 0 else "grows with load", saved[k], "min",
             saved[k].mean < 1 if k == 0 else saved[k].mean > saved[k - 1].mean)
        for k, share in enumerate(told)
    ]  # fmt: skip


def every(seeds: Sequence[int]) -> list[Told]:
    """Return the whole table."""
    return [line for part in (baltruschat, oneill, cherries, load) for line in part(seeds)]
