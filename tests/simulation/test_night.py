"""A simulated night: the same for every policy, read by the production policy, measured as it was lived."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from actors.domain.assignment.rules import NAMED
from actors.domain.words import Acuity, Priority
from readingroom.cli.main import app
from simulation.case import FOREVER, Case, Night, Person
from simulation.compare import compare, estimate
from simulation.desks import OpenList, by_priority
from simulation.measure import gini, measure
from simulation.nights import NIGHT, STRESS
from simulation.policies import POLICIES
from simulation.production import Production, pulled
from simulation.report import markdown, write
from simulation.room import Room

if TYPE_CHECKING:
    from pathlib import Path

S, U, R = Priority
ONE = Person("ada")


def lived(*cases: Case, persons: tuple[Person, ...] = (ONE,), **more: float) -> Room:
    return Room(Night(cases, persons, **more), OpenList(by_priority)).run()  # type: ignore[arg-type]


def test_the_same_seed_is_the_same_night_and_another_is_another() -> None:
    one, again, other = NIGHT.night(1), NIGHT.night(1), NIGHT.night(2)
    assert [(c.at_s, c.work_min, c.finding) for c in one.cases] == [
        (c.at_s, c.work_min, c.finding) for c in again.cases
    ]
    assert [c.at_s for c in one.cases] != [c.at_s for c in other.cases]


def test_the_realistic_night_has_three_sites_eight_readers_and_about_four_hundred_studies() -> None:
    nights = [NIGHT.night(seed) for seed in range(10)]
    assert {c.site for c in nights[0].cases} == {s.name for s in NIGHT.sites}
    assert len([p for p in NIGHT.persons if not p.relief]) == 8
    assert 390 <= sum(len(n.cases) for n in nights) / len(nights) <= 412
    trauma = {c.patient for n in nights for c in n.cases if sum(d.patient == c.patient for d in n.cases) == 3}
    assert trauma


def test_under_stress_a_fifth_more_comes_than_those_present_can_read() -> None:
    begin, end = 3 * 3600.0, 7 * 3600.0
    able = sum(p.on_s(end) - p.on_s(begin) for p in STRESS.persons) / 60
    came = [sum(c.work_min for c in STRESS.night(s).cases if begin <= c.at_s < end) for s in range(20)]
    paced = STRESS.mean_min() / sum(c.work_min for c in STRESS.night(1).cases) * len(STRESS.night(1).cases)
    assert sum(came) / len(came) * paced / able == pytest.approx(1.2, rel=0.08)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_reads_every_study_of_the_night(policy: str) -> None:
    figures = measure(Room(NIGHT.night(3), POLICIES[policy]()).run())
    assert figures["unread"] == 0
    assert 0.5 < figures["utilisation"] < 1.1
    assert figures["tat_median/STAT"] <= figures["tat_p95/STAT"] <= figures["tat_p99/STAT"] <= figures["tat_max/STAT"]


def test_a_night_lived_twice_under_the_production_policy_is_the_same() -> None:
    night = NIGHT.night(5)
    once, again = (Room(night, POLICIES["gcmu_matching"]()).run() for _ in range(2))
    assert [(c.reader, c.begun_s, c.declines) for c in once.cases] == [
        (c.reader, c.begun_s, c.declines) for c in again.cases
    ]


def test_the_production_order_is_the_open_list_in_that_order() -> None:
    """Identical readers who never decline: pulling by the policy's EDF is a list sorted by due time."""
    cases = [replace(c, specialty=None, jurisdiction=None, kind="CT/any") for c in NIGHT.night(4).cases]
    persons = tuple(Person(f"r{i}", capacity=1) for i in range(5))
    night = Night(tuple(c for c in cases if c.priority is not S), persons, means={"CT/any": 8.0})
    due = OpenList(lambda c: (c.due_at_s, c.at_s, c.index))
    ours = Room(night, Production(pulled(NAMED["edf"]))).run()
    assert [c.begun_s for c in ours.cases] == [c.begun_s for c in Room(night, due).run().cases]


def test_knowing_the_true_minutes_breaches_less_than_not_knowing() -> None:
    found = compare(NIGHT, ["gcmu_matching", "clairvoyant"], range(4))
    assert found.difference("clairvoyant", "gcmu_matching", "tat_mean/all").mean < 0


def test_who_is_on_a_break_finishes_first_and_is_given_nothing_until_she_is_back() -> None:
    person = Person("ada", breaks=((300.0, 900.0),))
    room = lived(Case(0, 0.0, work_min=10), Case(1, 1.0, work_min=1), persons=(person,))
    assert [c.begun_s for c in room.cases] == [0.0, 600.0 + 600.0]


def test_what_is_unread_at_the_end_of_a_shift_waits_for_the_next() -> None:
    early, late = Person("ada", shifts=((0.0, 60.0),)), Person("bob", shifts=((3600.0, FOREVER),))
    room = lived(Case(0, 0.0, work_min=10), Case(1, 1.0, work_min=1), persons=(early, late))
    assert [(c.reader, c.begun_s) for c in room.cases] == [(0, 0.0), (1, 3600.0)]


def test_a_declined_study_goes_to_another_and_an_unseen_offer_expires() -> None:
    no = Person("ada", declines=1.0)
    room = lived(Case(0, 0.0, answers=(0.5,)), persons=(no, Person("bob")), answer_s=8.0)
    assert (room.cases[0].reader, room.cases[0].begun_s, room.cases[0].declines) == (1, 16.0, 1)
    away = Person("ada", misses=1.0)
    room = lived(Case(0, 0.0, answers=(0.5,)), persons=(away, Person("bob")), answer_s=8.0, open_s=120.0)
    assert room.cases[0].begun_s == 128.0


def test_who_picks_takes_what_pays_best_but_never_before_a_stat() -> None:
    picker = Person("ada", picks=True)
    cases = (Case(0, 0.0), Case(1, 1.0, work_min=1, rvu=1), Case(2, 2.0, work_min=1, rvu=9), Case(3, 3.0, priority=S))
    room = Room(Night(cases, (picker,)), OpenList(picking=True)).run()
    assert sorted(range(4), key=lambda i: room.cases[i].begun_s) == [0, 3, 2, 1]


def test_telephone_calls_make_a_read_longer() -> None:
    called = Person("ada", interruptions=6.0, call_min=3.0)
    assert called.minutes(Case(0, 0.0, work_min=10, luck=0.01)) == 10
    assert called.minutes(Case(0, 0.0, work_min=10, luck=0.99)) > 15


def test_gini_is_zero_for_equal_shares_and_grows_with_inequality() -> None:
    assert gini([3, 3, 3]) == 0
    assert gini([0, 0]) == 0
    assert gini([0, 0, 9]) == pytest.approx(2 / 3)


def test_a_missed_finding_is_one_that_the_detector_was_silent_about() -> None:
    said = [Acuity.NOTHING_FLAGGED, Acuity.SUSPECTED_CRITICAL, Acuity.NOT_ASSESSED]
    cases = tuple(Case(i, 0.0, work_min=10, finding="bleed", acuity=a) for i, a in enumerate(said))
    assert measure(lived(*cases))["missed_wait_max"] == pytest.approx(20.0)


def test_an_interval_needs_two_runs_and_narrows_with_more() -> None:
    assert math.isinf(estimate([1.0]).half)
    assert estimate([1.0, 2.0, 3.0]).low < 2.0 < estimate([1.0, 2.0, 3.0]).high
    assert estimate([1.0, 2.0] * 20).half < estimate([1.0, 2.0] * 3).half


def test_a_report_is_a_page_with_its_plots_and_a_table(tmp_path: Path) -> None:
    found = compare(replace(NIGHT, studies=40, hours=2.0), ["fifo", "gcmu_matching"], range(2))
    written = write(found, tmp_path)
    assert sorted(p.name for p in written) == ["night-breach.png", "night-fairness.png", "night-p95.png", "night.html"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written if p.suffix == ".png")
    page = (tmp_path / "night.html").read_text()
    assert page.count("data:image/png") == 3
    assert "gcmu_matching" in page
    assert markdown(found).count("\n") == 3


def test_the_command_compares_policies_and_names_what_it_does_not_know() -> None:
    answer = CliRunner().invoke(app, ["sim", "--seeds", "2", "--policies", "fifo,edf", "--workers", "1", "--json"])
    assert answer.exit_code == 0
    said = json.loads(answer.stdout)
    assert set(said["policies"]) == {"fifo", "edf"}
    assert said["policies"]["edf"]["breach/all"]["mean"] < said["policies"]["fifo"]["breach/all"]["mean"]
    wrong = CliRunner().invoke(app, ["sim", "--policies", "magic"])
    assert wrong.exit_code == 2
    assert "there is no magic" in wrong.output
