"""Queues that theory knows: cases of exponential or other work, identical readers, and the formulas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from actors.domain.words import Priority
from simulation.case import Case, Night, Person

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulation.room import Room


def night(
    seed: int, studies: int, *, rates: dict[Priority, float], servers: int, means: dict[Priority, float],
    shifts: Sequence[tuple[tuple[float, float], ...]] | None = None, sigma: float | None = None,
) -> Night:  # fmt: skip
    """Return Poisson arrivals (a minute, by priority) of exponential work, or lognormal with ``sigma``."""
    rng = np.random.default_rng(seed)
    total = sum(rates.values())
    at = np.cumsum(rng.exponential(60 / total, studies))
    ranks = rng.choice(len(rates), studies, p=[r / total for r in rates.values()])
    unit = rng.exponential(1.0, studies) if sigma is None else np.exp(sigma * rng.normal(size=studies) - sigma**2 / 2)
    kinds = list(rates)
    cases = tuple(
        Case(i, float(at[i]), work_min=float(unit[i]) * means[kinds[ranks[i]]], priority=kinds[ranks[i]],
             due_s={Priority.STAT: 1800.0, Priority.URGENT: 7200.0, Priority.ROUTINE: 86400.0}[kinds[ranks[i]]])
        for i in range(studies)
    )  # fmt: skip
    persons = tuple(Person(f"r{i:03d}", *(() if shifts is None else (shifts[i],)), capacity=1) for i in range(servers))
    return Night(cases, persons, seed)


def waits(room: Room, priority: Priority | None = None, skip: int = 0) -> np.ndarray:
    """Return minutes from coming to being begun."""
    chosen = [c for c in room.cases[skip:] if priority is None or c.priority is priority]
    return np.array([(c.begun_s - c.at_s) / 60 for c in chosen])


def erlang_c(servers: int, offered: float) -> float:
    """Return the share of arrivals that wait in M/M/c (Erlang 1917)."""
    rho = offered / servers
    top = offered**servers / math.factorial(servers) / (1 - rho)
    return top / (sum(offered**k / math.factorial(k) for k in range(servers)) + top)


def cobham(servers: int, rates: Sequence[float], mean: float) -> list[float]:
    """Return the mean wait by class, most urgent first: non-preemptive priority (Cobham 1954), exponential work."""
    rho = [r * mean / servers for r in rates]
    base = erlang_c(servers, sum(rates) * mean) * mean / servers
    done, answer = 0.0, []
    for share in rho:
        answer.append(base / ((1 - done) * (1 - done - share)))
        done += share
    return answer
