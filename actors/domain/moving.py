"""Late demographics: a patient's number is another's, or a study belongs elsewhere than it stands.

Merges follow HL7 ADT^A40, moves of a study ADT^A45. Images and reports keep their UIDs and ids, so no link breaks;
who had signed is told by a flag. Nothing is guessed: where sex or birth date contradict, a person says so with
``confirm``. A merge can be undone as long as the surviving number was not itself given up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from actors.domain import ordering
from actors.domain.errors import BadPayload, ConfirmNeeded, Forbidden, NotFound, StaleVersion, WrongStatus
from actors.domain.events import Flagged
from actors.domain.facts import Decision, Other
from actors.domain.whose import PatientMerged, PatientUnmerged, PriorsCounted, StudyMoved
from actors.domain.words import Flag, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from actors.domain.commands import MergePatient, MoveStudy, Patient, UnmergePatient
    from actors.domain.events import Event
    from actors.domain.facts import Facts
    from actors.domain.identity import Principal
    from actors.domain.study import Study


def contradictions(a: Patient | None, b: Patient | None) -> tuple[str, ...]:
    """Return which of sex and birth date are known of both and differ."""
    if a is None or b is None:
        return ()
    return tuple(f for f in ("birth_date", "sex") if getattr(a, f) and getattr(b, f) and getattr(a, f) != getattr(b, f))


def _confirmed(a: Patient | None, b: Patient | None, *, confirm: bool) -> None:
    differ = contradictions(a, b)
    if differ and not confirm:
        said = " and ".join(f.replace("_", " ") for f in differ)
        raise ConfirmNeeded(
            f"They differ in {said}. Say with confirm that they are one all the same.",
            {"field": "confirm", "differ": list(differ)},
        )


def _reasoned(reason: str) -> None:
    if not reason.strip():
        raise BadPayload("Give a reason.", {"field": "reason"})


def _allowed(by: Principal | None, studies: Iterable[Study]) -> None:
    """Refuse one whose sites are not all of the patient's."""
    if by is not None and not all(by.sees(study.site_id) for study in studies):
        raise Forbidden("The patient has studies at other sites: an admin of the group may do this.")


def _number(patient: Patient) -> dict[str, str]:
    return {"patient_id": patient.patient_id, "mrn": patient.mrn, "issuer": patient.issuer}


def _priors(studies: Sequence[Study]) -> dict[str, int]:
    """Return how many others with images each study of one patient has."""
    stored = sum(1 for study in studies if study.images)
    return {study.study_uid: stored - bool(study.images) for study in studies}


def _recounted(studies: Sequence[tuple[Study, str]], priors: dict[str, int], patient: Patient | None) -> list[Other]:
    return [
        Other(study, site, [PriorsCounted(priors[study.study_uid])], patient)
        for study, site in studies
        if study.images and study.priors != priors[study.study_uid]
    ]


def _flags(study: Study) -> list[Event]:
    """What the signer must hear: the report says another patient than the study now."""
    late = study.signed and Flag.PATIENT_AFTER_SIGN not in study.flags
    return [Flagged(Flag.PATIENT_AFTER_SIGN)] if late else []


def _each(
    kind: type[PatientMerged | PatientUnmerged], study: Study, to: Patient, reason: str, priors: dict[str, int]
) -> list[Event]:
    return [kind(to.patient_id, study.patient_id, reason, priors[study.study_uid]), *_flags(study)]


def merge(study: Study, command: MergePatient, by: Principal | None, facts: Facts) -> Decision:
    """Give every study of a patient to another, in one commit; the one that is told stands for all."""
    if study.patient_id != command.patient_id or study.moved_to or study.rev == 0:
        raise NotFound
    _reasoned(command.reason)
    into = facts.known or replace(facts.patient or command.into, **_number(command.into))
    if into.patient_id == study.patient_id:
        raise BadPayload("These are one already.", {"field": "into"})
    _allowed(by, [study, *(s for s, _ in (*facts.left, *facts.there))])
    _confirmed(facts.patient, into, confirm=command.confirm)
    priors = _priors([study, *(s for s, _ in (*facts.left, *facts.there))])
    others = [Other(s, site, _each(PatientMerged, s, into, command.reason, priors), into) for s, site in facts.left]
    return Decision(
        _each(PatientMerged, study, into, command.reason, priors),
        extra={"merged": [study.study_uid, *(s.study_uid for s, _ in facts.left)]},
        patient=into,
        others=[*others, *_recounted(facts.there, priors, into)],
        merges=[(command.patient_id, into.patient_id)],
    )


def unmerge(study: Study, command: UnmergePatient, by: Principal | None, facts: Facts) -> Decision:
    """Undo a merge: what stood under the number, and what has come under it since, is hers again.

    ``facts.left`` are the surviving patient's other studies, ``facts.known`` is who gets hers back. Images that came
    under the number to an order of the survivor's stay there, flagged for a person to look at.
    """
    hers = facts.known
    if study.rev == 0 or hers is None:
        raise NotFound
    _reasoned(command.reason)
    every = [(study, facts.site_name), *facts.left]
    if any(command.patient_id in s.merged[:-1] for s, _ in every):
        raise WrongStatus("The surviving number was itself given up since: undo that merge first.")
    if not any(_back(s, command.patient_id, facts) for s, _ in every):
        raise WrongStatus("No study of this number's is left to give back.")
    _allowed(by, (s for s, _ in every))
    back = [s for s, _ in every if _back(s, command.patient_id, facts)]
    priors = _priors(back) | _priors([s for s, _ in every if s not in back])
    decided = {s.study_uid: _undone(s, back, hers, command, facts, priors) for s, _ in every}
    others = [
        Other(s, site, decided[s.study_uid], hers if s in back else facts.patient)
        for s, site in facts.left
        if decided[s.study_uid]
    ]
    return Decision(
        decided[study.study_uid],
        extra={"merged": [s.study_uid for s in back]},
        patient=hers if study in back else None,
        others=others,
        merges=[(command.patient_id, None)],
    )


def _back(study: Study, patient_id: str, facts: Facts) -> bool:
    return patient_id in study.merged or (study.study_uid in facts.apart and not study.ordered)


def _undone(  # noqa: PLR0913, PLR0917 - what is known of the whole group
    study: Study, back: Sequence[Study], hers: Patient, command: UnmergePatient, facts: Facts, priors: dict[str, int]
) -> list[Event]:
    if study in back:
        return _each(PatientUnmerged, study, hers, command.reason, priors)
    events: list[Event] = []
    if study.images and study.priors != priors[study.study_uid]:
        events.append(PriorsCounted(priors[study.study_uid]))
    if study.study_uid in facts.apart and Flag.PATIENT_MISMATCH not in study.flags:
        events.append(Flagged(Flag.PATIENT_MISMATCH))
    return events


def move(study: Study, command: MoveStudy, by: Principal | None, now: datetime, facts: Facts) -> Decision:
    """Take images and report to another order, or the whole study with its order to another patient."""
    if study.rev == 0 or study.moved_to or study.status is Status.CANCELLED:
        raise WrongStatus("There is no study here to move.")
    _reasoned(command.reason)
    if bool(command.accession_number) == bool(command.patient_id):
        raise BadPayload("Name an order or a patient.", {"field": "accession_number"})
    if command.version != study.step:
        raise StaleVersion
    _allowed(by, (s for s, _ in facts.there))
    return _to_order(study, command, by, now, facts) if command.accession_number else _to_patient(study, command, facts)


def _recount(study: Study, to: Patient, facts: Facts) -> tuple[int, list[Other]]:
    """Return the study's priors where it comes to, and what both patients' other studies hear."""
    if to.patient_id == study.patient_id:
        return study.priors, []
    there = _priors([study, *(s for s, _ in facts.there)])
    left = _priors([s for s, _ in facts.left])
    others = [*_recounted(facts.there, there, to), *_recounted(facts.left, left, facts.patient)]
    return there[study.study_uid], others


def _to_patient(study: Study, command: MoveStudy, facts: Facts) -> Decision:
    to = facts.known
    if to is None:
        raise NotFound("Nobody is known under this number. Place an order for her, and move the study to that.")
    if to.patient_id == study.patient_id:
        return Decision()
    _confirmed(facts.patient, to, confirm=command.confirm)
    priors, others = _recount(study, to, facts)
    order = facts.own_order and replace(facts.own_order, patient=to)
    events = [StudyMoved(to.patient_id, study.patient_id, command.reason, priors), *_flags(study)]
    return Decision(events, patient=to, order=order, others=others)


def _to_order(study: Study, command: MoveStudy, by: Principal | None, now: datetime, facts: Facts) -> Decision:
    if study.ordered and study.accession_number == command.accession_number:
        return Decision()
    if not study.images:
        raise WrongStatus("Only a study with images can be moved to an order.")
    order, minted = facts.order, facts.minted
    if order is None:
        raise NotFound("There is no such order at this site.", {"field": "accession_number"})
    if minted is not None and minted.images and minted.study_uid != study.study_uid:
        raise WrongStatus("That order has images of its own.", {"field": "accession_number"})
    _confirmed(facts.patient, order.patient, confirm=command.confirm)
    to = order.patient
    others = [o for o in facts.there if minted is None or o[0].study_uid != minted.study_uid]
    facts = replace(facts, there=others)
    priors, told = _recount(study, to, facts)
    joined = ordering.join(study, order, now, facts, by_person=by is not None)
    events = [StudyMoved(to.patient_id, study.patient_id, command.reason, priors), *joined.events]
    if to.patient_id != study.patient_id:
        events += _flags(study)
    returned = (facts.own_order, facts.own_home) if study.ordered and facts.own_order and facts.own_home else None
    return replace(joined, events=events, patient=to, others=told, returned=returned)
