"""How a clock runs under its policy: business hours, pauses with reasons, and the ladder climbed as time runs out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from actors.domain import calendar, sla
from actors.domain.clocks import MANAGERS, ON_CALL, READER, rungs_at
from actors.domain.errors import BadPayload, WrongStatus
from actors.domain.events import (
    ClockPaused,
    ClockResumed,
    ClockStarted,
    Escalated,
    PriorityRaised,
    SlaBreached,
    SlaWarned,
)
from actors.domain.facts import Decision
from actors.domain.words import ClockState

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.calendar import Hours
    from actors.domain.clocks import Rung
    from actors.domain.events import Event
    from actors.domain.facts import Facts
    from actors.domain.policy import Policy
    from actors.domain.sla import Clock
    from actors.domain.study import Study
    from actors.domain.words import Priority

_LONG_ENOUGH = "The pause has lasted as long as the policy lets it."
_MINUTE_S, _HOUR_S = 60, 3600


def started(policy: Policy, priority: Priority, at: datetime) -> ClockStarted:
    """Return the start of a clock under the policy."""
    due, hours = policy.sla[priority], policy.clock.hours(priority)
    due_at, warn_at = calendar.add(hours, at, due.due_s), calendar.add(hours, at, due.warn_s)
    ladder = rungs_at(policy.clock.escalation.get(priority, ()), hours, due.due_s, due_at)
    first = ladder[0][0] if ladder else None
    return ClockStarted(at, due.due_s, due.warn_s, due_at, warn_at, policy.version, priority, first)


def _hours(policy: Policy, clock: Clock) -> Hours:
    return policy.clock.hours(clock.priority) if clock.priority else None


def _left(policy: Policy, clock: Clock, due_at: datetime, climbed: int) -> list[tuple[datetime, Rung]]:
    """Return the rungs that are still to climb."""
    if clock.priority is None:
        return []
    rungs, due_s = policy.clock.escalation.get(clock.priority, ()), policy.sla[clock.priority].due_s
    return rungs_at(rungs, _hours(policy, clock), due_s, due_at)[climbed:]


def pause(study: Study, reason: str, now: datetime, facts: Facts) -> Decision:
    """Stop the clock for a reason that the policy knows; it goes on by itself when the policy says so."""
    clock, rules = study.sla, facts.clock_policy.clock.pause
    if clock is None or not clock.live:
        raise WrongStatus("The clock is not running.")
    if rules.reasons and reason.strip() not in rules.reasons:
        raise BadPayload(f"reason: a clock is paused for one of: {'; '.join(rules.reasons)}.", {"field": "reason"})
    until = None if rules.most_s is None else now + timedelta(seconds=rules.most_s)
    return Decision([ClockPaused(reason, until)])


def resume(study: Study, reason: str, now: datetime, facts: Facts) -> Decision:
    """Let the clock go on; the open time that was left is left still."""
    clock, policy = study.sla, facts.clock_policy
    if clock is None or clock.state is not ClockState.PAUSED:
        raise WrongStatus("The clock is not paused.")
    hours, due_at, warn_at = _hours(policy, clock), clock.due_at, clock.warn_at
    if not clock.breached_at:
        due_at = calendar.add(hours, now, calendar.between(hours, clock.paused_at or now, clock.due_at))
        warn_at = calendar.back(hours, due_at, calendar.between(hours, clock.warn_at, clock.due_at))
    left = _left(policy, clock, due_at, clock.rung)
    return Decision([ClockResumed(reason, due_at, warn_at, left[0][0] if left else None)])


def fire(study: Study, name: str, due_at: datetime, now: datetime, facts: Facts) -> Decision:
    """A clock's timer came due; one whose time is no longer the clock's does nothing."""
    clock = study.sla
    if clock is None:
        return Decision()
    counting = clock.state in (ClockState.RUNNING, ClockState.WARNED)
    events: list[Event] = []
    if name == sla.WARN and clock.state is ClockState.RUNNING and clock.warn_at == due_at:
        events.append(SlaWarned(due_at=clock.due_at))
    elif name == sla.BREACH and counting and clock.due_at == due_at:
        events.append(SlaBreached(due_at, sla.alert_id(facts.tenant_id, study.study_uid, due_at)))
    elif name == sla.ESCALATE and clock.live and clock.escalate_at == due_at:
        events += _climb(study, clock, facts)
    elif name == sla.RESUME and clock.pause_until == due_at:
        return resume(study, _LONG_ENOUGH, now, facts)
    return Decision(events)


def _climb(study: Study, clock: Clock, facts: Facts) -> list[Event]:
    left = _left(facts.clock_policy, clock, clock.due_at, clock.rung)
    if not left:
        return []
    rung, next_at = left[0][1], left[1][0] if left[1:] else None
    people = {READER: [study.reader] if study.reader else [], ON_CALL: facts.on_call, MANAGERS: facts.managers}
    told = dict.fromkeys(who for kind in rung.tell for who in people[kind])
    events: list[Event] = [Escalated(clock.rung + 1, clock.due_at, rung.tell, tuple(told), next_at)]
    if rung.priority is not None and rung.priority.rank < study.priority.rank:
        events.append(PriorityRaised(rung.priority, study.asked_priority or study.priority))
    return events


def sentence(study: Study, due_at: datetime, now: datetime) -> str:
    """Return what people are told of a study whose time runs out; it names no patient."""
    what = " ".join(word for word in (study.priority.value, study.modality, study.body_part) if word)
    left_s = (due_at - now).total_seconds()
    size, unit = (_HOUR_S, "h") if abs(left_s) >= 2 * _HOUR_S else (_MINUTE_S, "min")
    amount = round(abs(left_s) / size)
    when = f"is due in {amount} {unit}" if left_s > 0 else f"has been due for {amount} {unit}"
    return f"{what} {when}: {study.status.value}."
