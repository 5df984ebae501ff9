"""What a command to a study causes, or why it is refused: one branch a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain import arrival, escalation, moving, ordering, reading, signing
from actors.domain.commands import (
    Accept,
    Assign,
    CancelOrder,
    Claim,
    Decline,
    DismissFlag,
    FireTimer,
    ImagesArrived,
    JoinOrder,
    MergePatient,
    MoveStudy,
    Offer,
    PauseClock,
    Recall,
    ReceiveOrder,
    RecordTriage,
    Release,
    ResumeClock,
    SaveDraft,
    Settle,
    Sign,
    StartReading,
    UnmergePatient,
)
from actors.domain.errors import BadPayload, Forbidden, NotEligible, NotFound, StaleVersion
from actors.domain.events import LockLapsed, OfferExpired
from actors.domain.facts import Decision
from actors.domain.words import Presence, Status

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.commands import StudyCommand
    from actors.domain.facts import Facts
    from actors.domain.identity import Principal
    from actors.domain.study import Study

OFFER, LOCK = "offer", "lock"


def decide(  # noqa: C901, PLR0911, PLR0912 - one line a command
    study: Study, command: StudyCommand, by: Principal | None, now: datetime, facts: Facts
) -> Decision:
    """Return what the command causes; no events when it changes nothing.

    Raises:
        ReadingRoomError: the refusal; nothing happens.
    """
    match command:
        case ReceiveOrder():
            return ordering.receive_order(study, command, now, facts)
        case ImagesArrived():
            return arrival.images_arrived(study, command, now, facts)
        case RecordTriage():
            return arrival.record_triage(study, command)
        case FireTimer():
            return _timer(study, command, now, facts)
        case Offer():
            return reading.offer(study, command, now)
        case Claim():
            return reading.claim(study, command)
        case Assign():
            return reading.assign(study, command, by)
        case Recall():
            return reading.recall(study, command)
        case JoinOrder():
            return ordering.join_order(study, command, by, now, facts)
        case CancelOrder():
            return ordering.cancel_order(study, command, facts)
        case DismissFlag():
            return arrival.dismiss_flag(study, command, by)
        case MergePatient():
            return moving.merge(study, command, by, facts)
        case UnmergePatient():
            return moving.unmerge(study, command, by, facts)
        case MoveStudy():
            return moving.move(study, command, by, now, facts)
        case PauseClock() | ResumeClock():
            return _clock(study, command, now, facts)
        case _ if by is None:
            raise Forbidden("Only a person may do this.")
        case Accept():
            return _present(reading.accept(study, command, by, now), facts)
        case Decline():
            return _present(reading.decline(study, command, by), facts)
        case StartReading():
            return _present(reading.start_reading(study, command, by), facts)
        case Release():
            return reading.release(study, command, by)
        case SaveDraft():
            return _present(reading.save_draft(study, command, by, now, facts), facts)
        case Sign():
            return signing.sign(study, command, by, now, facts)
        case Settle():
            return signing.settle(study, command, by, now)
    raise BadPayload("A study knows no such command.")


def _present(decision: Decision, facts: Facts) -> Decision:
    """Refuse what would take effect for one who is off; every other refusal has gone before."""
    if facts.presence is Presence.OFF and decision.events:
        raise NotEligible(reading.OFF, {"why": "presence is off"})
    return decision


def _timer(study: Study, command: FireTimer, now: datetime, facts: Facts) -> Decision:
    """An offer's timer matches the step, a clock's its due time; otherwise it is too late and does nothing."""
    if command.name == LOCK:
        held = study.lock
        return Decision([LockLapsed(held.user_id)] if held and held.until == command.due_at else [])
    if command.name != OFFER:
        return escalation.fire(study, command.name, command.due_at, now, facts)
    if study.status is not Status.OFFERED or study.offer is None or study.step != command.version:
        return Decision()
    return Decision([OfferExpired(study.offer.radiologist_id, study.offer.offer_id)])


def _clock(study: Study, command: PauseClock | ResumeClock, now: datetime, facts: Facts) -> Decision:
    if study.rev == 0:
        raise NotFound
    if command.version != study.step:
        raise StaleVersion
    if not command.reason.strip():
        raise BadPayload("Give a reason.", {"field": "reason"})
    change = escalation.pause if isinstance(command, PauseClock) else escalation.resume
    return change(study, command.reason, now, facts)
