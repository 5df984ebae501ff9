"""How a clock runs under its policy: business hours, pauses with reasons, and the ladder climbed as time runs out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from actors.domain import calendar, sla
from actors.domain.clocked import (
    ClockPaused,
    ClockResumed,
    ClockStarted,
    Escalated,
    PriorityRaised,
    SlaBreached,
    SlaWarned,
)
from actors.domain.clocks import MANAGERS, ON_CALL, READER, rungs_at
from actors.domain.due import ClockStart
from actors.domain.errors import BadPayload, WrongStatus
from actors.domain.facts import Decision
from actors.domain.words import ClockState

if TYPE_CHECKING:
    from actors.domain.clocks import Rung
    from actors.domain.due import Sort, Terms
    from actors.domain.events import Event
    from actors.domain.facts import Facts
    from actors.domain.policy import Policy
    from actors.domain.sla import Clock
    from actors.domain.study import Study
    from actors.domain.words import ReadinessState

_LONG_ENOUGH = "The pause has lasted as long as the policy lets it."
_MINUTE_S, _HOUR_S = 60, 3600


def started(policy: Policy, sort: Sort, at: datetime) -> ClockStarted:
    """Return the start of a clock under the policy."""
    terms = policy.terms(sort)
    due, hours = terms.due, terms.hours
    due_at, warn_at = calendar.add(hours, at, due.due_s), calendar.add(hours, at, due.warn_s)
    ladder = rungs_at(terms.ladder, hours, due.due_s, due_at)
    first = ladder[0][0] if ladder else None
    return ClockStarted(
        at, due.due_s, due.warn_s, due_at, warn_at, policy.version, sort.priority, first, sort.modality, sort.setting,
        terms.stop,
    )  # fmt: skip


def begun(  # noqa: PLR0913 - what a beginning depends on
    study: Study,
    facts: Facts,
    sort: Sort,
    now: datetime,
    *,
    exam: bool,
    state: ReadinessState,
    moved: Study | None = None,
) -> list[Event]:
    """Return the start of a clock once its beginning is reached; one that runs is set anew at once.

    Args:
        study: as it was.
        facts: with the policy in force.
        sort: what the study is now.
        now: the instant.
        exam: whether images have come or the exam is over.
        state: of readiness, now.
        moved: where the order lived, whose clock may run since it came.
    """
    start = facts.policy.terms(sort).start
    if study.sla is None and not start.reached(sort.priority, begun=exam, state=state):
        return []
    since = moved.sla.started_at if moved and moved.sla and start is ClockStart.ORDER else now
    return [started(facts.policy, sort, since)]


def _terms(policy: Policy, clock: Clock) -> Terms | None:
    """Return how a clock runs; None for one that knows neither calendar nor ladder."""
    return policy.terms(clock.sort) if clock.sort else None


def due_under(policy: Policy, sort: Sort, begun: float) -> float:
    """Return when a clock that began then (Unix seconds, its pauses added) would be due under another policy."""
    terms = policy.terms(sort)
    return calendar.add(terms.hours, datetime.fromtimestamp(begun, UTC), terms.due.due_s).timestamp()


def _left(policy: Policy, clock: Clock, due_at: datetime, climbed: int) -> list[tuple[datetime, Rung]]:
    """Return the rungs that are still to climb."""
    terms = _terms(policy, clock)
    return [] if terms is None else rungs_at(terms.ladder, terms.hours, terms.due.due_s, due_at)[climbed:]


def pause(study: Study, reason: str, now: datetime, facts: Facts) -> Decision:
    """Stop the clock for a reason that the policy knows; it goes on by itself when the policy says so."""
    clock = study.sla
    if clock is None or not clock.live:
        raise WrongStatus("The clock is not running.")
    terms = _terms(facts.clock_policy, clock)
    rules = terms.pause if terms else facts.clock_policy.clock.pause
    if rules.never:
        raise WrongStatus("The policy lets no clock of such studies be paused.")
    if rules.reasons and reason.strip() not in rules.reasons:
        raise BadPayload(f"reason: a clock is paused for one of: {'; '.join(rules.reasons)}.", {"field": "reason"})
    until = None if rules.most_s is None else now + timedelta(seconds=rules.most_s)
    return Decision([ClockPaused(reason, until)])


def resume(study: Study, reason: str, now: datetime, facts: Facts) -> Decision:
    """Let the clock go on; the open time that was left is left still."""
    clock, policy = study.sla, facts.clock_policy
    if clock is None or clock.state is not ClockState.PAUSED:
        raise WrongStatus("The clock is not paused.")
    terms = _terms(policy, clock)
    hours, due_at, warn_at = terms.hours if terms else None, clock.due_at, clock.warn_at
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
    return f"{what} {when}: {study.shown.value}."
