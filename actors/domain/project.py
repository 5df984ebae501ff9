"""From a decision to the unit that commits it: journal, read rows, feed, timers, jobs, outbox.

Each event goes into every stream it concerns, under one id, with the row as it stands after it:
whole for who still sees the study, null where it leaves the view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.domain import ordering, sla
from actors.domain.clocked import ClockPaused, ClockResumed, Escalated, SlaBreached, SlaWarned
from actors.domain.decide import LOCK, OFFER
from actors.domain.escalation import sentence
from actors.domain.events import (
    Accepted,
    Addended,
    Assigned,
    Cancelled,
    Declined,
    DraftSaved,
    FinalSigned,
    FirstInstanceReceived,
    FlagDismissed,
    Flagged,
    Offered,
    OfferExpired,
    OrderMoved,
    PrelimSigned,
    ReadinessChanged,
    ReadingStarted,
    Released,
    SecondSigned,
    Settled,
    StudyTriaged,
    body,
)
from actors.domain.evolve import evolve
from actors.domain.instant import instant
from actors.domain.row import locked, row, row_for, row_for_wall
from actors.domain.study import CLOSED, dump
from actors.domain.tally import change
from actors.domain.unit import (
    FeedItem,
    JobWrite,
    OrderWrite,
    OutboxWrite,
    ReaderDelta,
    Recorded,
    StudyRow,
    TimerArm,
    Unit,
)
from actors.domain.words import ClockState, Priority, ReadinessState, Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.domain.commands import Patient
    from actors.domain.events import Event
    from actors.domain.facts import Decision, Facts
    from actors.domain.identity import Key
    from actors.domain.study import Study

_SIGNED = (PrelimSigned, FinalSigned, Addended)
_NOT_FOR_SITES = frozenset({"study_triaged", "assignment_offered", "assignment_revoked"})  # the row only
_OUTBOX = {PrelimSigned: "report_prelim", FinalSigned: "report_final", Addended: "report_addendum"}


@dataclass(frozen=True, slots=True)
class By:
    """Who caused a unit, under which key, and when."""

    user_id: str | None
    idem: str | None
    at: datetime


def told(event: Event, before: Study, after: Study, by: By) -> tuple[str, dict[str, Any]]:  # noqa: C901, PLR0911, PLR0912 - one line an event
    """Return the event's type on the wire and what it carries beside the row."""
    match event:
        case StudyTriaged():
            return "study_triaged", {"model": event.model, "version": event.version, "headline": event.headline}
        case Offered():
            extra = {"offer_id": event.offer_id, "expires_at": instant(event.expires_at), "why": event.why}
            return "assignment_offered", extra
        case Declined() | OfferExpired():
            reason = "declined" if isinstance(event, Declined) else "expired"
            return "assignment_revoked", {"offer_id": event.offer_id, "reason": reason}
        case Cancelled() | Settled() if before.offer:
            return "assignment_revoked", {"offer_id": before.offer.offer_id, "reason": "cancelled"}
        case Accepted():
            return "assignment_accepted", {"radiologist_id": event.radiologist_id, "by": by.user_id}
        case Assigned():
            return "assignment_assigned", {"radiologist_id": event.radiologist_id, "by": by.user_id}
        case ReadingStarted():
            return "reading_started", {"radiologist_id": event.radiologist_id, "by": by.user_id}
        case Released() if before.offer:
            return "assignment_revoked", {"offer_id": before.offer.offer_id, "reason": "reassigned"}
        case Released():
            return "assignment_released", {"radiologist_id": event.radiologist_id, "by": by.user_id}
        case SlaWarned():
            return "sla_warned", {"due_at": instant(event.due_at)}
        case SlaBreached():
            return "sla_breached", {"due_at": instant(event.due_at), "alert_id": event.alert_id}
        case ClockPaused() | ClockResumed():
            due_at = after.sla and instant(after.sla.due_at)
            kind = "sla_paused" if isinstance(event, ClockPaused) else "sla_resumed"
            return kind, {"due_at": due_at, "reason": event.reason}
        case Escalated():
            return "sla_escalated", {"due_at": instant(event.due_at), "step": event.step}
        case Flagged() | FlagDismissed():
            return "study_flagged", {"flags": sorted(f.value for f in after.flags)}
        case PrelimSigned(opens=opens) if opens is not None and opens.blind:
            return "study_changed", {}  # that there is a report is told to nobody who may have to read it
        case DraftSaved() | PrelimSigned() | SecondSigned() | FinalSigned() | Addended():
            return "report_changed", {
                "report_id": event.report_id,
                "report_version": event.report_version,
                "report_status": after.report and after.report.status.value,
                "by": by.user_id,
            }
        case _:
            return "study_changed", {}


def timers(study: Study) -> dict[str, TimerArm]:
    """Return the timers that a study in this state needs."""
    armed: dict[str, TimerArm] = {}
    if study.offer:
        armed[OFFER] = TimerArm(OFFER, study.step, study.offer.expires_at)
    if study.lock:
        armed[LOCK] = TimerArm(LOCK, study.step, study.lock.until)
    clock = study.sla
    if clock is None or not study.open:
        return armed
    due = {
        sla.WARN: clock.warn_at if clock.state is ClockState.RUNNING else None,
        sla.BREACH: clock.due_at if clock.state in (ClockState.RUNNING, ClockState.WARNED) else None,
        sla.ESCALATE: clock.escalate_at if clock.live else None,
        sla.RESUME: clock.pause_until if clock.state is ClockState.PAUSED else None,
    }
    return armed | {name: TimerArm(name, study.step, at) for name, at in due.items() if at}


def study_row(study: Study) -> StudyRow:
    """Return the read row of a state."""
    return StudyRow(
        study.study_uid,
        study.site_id,
        study.rev,
        study.step,
        study.shown.value,
        study.open,
        study.priority.value,
        study.reader,
        study.patient_id,
        study.accession_number,
        tuple(sorted(f.value for f in study.flags)),
        study.referring,
        dump(study),
    )


class _Projection:
    """Fills a unit, event by event."""

    def __init__(self, key: Key, facts: Facts, by: By, new_id: Callable[[], str]) -> None:
        self.unit = Unit(key)
        self._facts, self._by, self._new_id = facts, by, new_id
        self.shown: dict[str, Any] | None = None  # the row after the last event

    def add(self, before: Study, event: Event, patient: Patient | None, site_name: str | None = None) -> Study:
        """Record one event and everything that shows it; ``site_name`` when it is another study's."""
        after = evolve(before, event, self._by.at)
        entity = f"study/{after.study_uid}"
        self.unit.events.append(
            Recorded(entity, after.rev, type(event).__name__, body(event), self._by.at, self._by.user_id, self._by.idem)
        )
        place = self._facts.site_name if site_name is None else site_name
        self.shown = row(after, patient, place)
        self._feed(before, event, after, self.shown)
        return after

    def _feed(self, before: Study, event: Event, after: Study, shown: dict[str, Any]) -> None:
        kind, extra = told(event, before, after, self._by)
        event_id, tenant_id, uid = self._new_id(), self._facts.tenant_id, after.study_uid

        def say(stream: str, view: dict[str, Any] | None, kind: str = kind, more: dict[str, Any] = extra) -> None:
            self.unit.feed.append(FeedItem(stream, event_id, kind, {"study_uid": uid, "row": view, **more}))

        listed = shown if after.open else None
        say(f"study:{uid}", shown)
        whole = self.unit.feed[-1].data
        self._lock(before, after, shown)
        if before.open or after.open:
            data = whole if listed else {**whole, "row": None}  # the same object: it is packed once
            self.unit.feed.append(FeedItem(f"tenant:{tenant_id}", event_id, kind, data))
            say(f"wall:{tenant_id}", listed and row_for_wall(listed))
            site_view = listed and row_for(Role.TECHNOLOGIST, listed)
            if kind in _NOT_FOR_SITES:
                say(f"site:{after.site_id}", site_view, "study_changed", {})
            else:
                say(f"site:{after.site_id}", site_view)
            if before.site_id and before.site_id != after.site_id:
                say(f"site:{before.site_id}", None, "study_changed", {})
        was, now = before.reader if before.open else None, after.reader if after.open else None
        if now:
            say(f"user:{now}", listed)
        if was and was != now:
            self._taken(f"user:{was}", before, event, say)
        if isinstance(event, Escalated):
            self._escalate(event, after)
        if isinstance(event, FinalSigned | Addended):
            referring = [after.referring] if after.referring else []
            for user_id in sorted({*self._facts.viewers, *referring} - {was, now}):
                say(f"user:{user_id}", None)

    def _escalate(self, event: Escalated, after: Study) -> None:
        """Write to whom the ladder names, under an id that a repetition would have too."""
        uid, at = after.study_uid, instant(self._by.at)
        text = sentence(after, event.due_at, self._by.at)
        for user_id in event.told:
            message_id = sla.message_id(self._facts.tenant_id, uid, event.due_at, event.step, user_id)
            message = {"message_id": message_id, "by": "", "to": user_id, "study_uid": uid, "text": text, "at": at}
            data = {"study_uid": uid, "message": message}
            self.unit.feed.append(FeedItem(f"user:{user_id}", message_id, "message_received", data))

    def _lock(self, before: Study, after: Study, shown: dict[str, Any]) -> None:
        if before.lock != after.lock:
            uid, lock = after.study_uid, after.lock and locked(after.lock)
            data = {"study_uid": uid, "row": shown, "lock": lock}
            self.unit.feed.append(FeedItem(f"study:{uid}", self._new_id(), "lock_changed", data))

    def _taken(self, stream: str, before: Study, event: Event, say: Callable[..., None]) -> None:
        if isinstance(event, Assigned):
            offer_id = before.offer.offer_id if before.offer else before.granted
            say(stream, None, "assignment_revoked", {"offer_id": offer_id, "reason": "reassigned"})
        else:
            say(stream, None)

    def count(self, before: Study, after: Study, *, final: bool) -> None:
        """Move the counters of the streams the study stands in."""
        tenant_id = self._facts.tenant_id
        moved = change(before, after)
        if final:
            moved["final_today"] = moved.get("final_today", 0) + 1
        for stream in (f"tenant:{tenant_id}", f"wall:{tenant_id}", f"site:{after.site_id}"):
            total = self.unit.counters.setdefault(stream, {})
            for name, by in moved.items():
                total[name] = total.get(name, 0) + by
            if not total:
                del self.unit.counters[stream]

    def readers(self, before: Study, after: Study) -> None:
        """Move loads, and who is reading what."""
        uid = after.study_uid
        if before.load_of != after.load_of:
            self.unit.readers += [ReaderDelta(who, -1) for who in [before.load_of] if who]
            self.unit.readers += [ReaderDelta(who, +1) for who in [after.load_of] if who]
        if before.reading_by != after.reading_by:
            self.unit.readers += [ReaderDelta(who, stopped=uid) for who in [before.reading_by] if who]
            self.unit.readers += [ReaderDelta(who, reading=uid) for who in [after.reading_by] if who]


def project(  # noqa: PLR0913, PLR0917 - what a commit is made of
    key: Key, before: Study, decision: Decision, facts: Facts, by: By, new_id: Callable[[], str]
) -> tuple[Study, Unit]:
    """Return the state after the decision and the unit that commits it."""
    made = _Projection(key, facts, by, new_id)
    unit = made.unit
    patient = decision.patient or facts.patient
    if decision.moved:  # the minted study leaves first, then the images stand with its order
        gone = made.add(
            decision.moved, OrderMoved(before.study_uid), decision.order.patient if decision.order else None
        )
        unit.studies.append(study_row(gone))
        made.count(decision.moved, gone, final=False)
    after = before
    for event in decision.events:
        after = made.add(after, event, patient)
    if after is not before:
        unit.shown = made.shown
        unit.studies.append(study_row(after))
        made.count(before, after, final=any(isinstance(e, FinalSigned) for e in decision.events))
        made.readers(before, after)
    if decision.corrected and patient:
        unit.corrections.append(patient)
        for sibling, site_name in facts.siblings:
            unit.studies.append(study_row(made.add(sibling, decision.corrected, patient, site_name)))
    _others(made, decision)
    _side_effects(unit, before, after, decision, new_id)
    return after, unit


def _others(made: _Projection, decision: Decision) -> None:
    """Record what becomes of other studies: those of a patient, and the one where an order waits again."""
    unit = made.unit
    for other in decision.others:
        after = other.study
        for event in other.events:
            after = made.add(after, event, other.patient, other.site_name)
        unit.studies.append(study_row(after))
        made.count(other.study, after, final=False)
    if decision.returned:
        order, home = decision.returned
        after = made.add(home, ordering.received(order), order.patient)
        unit.studies.append(study_row(after))
        unit.orders.append(OrderWrite(order, after.study_uid))
        unit.patients.append(order.patient)
        made.count(home, after, final=False)
    unit.merges += decision.merges


def _rearmed(was: TimerArm, arm: TimerArm) -> bool:
    """Whether a timer must be stored anew: at another time, or for an offer at another step."""
    return was.due_at != arm.due_at or (arm.name == OFFER and was.version != arm.version)


def _withheld(event: Event) -> bool:
    """Whether the hospital gets the text only when the second reading is settled."""
    return isinstance(event, PrelimSigned) and event.opens is not None and not event.opens.deliver


def _side_effects(unit: Unit, before: Study, after: Study, decision: Decision, new_id: Callable[[], str]) -> None:
    had, needs = timers(before), timers(after)
    unit.arm += [arm for name, arm in needs.items() if name not in had or _rearmed(had[name], arm)]
    unit.disarm += [name for name in had if name not in needs]
    if decision.patient:
        unit.patients.append(decision.patient)
    if decision.order:
        unit.orders.append(OrderWrite(decision.order, after.study_uid, decision.cancelled))
    unit.reports += decision.reports
    for event in decision.events:
        if isinstance(event, _SIGNED) and not _withheld(event):
            kind = _OUTBOX[type(event)]
            write = OutboxWrite(new_id(), after.study_uid, after.site_id, kind, event.report_id, event.report_version)
            unit.outbox.append(write)
    first = any(isinstance(e, FirstInstanceReceived) for e in decision.events)
    ready = after.readiness.state is ReadinessState.READY and before.readiness.state is not ReadinessState.READY
    grown = any(isinstance(e, ReadinessChanged) for e in decision.events) and ready
    if after.status not in CLOSED and (grown or (first and after.priority is Priority.STAT)):
        unit.jobs.append(JobWrite(new_id(), after.study_uid, after.images, after.priority.rank))
