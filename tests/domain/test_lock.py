"""Who edits the report, in which tab, and for how long without a sign of life; what is taken back and what stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from actors.domain.commands import FireTimer, Recall, Release, SaveDraft, Sign, StartReading
from actors.domain.decide import LOCK
from actors.domain.study import LEASE_S
from actors.domain.words import SignKind, Status
from tests.domain.story import ADA, NOW, Story, assigned


def reading(tab: str = "left") -> Story:
    """A study that Ada reads."""
    story = assigned()
    story.tell(StartReading(tab), ADA)
    return story


def locks(story: Story) -> list[object]:
    """What the study's stream told of the lock, unit by unit."""
    return [f.data["lock"] for unit in story.units for f in unit.feed if f.type == "lock_changed"]


def lapse(story: Story) -> None:
    """Let the lock's timer fire."""
    held = story.study.lock
    assert held is not None
    story.later((held.until - story.now).total_seconds())
    story.tell(FireTimer(LOCK, story.study.step, held.until))


def test_who_begins_to_read_holds_the_lock_and_its_stream_alone_is_told() -> None:
    story = reading()
    until = "2026-01-01T03:29:00.000Z"
    assert locks(story) == [{"user_id": "ada", "tab": "left", "until": until}]
    assert [f.stream for f in story.units[-1].feed if f.type == "lock_changed"] == ["study:1.2.3"]
    assert [a.due_at for a in story.units[-1].arm if a.name == LOCK] == [NOW + timedelta(seconds=LEASE_S)]


def test_another_tab_takes_the_lock_over_and_the_same_one_changes_nothing() -> None:
    story = reading()
    assert story.tell(StartReading("left"), ADA).events == []
    assert story.tell(StartReading(), ADA).events == []
    story.tell(StartReading("right"), ADA)
    assert story.study.lock is not None
    assert story.study.lock.tab == "right"
    assert len(locks(story)) == 2


def test_drafts_renew_the_lock_only_when_half_of_it_is_gone() -> None:
    story = reading()
    story.later(LEASE_S / 2 - 1)
    story.tell(SaveDraft(0, {"findings": "a"}), ADA)
    assert len(locks(story)) == 1
    story.later(2)
    story.tell(SaveDraft(1, {"findings": "b"}), ADA)
    assert story.study.lock is not None
    assert story.study.lock.until == story.now + timedelta(seconds=LEASE_S)


def test_a_lock_lapses_at_its_time_and_not_at_an_older_one() -> None:
    story = reading()
    first = story.study.lock
    assert first is not None
    story.later(LEASE_S - 1)
    story.tell(SaveDraft(0, {"findings": "a"}), ADA)
    assert story.tell(FireTimer(LOCK, 0, first.until)).events == []
    lapse(story)
    assert (story.study.lock, story.study.status, locks(story)[-1]) == (None, Status.READING, None)
    story.tell(SaveDraft(1, {"findings": "b"}), ADA)  # she went on: the lock is hers again
    assert story.types[-2:] == ["LockTaken", "DraftSaved"]


@pytest.mark.parametrize("how", ["release", "sign"])
def test_the_lock_ends_with_the_reading(how: str) -> None:
    story = reading()
    story.tell(SaveDraft(0, {"findings": "a"}), ADA)
    story.tell(Release("shift") if how == "release" else Sign(SignKind.FINAL, 1), ADA)
    assert story.study.lock is None
    assert LOCK in story.units[-1].disarm
    assert locks(story)[-1] is None


def test_what_is_begun_is_recalled_only_when_its_reader_is_gone_and_the_lock_has_lapsed() -> None:
    story = reading()
    step = story.study.step
    assert story.tell(Recall(step, "shift_end")).events == []
    assert story.tell(Recall(step, "reader_gone", begun=True)).events == []
    lapse(story)
    assert story.tell(Recall(step - 1, "reader_gone", begun=True)).events == []
    assert [e.type for e in story.tell(Recall(step, "reader_gone", begun=True)).events] == ["Released"]
    assert (story.study.status, story.study.asked[0].radiologist_id) == (Status.UNREAD, "ada")


def test_an_offer_and_an_assignment_that_are_not_begun_are_recalled() -> None:
    offered = Story().order().images().offer()
    told = offered.tell(Recall(offered.study.step, "sooner_with_another"))
    revoked = {f.stream: f.data for f in told.feed if f.type == "assignment_revoked"}["user:ada"]
    assert (revoked["reason"], revoked["row"]) == ("reassigned", None)
    held = assigned()
    assert [e.type for e in held.tell(Recall(held.study.step, "shift_end")).events] == ["Released"]
    assert held.tell(Recall(held.study.step, "shift_end")).events == []


def test_minutes_run_from_the_opening_to_the_first_signature() -> None:
    story = reading()
    story.tell(SaveDraft(0, {"findings": "a"}), ADA)
    story.later(240)
    story.tell(Sign(SignKind.PRELIM, 1), ADA)
    story.later(600)
    story.tell(Sign(SignKind.FINAL, 2), ADA)
    assert (story.study.read_min, story.study.read_by) == (4.0, "ada")
