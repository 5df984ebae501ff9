"""From the offer to the draft: who may take a study, who has it, and what she writes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from actors.domain.errors import (
    AlreadyTaken,
    BadPayload,
    Forbidden,
    NotAssigned,
    NotEligible,
    NotFound,
    OfferExpired,
    Retry,
    StaleVersion,
    WrongStatus,
)
from actors.domain.events import (
    Accepted,
    Assigned,
    Declined,
    DraftSaved,
    LockTaken,
    Offered,
    ReadingStarted,
    Released,
)
from actors.domain.facts import Decision
from actors.domain.study import LIVE
from actors.domain.unit import ReportWrite
from actors.domain.words import Role, Status

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.commands import (
        Accept,
        Assign,
        Claim,
        Decline,
        Grant,
        Offer,
        Recall,
        Release,
        SaveDraft,
        StartReading,
    )
    from actors.domain.facts import Facts
    from actors.domain.identity import Principal
    from actors.domain.study import Study

OWNED = frozenset({Status.ASSIGNED, Status.READING, Status.PRELIM})
OFF = "You are off: set your presence first."
ATTENDING = "Only an attending reads what has been signed before."
SECTIONS = ("technique", "comparison", "findings", "impression")


def known(study: Study) -> None:
    """Refuse what there is no study for."""
    if study.rev == 0 or study.moved_to is not None:
        raise NotFound


def _granted(study: Study, grant: Grant) -> bool:
    """Whether this very grant was committed before: answered, not repeated."""
    return study.granted == grant.offer_id and study.status in LIVE


def offer(study: Study, command: Offer, now: datetime) -> Decision:
    """The decider offers the study to a reader."""
    grant = command.grant
    if _granted(study, grant):
        return Decision()
    _free(study, grant)
    expires_at = now + timedelta(seconds=command.open_s)
    event = Offered(grant.radiologist_id, grant.offer_id, expires_at, command.why, grant.over_cap, grant.epoch)
    return Decision([event], {"offer_id": grant.offer_id})


def _free(study: Study, grant: Grant) -> None:
    known(study)
    if study.status is not Status.UNREAD or study.step != grant.step:
        raise WrongStatus(f"The study is {study.shown.value} at step {study.step}.")
    if grant.radiologist_id in study.excluded:
        raise NotEligible("She has excluded herself from this study.", {"why": "excluded"})
    _another(study, grant.radiologist_id)


def _another(study: Study, radiologist_id: str) -> None:
    """Nobody reads a study twice, whoever says so."""
    if radiologist_id in study.barred:
        raise NotEligible("She has read this study before.", {"why": "has read this study before"})


def claim(study: Study, command: Claim) -> Decision:
    """The decider gives the study to who asked for the next case."""
    grant = command.grant
    if _granted(study, grant):
        return Decision()
    _free(study, grant)
    return Decision([Assigned(grant.radiologist_id, grant.offer_id, "next_case", "", grant.over_cap, grant.epoch)])


def assign(study: Study, command: Assign, by: Principal | None) -> Decision:
    """A manager gives the study to a reader; it may end an offer, or take it from another."""
    grant = command.grant
    if _granted(study, grant):
        return Decision()
    known(study)
    if study.status not in (Status.UNREAD, *LIVE):
        raise WrongStatus(f"The study is {study.shown.value}: it cannot be assigned.")
    if study.step != grant.step:
        raise StaleVersion(fields={"by": study.assigned_by} if study.assigned_by else {})
    _another(study, grant.radiologist_id)
    if command.late:
        raise Retry("Another manager is giving it to somebody.")
    if study.status is Status.READING and not command.reason.strip():
        raise BadPayload("Somebody is reading it: give a reason.", {"field": "reason"})
    event = Assigned(
        grant.radiologist_id,
        grant.offer_id,
        "manager",
        command.reason,
        grant.over_cap,
        grant.epoch,
        by.user_id if by else None,
    )
    return Decision([event])


def recall(study: Study, command: Recall) -> Decision:
    """The decider takes back what its reader has not begun, or has left; too late, it does nothing."""
    gone = command.begun and study.status is Status.READING and study.lock is None
    begun = study.status not in (Status.OFFERED, Status.ASSIGNED) and not gone
    if begun or study.step != command.step or study.reader is None:
        return Decision()
    return Decision([Released(study.reader, command.reason)])


def accept(study: Study, command: Accept, by: Principal, now: datetime) -> Decision:
    """The addressee accepts; tabs and retries of hers are answered alike."""
    known(study)
    mine = _open_offer(study, command.offer_id, by)
    if mine is not None:
        if now > mine:
            raise OfferExpired
        if study.second is not None and by.role is not Role.RADIOLOGIST:
            raise NotEligible(ATTENDING, {"why": "does not sign final reports"})
        return Decision([Accepted(by.user_id, command.offer_id)])
    if study.assigned_to == by.user_id and study.status in OWNED and study.granted == command.offer_id:
        return Decision()
    if study.assigned_to is not None and study.assigned_to != by.user_id and study.granted == command.offer_id:
        raise AlreadyTaken(fields={"by": study.assigned_to})
    if study.assigned_to is not None and study.assigned_to != by.user_id and study.status in OWNED:
        raise AlreadyTaken(fields={"by": study.assigned_to})
    raise OfferExpired


def _open_offer(study: Study, offer_id: str, by: Principal) -> datetime | None:
    """Return when the caller's open offer expires, None when it is not open."""
    if study.offer is None or study.offer.offer_id != offer_id:
        return None
    if study.offer.radiologist_id != by.user_id:
        raise Forbidden("This offer was made to somebody else.")
    return study.offer.expires_at


def decline(study: Study, command: Decline, by: Principal) -> Decision:
    """The addressee declines, with a reason."""
    known(study)
    if _open_offer(study, command.offer_id, by) is None:
        raise OfferExpired
    return Decision([Declined(by.user_id, command.offer_id, command.reason, command.note)])


def settling(study: Study) -> bool:
    """Whether both have signed, and it is not settled yet which report stands."""
    return study.second is not None and study.status is Status.PRELIM


def _owner(study: Study, by: Principal) -> None:
    known(study)
    if study.assigned_to != by.user_id:
        raise NotAssigned(fields={"by": study.assigned_to})


def start_reading(study: Study, command: StartReading, by: Principal) -> Decision:
    """The owner opens the study; in another tab, or after her lock lapsed, the lock is that tab's."""
    _owner(study, by)
    if study.status is Status.READING:
        moved = study.lock is None or (command.tab and command.tab != study.lock.tab)
        return Decision([LockTaken(by.user_id, command.tab)] if moved else [])
    if study.status is Status.PRELIM:
        return Decision()
    if study.status is not Status.ASSIGNED:
        raise WrongStatus(f"The study is {study.shown.value}.")
    return Decision([ReadingStarted(by.user_id, command.tab)])


def release(study: Study, command: Release, by: Principal) -> Decision:
    """The owner, or a manager, gives the study back to the pool."""
    known(study)
    if by.role is not Role.MANAGER and study.assigned_to != by.user_id:
        raise NotAssigned(fields={"by": study.assigned_to})
    if study.status not in (Status.ASSIGNED, Status.READING) or study.assigned_to is None:
        raise WrongStatus(f"The study is {study.shown.value}: there is nothing to give back.")
    return Decision([Released(study.assigned_to, command.reason)])


def newer(study: Study, facts: Facts) -> StaleVersion:
    """The refusal that shows the newer draft."""
    return StaleVersion(
        "There is a newer draft.",
        {
            "report_version": study.report.version if study.report else 0,
            "sections": facts.draft.sections if facts.draft else {},
            "by": facts.draft.by if facts.draft else None,
        },
    )


def save_draft(study: Study, command: SaveDraft, by: Principal, now: datetime, facts: Facts) -> Decision:
    """The owner saves her text."""
    _owner(study, by)
    if study.status not in OWNED or settling(study):
        raise WrongStatus(f"The report is {study.shown.value}: it can no longer be edited.")
    unknown = set(command.sections) - set(SECTIONS)
    if unknown:
        raise BadPayload(f"A report has the sections {', '.join(SECTIONS)}.", {"field": "sections"})
    held = study.report.version if study.report else 0
    if command.base_version != held:
        raise newer(study, facts)
    report_id = study.report.report_id if study.report else facts.new_id
    sections = {name: command.sections.get(name, "") for name in SECTIONS}
    written = ReportWrite(
        report_id, study.study_uid, study.site_id, study.draft_status.value, held + 1, sections, by.user_id, now
    )
    lapsed = study.status is Status.READING and study.lock is None
    return Decision(
        [*([LockTaken(by.user_id)] if lapsed else []), DraftSaved(report_id, held + 1, by.user_id)],
        {"report_id": report_id, "report_version": held + 1},
        reports=[written],
    )
