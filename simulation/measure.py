"""What came of a night, in numbers: turnaround, breaches, fairness. Times are in minutes, shares between 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actors.domain.words import Acuity, Priority
from simulation.case import FOREVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulation.case import Case
    from simulation.room import Room

_QUANTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99}


def gini(values: Sequence[float]) -> float:
    """Return Gini's coefficient: 0 when all have the same, towards 1 when one has all."""
    sorted_ = np.sort(np.asarray(values, dtype=float))
    total = sorted_.sum()
    if total == 0:
        return 0.0
    n = len(sorted_)
    return float((2 * np.arange(1, n + 1) - n - 1) @ sorted_ / (n * total))


def measure(room: Room) -> dict[str, float]:
    """Return every figure of a run, named ``figure`` or ``figure/group``; what was never read ends with the night."""
    cases = [c for c in room.cases if c.at_s >= room.night.warm_s]
    end_s = max([room.now, *(c.done_s for c in cases if c.done_s < FOREVER)])
    figures: dict[str, float] = {}
    groups: dict[str, list[Case]] = {"all": cases}
    groups |= {p.value: [c for c in cases if c.priority is p] for p in Priority}
    groups |= {f: [c for c in cases if c.finding == f] for f in sorted({c.finding for c in cases if c.finding})}
    for name, chosen in groups.items():
        if chosen:
            figures |= {f"{key}/{name}": value for key, value in _times(chosen, end_s).items()}
    missed = [c for c in cases if c.finding and c.acuity.level == 0 and c.acuity is not Acuity.PENDING]
    figures["missed_wait_max"] = max((_wait(c, end_s) for c in missed), default=0.0)
    figures["unread"] = float(sum(c.done_s == FOREVER for c in cases))
    figures["declines"] = float(sum(c.declines for c in cases))
    figures["moves"] = float(sum(c.moves for c in cases))
    return figures | _load(room, end_s)


def _wait(case: Case, end_s: float) -> float:
    return (min(case.begun_s, end_s) - case.at_s) / 60


def _times(cases: list[Case], end_s: float) -> dict[str, float]:
    tat = np.array([(min(c.done_s, end_s) - c.at_s) / 60 for c in cases])
    wait = np.array([_wait(c, end_s) for c in cases])
    named = {f"tat_{k}": float(v) for k, v in zip(_QUANTILES, np.quantile(tat, list(_QUANTILES.values())), strict=True)}
    late = [min(c.done_s, end_s) > c.due_at_s or c.done_s == FOREVER for c in cases]
    return named | {
        "tat_mean": float(tat.mean()), "tat_max": float(tat.max()), "wait_mean": float(wait.mean()),
        "breach": float(np.mean(late)), "studies": float(len(cases)),
    }  # fmt: skip


def _load(room: Room, end_s: float) -> dict[str, float]:
    """Return how evenly the minutes read were shared, each weighed by her time on shift, and how busy they were."""
    on_s = [0.0 if s.person.relief else s.person.on_s(end_s) for s in room.seats]
    at_work = [(s, on) for s, on in zip(room.seats, on_s, strict=True) if on > 0]
    return {
        "gini": gini([s.busy_s / on for s, on in at_work]),
        "gini_rvu": gini([s.rvu / on for s, on in at_work]),
        "utilisation": sum(s.busy_s for s, _ in at_work) / sum(on for _, on in at_work),
        "read_min": sum(s.busy_s for s, _ in at_work) / 60,
    }
