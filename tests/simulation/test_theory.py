"""The event loop against what queueing theory and another simulator know."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import ciw
import numpy as np
import pytest

from actors.domain.words import Priority
from simulation.desks import OpenList, by_priority, first_come
from simulation.room import Room
from tests.simulation.queues import cobham, erlang_c, night, waits

if TYPE_CHECKING:
    from simulation.case import Case, Night

S, U, R = Priority
SAME = {S: 6.0, U: 6.0, R: 6.0}
SHARES = {S: 0.2, U: 0.3, R: 0.5}


def rates(servers: int, rho: float, mean: float = 6.0) -> dict[Priority, float]:
    return {p: share * servers * rho / mean for p, share in SHARES.items()}


@pytest.mark.parametrize(("servers", "rho", "studies"), [(1, 0.6, 60_000), (3, 0.7, 60_000), (5, 0.7, 100_000)])
def test_one_list_and_exponential_work_wait_as_erlang_says(servers: int, rho: float, studies: int) -> None:
    arrivals = rates(servers, rho)
    got = [
        waits(Room(night(seed, studies, rates=arrivals, servers=servers, means=SAME), OpenList()).run()).mean()
        for seed in (1, 2, 3)
    ]
    wanted = erlang_c(servers, servers * rho) * 6.0 / (servers * (1 - rho))
    assert np.mean(got) == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.6), (4, 0.7)])
def test_priority_without_preemption_waits_as_cobham_says(servers: int, rho: float) -> None:
    arrivals = rates(servers, rho)
    rooms = [
        Room(night(seed, 80_000, rates=arrivals, servers=servers, means=SAME), OpenList(by_priority)).run()
        for seed in (1, 2, 3)
    ]
    for priority, wanted in zip(Priority, cobham(servers, list(arrivals.values()), 6.0), strict=True):
        got = np.mean([waits(room, priority).mean() for room in rooms])
        assert got == pytest.approx(wanted, rel=0.03), priority


def peer(tonight: Night, servers: Any, *, classes: bool) -> dict[Priority, float]:
    """Return the mean wait by priority that ciw finds for the very same arrivals and work."""
    names = {p: p.value for p in Priority} if classes else dict.fromkeys(Priority, "all")
    arrivals: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    for case in tonight.cases:
        arrivals.setdefault(names[case.priority], []).append(case.at_s / 60)
        work.setdefault(names[case.priority], []).append(case.work_min)

    def gaps(name: str) -> list[float]:
        times = arrivals[name]
        return [times[0], *(b - a for a, b in pairwise(times)), float("inf")]

    network = ciw.create_network(
        arrival_distributions={n: [ciw.dists.Sequential(gaps(n))] for n in arrivals},
        service_distributions={n: [ciw.dists.Sequential(work[n])] for n in arrivals},
        number_of_servers=[servers],
        **({"priority_classes": {p.value: p.rank for p in Priority}} if classes else {}),
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(tonight.cases), method="Finish")
    found: dict[str, list[float]] = {}
    for record in simulation.get_all_records():
        found.setdefault(record.customer_class, []).append(record.waiting_time)
    return {p: float(np.mean(found[names[p]])) for p in Priority}


def test_ciw_finds_the_same_for_one_list() -> None:
    tonight = night(4, 6_000, rates=rates(3, 0.85), servers=3, means=SAME)
    room = Room(tonight, OpenList(first_come)).run()
    assert waits(room).mean() == pytest.approx(peer(tonight, 3, classes=False)[S], rel=0.03)


def test_ciw_finds_the_same_for_priorities_of_unequal_work() -> None:
    means = {S: 9.0, U: 6.0, R: 4.0}
    tonight = night(5, 6_000, rates=rates(4, 0.85), servers=4, means=means, sigma=0.7)
    room = Room(tonight, OpenList(by_priority)).run()
    theirs = peer(tonight, 4, classes=True)
    for priority in Priority:
        assert waits(room, priority).mean() == pytest.approx(theirs[priority], rel=0.03), priority


def test_ciw_finds_the_same_when_shifts_begin_and_end() -> None:
    """Four readers for eight hours, then two others for eight; a study under way is finished after the shift."""
    day, days = 960.0, 40
    early = tuple((d * day * 60, (d * day + 480) * 60) for d in range(days))
    late = tuple((end, end + 480 * 60) for _, end in early)
    shifts = [early] * 4 + [late] * 2
    tonight = night(6, 8_000, rates=rates(3, 0.8), servers=6, means=SAME, shifts=shifts, sigma=0.5)
    assert tonight.cases[-1].at_s < days * day * 60
    room = Room(tonight, OpenList(by_priority)).run()
    schedule = ciw.Schedule(numbers_of_servers=[4, 2], shift_end_dates=[480, day], preemption=False)
    theirs = peer(tonight, schedule, classes=True)
    for priority in Priority:
        assert waits(room, priority).mean() == pytest.approx(theirs[priority], rel=0.03), priority


def last_come(case: Case) -> tuple[float, ...]:
    return (-case.at_s,)


def by_due(case: Case) -> tuple[float, ...]:
    return (case.due_at_s, case.index)


def test_no_order_that_is_blind_to_size_changes_the_mean_wait_of_all() -> None:
    """Kleinrock's conservation law: what one class gains, the others pay."""
    tonight = night(7, 60_000, rates=rates(4, 0.8), servers=4, means=SAME)
    means = {k: waits(Room(tonight, OpenList(k)).run()).mean() for k in (first_come, by_priority, last_come, by_due)}
    assert max(means.values()) / min(means.values()) < 1.02, means
