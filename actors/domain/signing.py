"""The signature: who signs, what it opens, and which of two readings stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.double import cosign, double, same_text
from actors.domain.errors import BadPayload, ConfirmNeeded, Forbidden, NotAssigned, StaleVersion, WrongStatus
from actors.domain.events import Addended, FinalSigned, PrelimSigned, SecondSigned, Settled
from actors.domain.facts import Decision
from actors.domain.reading import OWNED, known, newer, settling
from actors.domain.second import Outcome, SecondKind, SecondState
from actors.domain.unit import ReportWrite
from actors.domain.words import ReportStatus, Role, SignKind, Status

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.commands import Settle, Sign
    from actors.domain.events import Event
    from actors.domain.facts import Facts
    from actors.domain.identity import Principal
    from actors.domain.second import Opening, Second
    from actors.domain.study import ReportHead, Study

_UNHELD = frozenset({Status.PRELIM, Status.UNREAD, Status.OFFERED})


def sign(study: Study, command: Sign, by: Principal, now: datetime, facts: Facts) -> Decision:
    """The owner signs the saved draft; a resident prelim only, an attending co-signs."""
    if by.role is Role.RESIDENT and command.kind is not SignKind.PRELIM:
        raise Forbidden("A resident signs prelim; an attending signs final.")
    known(study)
    if command.kind is SignKind.ADDENDUM:
        return _addendum(study, command, by, now, facts)
    report = _signable(study, command, by, facts)
    if study.readiness.missing and not command.confirm:
        raise ConfirmNeeded(fields={"received": study.readiness.received, "expected": study.readiness.expected})
    version, seen = report.version + 1, (study.readiness.received, study.readiness.expected)
    extra = {"report_id": report.report_id, "report_version": version}
    second = study.second
    if second is not None and second.kind is SecondKind.DOUBLE and second.state is SecondState.WAITING:
        return _second(study, second, SecondSigned(report.report_id, version, by.user_id, *seen), now, facts)
    opens = _opens(study, command, by, facts)
    event: Event
    if command.kind is SignKind.PRELIM or opens is not None:
        resident = by.role is Role.RESIDENT
        event = PrelimSigned(report.report_id, version, by.user_id, *seen, cosign=resident, opens=opens)
    else:
        event = FinalSigned(report.report_id, version, by.user_id, *seen)
    return Decision([event], extra, reports=[_written(study, event, by.user_id, now)])


def _signable(study: Study, command: Sign, by: Principal, facts: Facts) -> ReportHead:
    """Return the draft that is signed, if this person may sign it now."""
    mine = study.assigned_to == by.user_id
    cosigns = study.cosign and study.status in _UNHELD and by.role is Role.RADIOLOGIST
    if (not mine and not cosigns) or by.user_id in study.barred:
        raise NotAssigned(fields={"by": study.assigned_to})
    signable = {Status.ASSIGNED, Status.READING} if command.kind is SignKind.PRELIM else {*OWNED}
    if cosigns and command.kind is SignKind.FINAL:
        signable |= _UNHELD
    if study.status not in signable or settling(study):
        raise WrongStatus(f"The study is {study.shown.value}: it cannot be signed {command.kind.value}.")
    if study.second is not None and command.kind is SignKind.PRELIM:
        raise WrongStatus("What has been signed before is signed final.")
    if study.report is None:
        raise WrongStatus("There is no report yet: save a draft first.")
    if command.report_version != study.report.version:
        raise newer(study, facts)
    # Who co-signs without an offer is not made stale by the offers that go out meanwhile: the report is what she saw.
    since = study.second.rev if study.second and not mine else study.step
    if command.version is not None and not since <= command.version <= study.step:
        raise StaleVersion
    return study.report


def _opens(study: Study, command: Sign, by: Principal, facts: Facts) -> Opening | None:
    """Return which further reading the signature opens, under the policy of this moment."""
    policy = facts.policy.second_reads
    if command.kind is SignKind.PRELIM:
        return cosign(policy, by.user_id) if by.role is Role.RESIDENT else None
    once = study.second is None or study.second.kind is SecondKind.COSIGN
    return double(policy, study) if once else None


def _second(study: Study, second: Second, event: SecondSigned, now: datetime, facts: Facts) -> Decision:
    """Both have signed; texts that are the same need nobody to compare them."""
    extra = {"report_id": event.report_id, "report_version": event.report_version}
    own = _written(study, event, event.radiologist_id, now)
    if facts.texts is None or not same_text(*facts.texts):
        return Decision([event], extra, reports=[own])
    first = second.readings[0]
    final = FinalSigned(first.report_id, first.version + 1, event.radiologist_id, event.received, event.expected)
    settled = Settled(Outcome.AGREE, same=True)
    stands = _written(study, final, event.radiologist_id, now)
    return Decision([event, settled, final], extra, reports=[own, stands])


def settle(study: Study, command: Settle, by: Principal, now: datetime) -> Decision:
    """The second reader says whether the readings agree; a manager may also say which of them stands."""
    known(study)
    second = study.second
    if second is None or second.state not in {SecondState.COMPARE, SecondState.DISCORDANT}:
        raise WrongStatus("There are no two signed readings to compare.")
    manager = by.role is Role.MANAGER
    if not manager and (second.state is SecondState.DISCORDANT or study.assigned_to != by.user_id):
        raise NotAssigned(fields={"by": study.assigned_to})
    if not manager and command.outcome in {Outcome.FIRST, Outcome.SECOND}:
        raise Forbidden("A manager or a third reader decides which reading stands.")
    if command.version != study.step:
        raise StaleVersion
    if second.state is SecondState.DISCORDANT and command.outcome in {Outcome.AGREE, Outcome.DISCORDANT}:
        raise WrongStatus("They are found to differ: say which of them stands, first or second.")
    if study.status is Status.READING:
        raise WrongStatus("A third reader is reading it: take it back first.")
    settled = Settled(command.outcome, command.note)
    if command.outcome is Outcome.DISCORDANT:
        return Decision([settled])
    stands = second.readings[1 if command.outcome is Outcome.SECOND else 0]
    signer = second.readings[0 if command.outcome is Outcome.FIRST else 1].radiologist_id
    final = FinalSigned(
        stands.report_id, stands.version + 1, signer, study.readiness.received, study.readiness.expected
    )
    extra = {"report_id": final.report_id, "report_version": final.report_version}
    return Decision([settled, final], extra, reports=[_written(study, final, signer, now)])


def _written(study: Study, event: PrelimSigned | SecondSigned | FinalSigned, signer: str, now: datetime) -> ReportWrite:
    """Return the report as it is signed, with the text of the version before."""
    status = ReportStatus.FINAL if isinstance(event, FinalSigned) else ReportStatus.PRELIM
    return ReportWrite(
        event.report_id,
        study.study_uid,
        study.site_id,
        status.value,
        event.report_version,
        None,
        signer,
        now,
        signed=True,
    )


def _addendum(study: Study, command: Sign, by: Principal, now: datetime, facts: Facts) -> Decision:
    if study.status is not Status.FINAL or study.report is None:
        raise WrongStatus(f"The study is {study.shown.value}: only a final report takes an addendum.")
    if not command.text.strip():
        raise BadPayload("An addendum needs a text.", {"field": "text"})
    if command.report_version not in (0, study.report.version):
        raise newer(study, facts)
    report_id, version = study.report.report_id, study.report.version + 1
    written = ReportWrite(
        report_id,
        study.study_uid,
        study.site_id,
        ReportStatus.FINAL.value,
        version,
        None,
        by.user_id,
        now,
        addendum=command.text,
    )
    return Decision(
        [Addended(report_id, version, by.user_id)],
        {"report_id": report_id, "report_version": version},
        reports=[written],
    )
