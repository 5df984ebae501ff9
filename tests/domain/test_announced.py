"""What a modality says it made: how many images a study waits for, and when the patient began to wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from actors.domain.commands import CancelOrder
from actors.domain.words import ReadinessState
from tests.domain.story import NOW, ORDER, Story

OPEN_ENDED = replace(ORDER, expected_instances=None)


def test_a_study_is_ready_with_the_last_image_announced_and_not_when_it_is_quiet() -> None:
    story = Story().order(OPEN_ENDED).images(1, expected=3)
    assert story.study.readiness.state is ReadinessState.INCOMPLETE
    story.images(2, expected=3, quiet=True)
    assert story.study.readiness.state is ReadinessState.INCOMPLETE
    story.images(3, expected=3)
    assert (story.study.readiness.state, story.study.readiness.expected) == (ReadinessState.READY, 3)


def test_what_the_modality_made_outranks_what_was_ordered() -> None:
    story = Story().order(replace(ORDER, expected_instances=2)).images(2)
    assert story.study.readiness.state is ReadinessState.READY
    story.images(2, expected=4)
    assert (story.study.readiness.state, story.study.readiness.expected) == (ReadinessState.INCOMPLETE, 4)
    story.images(2)
    assert story.study.readiness.expected == 4


def test_more_announced_than_came_makes_a_quiet_study_incomplete_again() -> None:
    story = Story().order(OPEN_ENDED).images(2, quiet=True)
    assert story.study.readiness.state is ReadinessState.READY
    story.images(2, expected=5)
    assert story.study.readiness.state is ReadinessState.INCOMPLETE


def test_the_clock_of_an_order_starts_when_the_exam_is_over_and_not_anew_with_its_images() -> None:
    story = Story().order(OPEN_ENDED).images(0, expected=4)
    assert story.study.sla is not None
    assert (story.study.sla.started_at, story.study.readiness.expected) == (NOW, 4)
    assert story.study.readiness.state is ReadinessState.UNREADY
    story.later(60)
    story.images(0, expected=4)
    story.images(1, expected=4)
    assert story.study.sla.started_at == NOW
    assert story.types.count("ClockStarted") == 1
    assert story.now == NOW + timedelta(seconds=60)


def test_an_announcement_for_nobody_or_without_a_number_changes_nothing() -> None:
    assert not Story().images(0, expected=4).types
    assert Story().order(OPEN_ENDED).images(0).types == ["OrderReceived"]
    cancelled = Story().order(OPEN_ENDED)
    cancelled.tell(CancelOrder("no"), order=OPEN_ENDED)
    assert "ClockStarted" not in cancelled.images(0, expected=4).types
