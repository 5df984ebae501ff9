"""When a report is due is a table by priority, modality and setting; each line says from when to when, and by which hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.due import ClockStart, Sort
from actors.domain.errors import BadPayload, WrongStatus
from actors.domain.policy import Policy, policy
from actors.domain.project import timers
from actors.domain.setting import setting_of
from actors.domain.trial import differences
from actors.domain.words import ClockState, Priority, ReadinessState, SignKind
from tests.domain.story import ADA, MAX, NOW, ORDER, PATIENT, SAM, Story

if TYPE_CHECKING:
    from actors.domain.sla import Clock

LINES: list[dict[str, Any]] = [
    {"priority": "URGENT", "modality": "CT", "setting": "emergency", "due_s": 2700, "warn_s": 1800},
    {"priority": "URGENT", "setting": "emergency", "due_s": 3600},
    {
        "priority": "ROUTINE",
        "modality": "MR",
        "due_s": 200_000,
        "calendar": "office",
        "start": "ready",
        "stop": "final",
    },
    {"setting": "outpatient", "due_s": 172_800, "calendar": None, "pause": {"reasons": ["priors"], "most_s": 60}},
]
CLOCK: dict[str, Any] = {
    "calendars": {"office": {"time_zone": "Europe/Berlin", "hours": {"mon": ["08:00-18:00"]}}},
    "calendar": {"URGENT": "office", "ROUTINE": "office"},
    "pause": {"reasons": ["scanner down"]},
}
MADE = replace(policy({"sla_rules": LINES, "clock": CLOCK}), version=3)
URGENT = replace(ORDER, priority=Priority.URGENT, setting="emergency")


def told(order: c.Order | None = None, made: Policy = MADE) -> Story:
    story = Story()
    story.facts = replace(story.facts, policy=made, clock_policy=made)
    return story if order is None else story.order(order)


def clock(story: Story) -> Clock:
    assert story.study.sla is not None
    return story.study.sla


def test_the_first_line_that_fits_counts_and_what_none_fits_has_its_priority_s_time() -> None:
    def due_s(*sort: Any) -> float:
        return MADE.terms(Sort(*sort)).due.due_s

    assert due_s(Priority.URGENT, "CT", "emergency") == 2700
    assert due_s(Priority.URGENT, "MR", "emergency") == 3600
    assert due_s(Priority.URGENT, "CT", "inpatient") == 7200
    assert due_s(Priority.URGENT, "CT") == 7200, "nobody said where the patient is: no line that asks for it"
    assert due_s(Priority.STAT, "CT", "emergency") == 1800
    assert due_s(Priority.STAT, "CR", "outpatient") == 172_800
    assert due_s(Priority.ROUTINE, "MR", "outpatient") == 200_000


def test_a_line_has_its_own_hours_and_pauses_or_those_of_the_policy() -> None:
    emergency = MADE.terms(Sort(Priority.URGENT, "CT", "emergency"))
    assert (emergency.hours, emergency.pause) == (MADE.clock.calendars["office"], MADE.clock.pause)
    outpatient = MADE.terms(Sort(Priority.URGENT, "CT", "outpatient"))
    assert (outpatient.hours, outpatient.pause.reasons) == (None, ("priors",))
    assert MADE.terms(Sort(Priority.STAT, "MR")).hours is None


def test_a_table_comes_back_as_it_was_given_and_differs_by_path() -> None:
    assert policy(MADE.body()) == replace(MADE, version=0)
    assert policy({"sla_rules": []}).body()["sla_rules"] == []
    changed = policy({"sla_rules": [LINES[0] | {"due_s": 2000}, *LINES[1:]], "clock": CLOCK})
    found = differences(MADE.body(), changed.body())
    assert [d["path"] for d in found] == ["sla_rules.0.due_s"]
    shorter = policy({"sla_rules": LINES[:3], "clock": CLOCK})
    assert [(d["path"], d["after"]) for d in differences(MADE.body(), shorter.body())] == [("sla_rules.3", None)]


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ({}, "sla_rules"),
        ([{"due_s": 1}] * 201, "sla_rules"),
        ([5], "sla_rules.0"),
        ([{"due": 5}], "sla_rules.0.due"),
        ([{}], "sla_rules.0.due_s"),
        ([{"due_s": -1}], "sla_rules.0.due_s"),
        ([{"due_s": 5, "warn_s": 6}], "sla_rules.0.warn_s"),
        ([{"due_s": 5, "priority": "SOON"}], "sla_rules.0.priority"),
        ([{"due_s": 5, "modality": "ct"}], "sla_rules.0.modality"),
        ([{"due_s": 5, "modality": 5}], "sla_rules.0.modality"),
        ([{"due_s": 5, "setting": "home"}], "sla_rules.0.setting"),
        ([{"due_s": 5, "calendar": "night"}], "sla_rules.0.calendar"),
        ([{"due_s": 5, "start": "later"}], "sla_rules.0.start"),
        ([{"due_s": 5, "stop": "never"}], "sla_rules.0.stop"),
        ([{"due_s": 5, "pause": {"for": 1}}], "sla_rules.0.pause.for"),
        ([{"due_s": 5, "pause": {"never": 1}}], "sla_rules.0.pause.never"),
        ([{"due_s": 5, "modality": "CT"}, {"due_s": 4, "modality": "CT", "priority": "STAT"}], "sla_rules.1"),
    ],
)
def test_a_wrong_line_names_its_field_and_the_cure(lines: Any, field: str) -> None:
    with pytest.raises(BadPayload) as refused:
        policy({"sla_rules": lines})
    assert refused.value.fields["field"] == field
    assert str(refused.value).startswith(f"{field}:")


def test_a_clock_is_set_by_the_order_s_setting_and_modality_and_stays_with_its_line() -> None:
    story = told(URGENT).images()
    assert (clock(story).modality, clock(story).setting) == ("CT", "emergency")
    started = next(e for u in story.units for e in u.events if e.type == "ClockStarted")
    assert (started.body["due_s"], started.body["warn_s"]) == (2700, 1800)
    story.facts = replace(story.facts, policy=Policy())  # set later: runs on under the old one
    story.tell(c.PauseClock(story.study.step, "scanner down"), MAX)
    assert clock(story).state is ClockState.PAUSED


def test_the_setting_may_come_with_the_images_and_the_order_s_word_outweighs_it() -> None:
    alone = told().images(setting="emergency", modality="CT")
    assert (alone.study.setting, alone.study.priority) == ("emergency", Priority.URGENT)
    assert clock(alone).due_at == MADE_DUE(alone)
    ordered = told(replace(URGENT, setting="inpatient")).images(setting="emergency")
    assert (ordered.study.setting, clock(ordered).setting) == ("inpatient", "inpatient")
    silent = told(replace(URGENT, setting="")).images(setting="emergency")
    assert (silent.study.setting, clock(silent).setting) == ("emergency", "emergency")
    joined = told().tell(
        c.ImagesArrived("harbor", PATIENT, 1, accession_number="A26-1", setting="inpatient"), order=URGENT
    )
    assert [e.body["setting"] for e in joined.events if e.type == "ClockStarted"] == ["emergency"]


def MADE_DUE(story: Story) -> Any:  # noqa: N802 - of MADE
    from actors.domain import calendar  # noqa: PLC0415

    return calendar.add(MADE.clock.calendars["office"], story.now, 2700)


def test_an_order_that_moves_the_study_to_another_line_sets_the_clock_anew() -> None:
    story = told(URGENT).images()
    story.later(60)
    story.tell(c.ReceiveOrder(replace(URGENT, procedure="CT head with contrast")))
    assert clock(story).started_at == NOW
    story.tell(c.ReceiveOrder(replace(URGENT, setting="inpatient")))
    assert (clock(story).started_at, clock(story).setting) == (NOW + timedelta(seconds=60), "inpatient")


def test_a_clock_may_begin_with_the_order_and_goes_on_when_images_come_under_another_uid() -> None:
    made = policy({"sla_rules": [{"due_s": 3600, "start": "order"}]})
    minted = told(URGENT, made)
    assert clock(minted).started_at == NOW
    assert set(timers(minted.study)) == {"sla_warn", "sla_breach"}
    minted.later(600)
    minted.images()
    assert clock(minted).started_at == NOW
    other = told(URGENT, made)
    images = told(made=made)
    images.later(600)
    unit = images.tell(
        c.ImagesArrived("harbor", PATIENT, 1, accession_number="A26-1"),
        order=URGENT, minted=other.study.but(study_uid="1.2.4"),
    )  # fmt: skip
    assert clock(images).started_at == NOW
    assert [s.study_uid for s in unit.studies] == ["1.2.4", "1.2.3"]
    assert unit.studies[0].doc["sla"]["state"] == "stopped"


def test_a_clock_may_begin_when_the_study_is_whole_and_a_stat_s_at_its_first_image() -> None:
    made = policy({"sla_rules": [{"due_s": 3600, "start": "ready"}]})
    story = told(URGENT, made).images(1)
    assert story.study.sla is None
    story.later(30)
    story.images(2)
    assert clock(story).started_at == NOW + timedelta(seconds=30)
    assert clock(told(replace(URGENT, priority=Priority.STAT), made).images(1)).started_at == NOW
    waiting = told(URGENT, made)
    waiting.tell(c.ImagesArrived("harbor", PATIENT, 0, expected=2))
    assert waiting.study.sla is None, "the exam is over, its images are not here"
    corrected = told(URGENT, made).images(1)
    corrected.tell(c.ReceiveOrder(replace(URGENT, expected_instances=1)))
    assert corrected.study.readiness.state is ReadinessState.READY
    assert clock(corrected).started_at == NOW
    assert ClockStart.READY.reached(Priority.URGENT, begun=False, state=ReadinessState.READY)


@pytest.mark.parametrize(("stop", "runs"), [("first_signature", False), ("final", True)])
def test_a_clock_stops_with_the_first_signature_or_with_the_final_one(stop: str, runs: bool) -> None:  # noqa: FBT001
    story = told(URGENT, policy({"sla_rules": [{"due_s": 3600, "stop": stop}]})).images().offer(SAM)
    story.tell(c.Accept("o1"), SAM)
    story.tell(c.StartReading("tab"), SAM)
    story.tell(c.SaveDraft(0, {"impression": "Nothing acute."}), SAM)
    story.tell(c.Sign(SignKind.PRELIM, 1), SAM)
    assert clock(story).live is runs
    assert ("sla_breach" in timers(story.study)) is runs
    story.tell(c.Sign(SignKind.FINAL, story.study.report.version if story.study.report else 0), ADA)
    assert clock(story).state is ClockState.STOPPED
    assert timers(story.study) == {}


def test_a_line_may_say_that_no_clock_of_it_is_paused() -> None:
    never = policy({"sla_rules": [{"due_s": 3600, "pause": {"never": True}}]})
    assert never.body()["sla_rules"][0]["pause"] == {"reasons": [], "most_s": None, "never": True}
    with pytest.raises(WrongStatus, match="lets no clock"):
        told(URGENT, never).images().tell(c.PauseClock(2, "scanner down"), MAX)


@pytest.mark.parametrize(
    ("texts", "setting"),
    [
        (("ED BAY 4",), "emergency"),
        (("", "Emergency Medicine"), "emergency"),
        (("Ward 3B", "Emergency"), "inpatient"),
        (("MEDICAL FLOOR", "RADIOLOGY"), ""),
        (("Neuro ICU",), "inpatient"),
        (("OUT-PATIENT CLINIC",), "outpatient"),
        (("A&E resus",), "emergency"),
        ((), ""),
    ],
)
def test_headers_tell_where_the_patient_is_or_nothing(texts: tuple[str, ...], setting: str) -> None:
    assert setting_of(*texts) == setting
