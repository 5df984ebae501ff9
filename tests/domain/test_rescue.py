"""What is taken back from a reader who has not begun it: only when somebody with empty hands is done sooner."""

from __future__ import annotations

from dataclasses import replace

from actors.domain.assignment.case import Reader, Waiting
from actors.domain.assignment.rescue import Held, rescues
from actors.domain.assignment.rules import Rules
from actors.domain.words import Priority

NOW = 1_767_225_600.0
RULES = Rules()
BUSY = Reader("ada", "Ada", load=2, ahead_min=18.0, current_min=10.0)
FREE = Reader("bob", "Bob")
STAT = Waiting("1", 3, Priority.STAT, started_at=NOW, due_at=NOW + 1800)
LATE = Waiting("2", 3, Priority.URGENT, started_at=NOW - 3000, due_at=NOW + 900)
EARLY = Waiting("3", 3, Priority.URGENT, started_at=NOW, due_at=NOW + 7200)


def moved(*held: Held, readers: tuple[Reader, ...] = (BUSY, FREE), rules: Rules = RULES) -> dict[str, str]:
    return {c.study_uid: c.radiologist_id for c in rescues(held, readers, rules, NOW)}


def test_a_stat_in_busy_hands_goes_to_whoever_is_free() -> None:
    assert moved(Held(STAT, "ada", 10.0)) == {"1": "bob"}


def test_nothing_moves_when_nobody_is_free_or_the_policy_says_so() -> None:
    held = Held(STAT, "ada", 10.0)
    assert moved(held, readers=(BUSY, replace(FREE, load=1))) == {}
    assert moved(held, rules=Rules(rescue=False)) == {}


def test_what_would_be_late_goes_to_who_would_be_in_time() -> None:
    assert moved(Held(LATE, "ada", 12.0)) == {"2": "bob"}


def test_what_is_not_in_danger_stays() -> None:
    assert moved(Held(EARLY, "ada", 10.0)) == {}


def test_what_nobody_can_save_stays_with_its_reader() -> None:
    assert moved(Held(replace(LATE, due_at=NOW + 60), "ada", 12.0)) == {}


def test_a_move_that_wins_no_time_is_not_made() -> None:
    assert moved(Held(STAT, "ada", 0.0), readers=(BUSY, FREE)) == {}


def test_each_free_reader_is_given_one() -> None:
    held = [Held(replace(STAT, study_uid=str(i)), "ada", 10.0 + i) for i in range(3)]
    assert len(moved(*held)) == 1
    assert len(moved(*held, readers=(BUSY, FREE, Reader("cleo", "Cleo")))) == 2


def test_whom_a_hard_rule_bars_is_given_nothing() -> None:
    assert moved(Held(replace(STAT, barred=frozenset({"bob"})), "ada", 10.0)) == {}
