"""Events are never edited: what was written in an older shape is brought up to date when it is read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from actors.domain.clocked import ClockStarted
from actors.domain.due import Sort
from actors.domain.escalation import started
from actors.domain.events import body, current, event
from actors.domain.policy import Policy
from actors.domain.replay import replay, resumed
from actors.domain.study import SHAPE, Study, dump, load, snapshot
from actors.domain.words import Priority
from tests.domain.story import NOW, Story, assigned

if TYPE_CHECKING:
    from actors.domain.unit import Recorded

# As the first release wrote it: no calendar, no ladder, the warning in seconds only.
FIRST = {"started_at": "2026-01-01T03:14:00Z", "due_s": 1800.0, "warn_s": 1350.0, "due_at": "2026-01-01T03:44:00Z"}


def test_a_clock_of_the_first_shape_warns_when_it_did() -> None:
    old = event("ClockStarted", FIRST)
    new = started(Policy(), Sort(Priority.STAT, "CT"), NOW)
    assert isinstance(old, ClockStarted)
    assert old == replace(new, priority=None, modality="")
    assert old.warn_at == NOW + timedelta(seconds=1350)


def test_an_event_written_today_carries_its_shape_and_comes_back_whole() -> None:
    made = started(Policy(), Sort(Priority.STAT, "CT"), NOW)
    assert body(made)["v"] == 2
    assert "v" not in current("ClockStarted", body(made))
    assert event("ClockStarted", body(made)) == made
    assert current("PresenceChanged", {"state": "online"}) == {"state": "online"}  # not a study's


def test_every_event_of_a_told_story_survives_the_journal() -> None:
    told = journal(assigned())
    assert len({recorded.type for recorded in told}) == 6
    for recorded in told:
        assert body(event(recorded.type, recorded.body)) == recorded.body


def journal(story: Story) -> list[Recorded]:
    return [e for unit in story.units for e in unit.events]


def test_a_journal_in_the_old_shape_rebuilds_the_same_study() -> None:
    told = assigned()
    old = [
        replace(e, body={k: e.body[k] for k in FIRST}) if e.type == "ClockStarted" else e
        for e in journal(told)
    ]  # fmt: skip
    rebuilt = replay("1.2.3", old)
    assert told.study.sla is not None
    assert rebuilt == told.study.but(sla=replace(told.study.sla, priority=None, modality=""))


@pytest.mark.parametrize("after", range(8))
def test_a_snapshot_and_the_events_after_it_are_the_study(after: int) -> None:
    told = assigned()
    events = journal(told)
    kept = load(dump(replay("1.2.3", events[:after])))
    assert resumed(kept, events) == told.study


def test_a_snapshot_of_another_shape_is_not_used() -> None:
    doc = dump(assigned().study)
    assert snapshot("1.2.3", json.dumps(doc)).rev > 0
    assert snapshot("1.2.3", json.dumps(doc | {"shape": SHAPE + 1})) == snapshot("1.2.3", None) == Study("1.2.3")


def test_a_study_is_shown_as_it_stood_at_an_instant() -> None:
    told = Story().order()
    told.later(60)
    told.images()
    assert replay("1.2.3", journal(told), NOW + timedelta(seconds=59)).images == 0
    assert replay("1.2.3", journal(told), NOW + timedelta(seconds=60)).images == 2
