"""Clocks count business hours, pause for known reasons, and climb the ladder of the policy they began under."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from actors.domain import commands as c
from actors.domain import sla
from actors.domain.errors import BadPayload
from actors.domain.escalation import sentence
from actors.domain.policy import Policy, policy
from actors.domain.project import timers
from actors.domain.words import ClockState, Priority
from tests.domain.story import ADA, MAX, NOW, ORDER, Story

LADDER = [
    {"share": 0.5, "tell": ["reader"]},
    {"before_due_s": 300, "tell": ["reader", "on_call"], "priority": "STAT"},
    {"after_due_s": 0, "tell": ["managers"]},
    {"after_due_s": 600, "tell": ["managers", "on_call"]},
]
URGENT = replace(ORDER, priority=Priority.URGENT)


def rules(**clock: Any) -> Policy:
    return replace(policy({"sla": {"URGENT": {"due_s": 3600}}, "clock": clock}), version=7)


def story(made: Policy) -> Story:
    told = Story()
    told.facts = replace(told.facts, policy=made, clock_policy=made, managers=("max",), on_call=("bob", "max"))
    return told.order(URGENT).images()


def fire(told: Story) -> str:
    """Let time pass until the next timer, and fire it."""
    arm = min(timers(told.study).values(), key=lambda t: t.due_at)
    told.now = max(told.now, arm.due_at)
    told.tell(c.FireTimer(arm.name, arm.version, arm.due_at))
    return arm.name


def messages(told: Story) -> list[str]:
    return [f.stream.removeprefix("user:") for f in told.units[-1].feed if f.type == "message_received"]


def test_a_ladder_is_climbed_to_its_end_and_says_whom_it_told() -> None:
    told = story(rules(escalation={"URGENT": LADDER})).offer()
    told.tell(c.Accept("o1"), ADA)
    assert fire(told) == "sla_escalate"
    assert (told.now - NOW, messages(told)) == (timedelta(minutes=30), ["ada"])
    assert [fire(told), fire(told)] == ["sla_warn", "sla_escalate"]
    assert (told.now - NOW, messages(told)) == (timedelta(minutes=55), ["ada", "bob", "max"])
    assert told.study.priority is Priority.STAT
    assert {fire(told), fire(told)} == {"sla_breach", "sla_escalate"}
    assert fire(told) == "sla_escalate"
    assert (told.now - NOW, messages(told)) == (timedelta(minutes=70), ["bob", "max"])
    assert timers(told.study) == {}
    steps = [e.body["step"] for unit in told.units for e in unit.events if e.type == "Escalated"]
    assert steps == [1, 2, 3, 4]
    shown = [f for unit in told.units for f in unit.feed if f.type == "sla_escalated" and f.stream == "tenant:t"]
    assert [f.data["step"] for f in shown] == steps


def test_a_raised_priority_outlives_the_same_order_and_yields_to_a_changed_one() -> None:
    told = story(rules(escalation={"URGENT": [LADDER[1]]}))
    while told.study.priority is Priority.URGENT:
        fire(told)
    step, started_at = told.study.step, told.study.sla and told.study.sla.started_at
    assert told.tell(c.ReceiveOrder(URGENT)).events == []
    told.tell(c.ReceiveOrder(replace(URGENT, procedure="CT head with contrast")))
    assert (told.study.priority, told.study.sla and told.study.sla.started_at) == (Priority.STAT, started_at)
    assert told.study.step > step
    told.tell(c.ReceiveOrder(replace(URGENT, priority=Priority.ROUTINE)))
    assert (told.study.priority, told.study.asked_priority) == (Priority.ROUTINE, None)


def test_an_open_offer_still_expires_after_the_priority_was_raised() -> None:
    told = story(rules(escalation={"URGENT": [{"share": 0.01, "priority": "STAT"}]})).offer()
    assert fire(told) == "sla_escalate"
    arms = {arm.name: arm for arm in told.units[-1].arm}
    assert arms["offer"].version == told.study.step
    told.now = arms["offer"].due_at
    told.tell(c.FireTimer("offer", arms["offer"].version, arms["offer"].due_at))
    assert told.types[-1] == "OfferExpired"


def test_rungs_of_one_instant_are_one_step() -> None:
    both = [{"share": 1, "tell": ["reader"]}, {"after_due_s": 0, "tell": ["managers"], "priority": "STAT"}]
    told = story(rules(escalation={"URGENT": both}))
    while "Escalated" not in told.types:
        fire(told)
    assert messages(told) == ["max"]
    assert told.study.priority is Priority.STAT
    assert told.study.sla is not None
    assert told.study.sla.escalate_at is None


def test_a_paused_clock_climbs_nothing_and_goes_on_where_it_was() -> None:
    told = story(rules(escalation={"URGENT": LADDER}))
    told.later(1200)
    told.tell(c.PauseClock(told.study.step, "scanner down"), MAX)
    assert timers(told.study) == {}
    told.later(7200)
    told.tell(c.ResumeClock(told.study.step, "it works again"), MAX)
    assert timers(told.study)[sla.ESCALATE].due_at == told.now + timedelta(minutes=10)
    assert timers(told.study)[sla.BREACH].due_at == told.now + timedelta(minutes=40)
    assert timers(told.study)[sla.WARN].due_at == told.now + timedelta(minutes=25)


def test_a_pause_ends_by_itself_when_the_policy_says_so_and_needs_a_known_reason() -> None:
    told = story(rules(pause={"reasons": ["scanner down"], "most_s": 600}))
    with pytest.raises(BadPayload, match="scanner down"):
        told.tell(c.PauseClock(told.study.step, "coffee"), MAX)
    told.tell(c.PauseClock(told.study.step, "scanner down"), MAX)
    assert fire(told) == "sla_resume"
    assert told.study.sla is not None
    assert (told.study.sla.state, told.study.sla.paused_s) == (ClockState.RUNNING, 600)
    assert told.study.sla.due_at == NOW + timedelta(seconds=4200)
    assert told.units[-1].events[0].body["reason"].startswith("The pause has lasted")


def test_a_clock_counts_the_hours_of_its_calendar_also_over_a_pause() -> None:
    office = {"time_zone": "UTC", "hours": {d: ["08:00-16:00"] for d in ("mon", "tue", "wed", "thu", "fri")}}
    told = story(rules(calendars={"office": office}, calendar={"URGENT": "office"}))
    clock = told.study.sla  # it began on a Thursday, New Year's Day, at 03:14
    assert clock is not None
    assert clock.due_at == datetime.fromisoformat("2026-01-01T09:00Z")
    assert clock.warn_at == datetime.fromisoformat("2026-01-01T08:45Z")
    told.now = datetime.fromisoformat("2026-01-01T08:30Z")
    told.tell(c.PauseClock(told.study.step, "no contrast"), MAX)
    told.now = datetime.fromisoformat("2026-01-02T15:50Z")
    told.tell(c.ResumeClock(told.study.step, "contrast is here"), MAX)
    assert told.study.sla is not None
    assert told.study.sla.due_at == datetime.fromisoformat(
        "2026-01-05T08:20Z"
    )  # ten minutes on Friday, twenty on Monday


def test_a_clock_keeps_the_rules_it_began_under() -> None:
    told = story(rules(escalation={"URGENT": LADDER}))
    told.facts = replace(told.facts, policy=Policy())
    assert fire(told) == "sla_escalate"
    assert told.study.sla is not None
    assert (told.study.sla.policy, told.study.sla.priority) == (7, Priority.URGENT)


def test_a_timer_of_another_time_changes_nothing() -> None:
    told = story(rules(escalation={"URGENT": LADDER}))
    for name in (sla.WARN, sla.BREACH, sla.ESCALATE, sla.RESUME):
        assert told.tell(c.FireTimer(name, 1, NOW)).events == []
    assert Story().order().tell(c.FireTimer(sla.BREACH, 1, NOW)).events == []


def test_what_people_are_told_counts_from_now() -> None:
    study = story(rules()).study
    assert sentence(study, NOW + timedelta(minutes=5), NOW) == "URGENT CT HEAD is due in 5 min: unread."
    assert sentence(study, NOW - timedelta(hours=3), NOW) == "URGENT CT HEAD has been due for 3 h: unread."
