"""Folds one event into the state of a study. Decides nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from actors.domain import sla
from actors.domain.clocked import (
    ClockPaused,
    ClockResumed,
    ClockStarted,
    Escalated,
    PriorityRaised,
    SlaBreached,
    SlaWarned,
)
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
    ImagesReceived,
    LockLapsed,
    LockTaken,
    Offered,
    OfferExpired,
    OrderMoved,
    OrderReceived,
    PrelimSigned,
    ReadinessChanged,
    ReadingStarted,
    Released,
    SecondSigned,
    Settled,
    StudyTriaged,
)
from actors.domain.second import Outcome, Reading, SecondKind, SecondState, opened
from actors.domain.study import LEASE_S, AiResult, Asked, Lock, OpenOffer, Readiness, ReportHead, pooled
from actors.domain.whose import PatientCorrected, PatientMerged, PatientUnmerged, PriorsCounted, StudyMoved
from actors.domain.words import EXCLUDING, SOONER, Flag, ReportStatus, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.domain.events import Event
    from actors.domain.study import Study

_OF_ORDERS = frozenset({Flag.NO_ORDER, Flag.PATIENT_MISMATCH})
_AFTER_SIGN = frozenset({Flag.IMAGES_AFTER_SIGN, Flag.ORDER_AFTER_SIGN, Flag.PATIENT_AFTER_SIGN})


def evolve(study: Study, event: Event, at: datetime) -> Study:
    """Return the state after the event, one version on."""
    after = _CHANGES[type(event)](study, event, at)
    rev = study.rev + 1
    return after.but(rev=rev, step=rev if event.STEP else study.step)


def _order_received(s: Study, e: OrderReceived, _at: datetime) -> Study:
    fresh = s.rev == 0 or s.status is Status.CANCELLED
    status = (Status.UNREAD if s.images else Status.ORDERED) if fresh else s.status
    raised = not fresh and s.asked_priority is e.priority
    return s.but(
        site_id=e.site_id,
        patient_id=e.patient_id,
        accession_number=e.accession_number,
        priority=s.priority if raised else e.priority,
        asked_priority=s.asked_priority if raised else None,
        procedure=e.procedure or s.procedure,
        modality=e.modality or s.modality,
        body_part=e.body_part or s.body_part,
        laterality=e.laterality or s.laterality,
        setting=e.setting or s.setting,
        referring=e.referring,
        ordered=True,
        status=status,
        moved_to=None,
        readiness=replace(s.readiness, expected=e.expected),
        flags=s.flags - _OF_ORDERS if e.joined else s.flags,
    )


def _order_moved(s: Study, e: OrderMoved, _at: datetime) -> Study:
    stopped = s.sla and sla.stop(s.sla)
    return s.but(status=Status.CANCELLED, moved_to=e.study_uid, flags=frozenset(), ordered=False, sla=stopped)


def _first_instance(s: Study, e: FirstInstanceReceived, _at: datetime) -> Study:
    return s.but(
        site_id=e.site_id,
        patient_id=e.patient_id,
        accession_number=s.accession_number or e.accession_number,
        modality=s.modality or e.modality,
        body_part=s.body_part or e.body_part,
        laterality=s.laterality or e.laterality,
        procedure=s.procedure or e.procedure,
        setting=s.setting or e.setting,
        priority=s.priority if s.ordered else e.priority,
        priors=e.priors,
        priors_by=frozenset(e.priors_by),
        images=e.received,
        status=Status.UNREAD,
        moved_to=None,  # images of its own: it is a study again, whatever became of its order
    )


def _images(s: Study, e: ImagesReceived, _at: datetime) -> Study:
    return s.but(images=e.received, readiness=replace(s.readiness, received=e.received))


def _readiness(s: Study, e: ReadinessChanged, _at: datetime) -> Study:
    return s.but(images=e.received, readiness=Readiness(e.state, e.received, e.expected))


def _triaged(s: Study, e: StudyTriaged, _at: datetime) -> Study:
    result = AiResult(e.model, e.version, e.status, e.headline, e.measures)
    others = tuple(r for r in s.ai if r.model != e.model)
    return s.but(acuity=e.acuity, ai=(*others, result))


def _clock_started(s: Study, e: ClockStarted, _at: datetime) -> Study:
    return s.but(sla=sla.start(e, s.sla))


def _warned(s: Study, _e: SlaWarned, _at: datetime) -> Study:
    return s.but(sla=s.sla and sla.warn(s.sla))


def _breached(s: Study, _e: SlaBreached, at: datetime) -> Study:
    return s.but(sla=s.sla and sla.breach(s.sla, at))


def _paused(s: Study, e: ClockPaused, at: datetime) -> Study:
    return s.but(sla=s.sla and sla.pause(s.sla, at, e.until))


def _resumed(s: Study, e: ClockResumed, at: datetime) -> Study:
    return s.but(sla=s.sla and sla.resume(s.sla, e, at))


def _escalated(s: Study, e: Escalated, _at: datetime) -> Study:
    return s.but(sla=s.sla and sla.escalate(s.sla, e.next_at))


def _raised(s: Study, e: PriorityRaised, _at: datetime) -> Study:
    return s.but(priority=e.priority, asked_priority=e.asked)


def _corrected(s: Study, _e: PatientCorrected, _at: datetime) -> Study:
    return s


def _merged(s: Study, e: PatientMerged, _at: datetime) -> Study:
    return s.but(patient_id=e.patient_id, merged=(*s.merged, e.was), priors=e.priors)


def _unmerged(s: Study, e: PatientUnmerged, _at: datetime) -> Study:
    before = s.merged[: s.merged.index(e.patient_id)] if e.patient_id in s.merged else s.merged
    return s.but(patient_id=e.patient_id, merged=before, priors=e.priors, priors_by=frozenset())


def _study_moved(s: Study, e: StudyMoved, _at: datetime) -> Study:
    settled = {Flag.PATIENT_MISMATCH}
    flags = s.flags - settled if s.ordered or not s.flags & settled else s.flags - settled | {Flag.NO_ORDER}
    return s.but(patient_id=e.patient_id, merged=(), priors=e.priors, priors_by=frozenset(), flags=flags)


def _priors(s: Study, e: PriorsCounted, _at: datetime) -> Study:
    return s.but(priors=e.priors)


def _flagged(s: Study, e: Flagged, _at: datetime) -> Study:
    return s.but(flags=s.flags | {e.flag})


def _dismissed(s: Study, e: FlagDismissed, _at: datetime) -> Study:
    return s.but(flags=s.flags - {e.flag})


def _offered(s: Study, e: Offered, _at: datetime) -> Study:
    offer = OpenOffer(e.offer_id, e.radiologist_id, e.expires_at, e.why, e.over_cap)
    return s.but(status=Status.OFFERED, offer=offer, granted=e.offer_id, over_cap=e.over_cap, sooner_than=None)


def _accepted(s: Study, e: Accepted, _at: datetime) -> Study:
    return s.but(status=Status.ASSIGNED, offer=None, assigned_to=e.radiologist_id)


def _asked(s: Study, radiologist_id: str, at: datetime) -> tuple[Asked, ...]:
    times = sum(a.times for a in s.asked if a.radiologist_id == radiologist_id)
    return (*(a for a in s.asked if a.radiologist_id != radiologist_id), Asked(radiologist_id, at, times + 1))


def _declined(s: Study, e: Declined, at: datetime) -> Study:
    excluded = s.excluded | {e.radiologist_id} if e.reason in EXCLUDING else s.excluded
    return pooled(s).but(asked=_asked(s, e.radiologist_id, at), excluded=excluded)


def _offer_expired(s: Study, e: OfferExpired, at: datetime) -> Study:
    return pooled(s).but(asked=_asked(s, e.radiologist_id, at))


def _assigned(s: Study, e: Assigned, _at: datetime) -> Study:
    return s.but(
        status=Status.ASSIGNED,
        offer=None,
        sooner_than=None,
        assigned_to=e.radiologist_id,
        reading_by=None,
        reading_since=None,
        lock=None,
        assigned_by=e.by,
        granted=e.offer_id,
        over_cap=e.over_cap,
    )


def _released(s: Study, e: Released, at: datetime) -> Study:
    sooner_than = e.radiologist_id if e.reason == SOONER else None
    return pooled(s).but(asked=_asked(s, e.radiologist_id, at), sooner_than=sooner_than)


def _lock(who: str, tab: str, at: datetime) -> Lock:
    return Lock(who, tab, at + timedelta(seconds=LEASE_S))


def _reading(s: Study, e: ReadingStarted, at: datetime) -> Study:
    lock = _lock(e.radiologist_id, e.tab, at)
    return s.but(status=Status.READING, reading_by=e.radiologist_id, reading_since=at, lock=lock)


def _locked(s: Study, e: LockTaken, at: datetime) -> Study:
    return s.but(lock=_lock(e.radiologist_id, e.tab, at))


def _lapsed(s: Study, _e: LockLapsed, _at: datetime) -> Study:
    return s.but(lock=None)


def _draft(s: Study, e: DraftSaved, at: datetime) -> Study:
    lock = s.lock
    if lock and lock.user_id == e.radiologist_id and lock.until - at < timedelta(seconds=LEASE_S / 2):
        lock = _lock(lock.user_id, lock.tab, at)
    head = ReportHead(e.report_id, s.draft_status, e.report_version)
    return s.but(report=head, lock=lock, wrote=s.wrote | {e.radiologist_id})


def _signed(s: Study, e: PrelimSigned | SecondSigned | FinalSigned, status: ReportStatus, at: datetime) -> Study:
    first = s.reading_since is not None and s.read_by is None
    opens = e.opens if isinstance(e, PrelimSigned) else None
    late = (opens is not None and opens.clock_last) or isinstance(e, SecondSigned)
    final = isinstance(e, FinalSigned) or (opens is not None and opens.kind is SecondKind.DOUBLE)
    return s.but(
        read_min=(at - s.reading_since).total_seconds() / 60 if first and s.reading_since else s.read_min,
        read_by=e.radiologist_id if first else s.read_by,
        reading_since=None,
        lock=None,
        offer=None,
        status=Status(status.value),
        report=ReportHead(e.report_id, status, e.report_version),
        reading_by=None,
        signed_by=e.radiologist_id,
        wrote=s.wrote | {e.radiologist_id},
        sla=s.sla if late or s.sla is None else sla.signed(s.sla, final=final),
    )


def _prelim(s: Study, e: PrelimSigned, at: datetime) -> Study:
    signed = _signed(s, e, ReportStatus.PRELIM, at).but(cosign=e.cosign)
    if e.opens is None:
        return signed
    reading = Reading(e.radiologist_id, e.report_id, e.report_version)
    cosigned = e.opens.kind is SecondKind.COSIGN
    second = opened(e.opens, reading, frozenset() if cosigned else signed.wrote, at, s.rev + 1)
    return pooled(signed).but(asked=(), second=second, report=signed.report if cosigned else None)


def _second(s: Study, e: SecondSigned, at: datetime) -> Study:
    reading = Reading(e.radiologist_id, e.report_id, e.report_version)
    second = s.second and replace(s.second, state=SecondState.COMPARE, readings=(*s.second.readings, reading))
    return _signed(s, e, ReportStatus.PRELIM, at).but(second=second)


def _settled(s: Study, e: Settled, at: datetime) -> Study:
    if s.second is None:
        return s
    if e.outcome is not Outcome.DISCORDANT:
        state = SecondState.AGREED if e.outcome is Outcome.AGREE else SecondState.DECIDED
        return pooled(s).but(status=Status.PRELIM, second=replace(s.second, state=state))
    second = replace(s.second, state=SecondState.DISCORDANT, since=at, barred=s.second.barred | s.wrote)
    if not second.adjudicate:  # nobody's to read: a manager chooses
        return pooled(s).but(status=Status.PRELIM, second=second)
    return pooled(s).but(asked=(), second=second, report=None)


def _final(s: Study, e: FinalSigned, at: datetime) -> Study:
    signed = _signed(s, e, ReportStatus.FINAL, at).but(cosign=False, assigned_to=e.radiologist_id)
    second = s.second
    if second is None or second.state in {SecondState.AGREED, SecondState.DECIDED}:
        return signed
    state = SecondState.DECIDED  # a third has read it, or the attending has changed the text
    if second.kind is SecondKind.COSIGN:
        reading = Reading(e.radiologist_id, e.report_id, e.report_version)
        untouched = e.report_version == second.readings[0].version + 1
        state = SecondState.AGREED if untouched else state
        second = replace(second, readings=(*second.readings, reading))
    return signed.but(second=replace(second, state=state))


def _addended(s: Study, e: Addended, _at: datetime) -> Study:
    report = ReportHead(e.report_id, ReportStatus.FINAL, e.report_version)
    return s.but(report=report, flags=s.flags - _AFTER_SIGN)


def _cancelled(s: Study, _e: Cancelled, _at: datetime) -> Study:
    return pooled(s).but(status=Status.CANCELLED, sla=s.sla and sla.stop(s.sla))


_CHANGES: dict[type[Event], Callable[[Study, Any, datetime], Study]] = {
    OrderReceived: _order_received,
    OrderMoved: _order_moved,
    FirstInstanceReceived: _first_instance,
    ImagesReceived: _images,
    ReadinessChanged: _readiness,
    StudyTriaged: _triaged,
    ClockStarted: _clock_started,
    SlaWarned: _warned,
    SlaBreached: _breached,
    ClockPaused: _paused,
    ClockResumed: _resumed,
    Escalated: _escalated,
    PriorityRaised: _raised,
    PatientCorrected: _corrected,
    PatientMerged: _merged,
    PatientUnmerged: _unmerged,
    StudyMoved: _study_moved,
    PriorsCounted: _priors,
    Flagged: _flagged,
    FlagDismissed: _dismissed,
    Offered: _offered,
    Accepted: _accepted,
    Declined: _declined,
    OfferExpired: _offer_expired,
    Assigned: _assigned,
    Released: _released,
    ReadingStarted: _reading,
    LockTaken: _locked,
    LockLapsed: _lapsed,
    DraftSaved: _draft,
    PrelimSigned: _prelim,
    SecondSigned: _second,
    Settled: _settled,
    FinalSigned: _final,
    Addended: _addended,
    Cancelled: _cancelled,
}
