"""What images bring to a study, and what a model says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.due import Sort
from actors.domain.errors import BadPayload, Forbidden, WrongStatus
from actors.domain.escalation import begun
from actors.domain.events import (
    FirstInstanceReceived,
    FlagDismissed,
    Flagged,
    ImagesReceived,
    ReadinessChanged,
    StudyTriaged,
)
from actors.domain.facts import Decision
from actors.domain.ordering import agrees, emptied, join, readiness, received
from actors.domain.words import Acuity, Flag, Priority, ReadinessState, Role, Status

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.commands import (
        DismissFlag,
        ImagesArrived,
        Order,
        RecordTriage,
    )
    from actors.domain.events import Event
    from actors.domain.facts import Facts
    from actors.domain.identity import Principal
    from actors.domain.study import Study

# (0040,1003) Requested Procedure Priority, PS3.3 C.4.11
_REQUESTED = {
    "STAT": Priority.STAT,
    "HIGH": Priority.URGENT,
    "ROUTINE": Priority.ROUTINE,
    "MEDIUM": Priority.ROUTINE,
    "LOW": Priority.ROUTINE,
}


def readiness_after(study: Study, command: ImagesArrived) -> ReadinessState:
    """Return the state of a study that has images once these have arrived; who was ready stays so by being quiet."""
    quiet = command.quiet or study.readiness.state is ReadinessState.READY
    return readiness(max(command.received, study.images), expected_after(study, command), quiet=quiet)


def expected_after(study: Study, command: ImagesArrived) -> int | None:
    """Return how many images there will be: as a performed step says, else as before."""
    return study.readiness.expected if command.expected is None else command.expected


def dismiss_flag(study: Study, command: DismissFlag, by: Principal | None) -> Decision:
    """A manager, or the signer, says that a flag is settled."""
    if by is not None and by.role is not Role.MANAGER and by.user_id != study.signed_by:
        raise Forbidden("Only a manager or the signer may dismiss a flag.")
    if command.flag not in {f.value for f in Flag}:
        raise BadPayload(f"flag is one of {', '.join(f.value for f in Flag)}.", {"field": "flag"})
    flag = Flag(command.flag)
    if flag not in study.flags:
        raise WrongStatus("The study does not carry this flag.", {"field": "flag"})
    return Decision([FlagDismissed(flag, command.reason)])


def images_arrived(study: Study, command: ImagesArrived, now: datetime, facts: Facts) -> Decision:
    """The first images of a study, more of them, or only the word that there will be some."""
    if study.images == command.received == 0:
        return _announced(study, command, now, facts)
    if study.images == 0:
        return _first(study, command, now, facts)
    events: list[Event] = []
    count = max(command.received, study.images)
    state, expected = readiness_after(study, command), expected_after(study, command)
    if (state, expected) != (study.readiness.state, study.readiness.expected):
        events.append(ReadinessChanged(state, count, expected))
    elif count > study.images:
        events.append(ImagesReceived(count))
    if count > study.images and study.signed and Flag.IMAGES_AFTER_SIGN not in study.flags:
        events.append(Flagged(Flag.IMAGES_AFTER_SIGN))
    if command.conflict and Flag.UID_CONFLICT not in study.flags:
        events.append(Flagged(Flag.UID_CONFLICT))
    if command.damaged and Flag.IMAGE_DAMAGED not in study.flags:
        events.append(Flagged(Flag.IMAGE_DAMAGED))
    if not study.ordered and facts.order and facts.patient and agrees(facts.order.patient, facts.patient):
        joined = join(study, facts.order, now, facts, by_person=False)
        return Decision([*events, *joined.events], patient=joined.patient, order=joined.order, moved=joined.moved)
    if study.sla is None and study.status is not Status.CANCELLED and not study.signed:
        sort = Sort(study.priority, study.modality, study.setting)
        events += begun(study, facts, sort, now, exam=True, state=state)
    return Decision(events)


def _announced(study: Study, command: ImagesArrived, now: datetime, facts: Facts) -> Decision:
    """The exam of an order is over: it has so many images, none of which is here, and the patient waits."""
    if command.expected is None or not study.ordered or study.status is not Status.ORDERED:
        return Decision()
    events: list[Event] = []
    if command.expected != study.readiness.expected:
        events.append(ReadinessChanged(ReadinessState.UNREADY, 0, command.expected))
    if study.sla is None:
        sort = Sort(study.priority, study.modality, study.setting)
        events += begun(study, facts, sort, now, exam=True, state=ReadinessState.UNREADY)
    return Decision(events)


def _first(study: Study, command: ImagesArrived, now: datetime, facts: Facts) -> Decision:
    priority = _REQUESTED.get(command.priority.strip().upper(), Priority.URGENT)
    own = study.ordered  # the order was minted or sent with this very UID
    matched = own and facts.patient is not None and agrees(facts.patient, command.patient)
    order = None if own else facts.order
    joins = order is not None and agrees(order.patient, command.patient)
    patient = facts.patient if matched else command.patient
    events: list[Event] = [
        FirstInstanceReceived(
            command.site_id,
            patient.patient_id if patient else "",
            command.received,
            command.accession_number,
            command.modality,
            command.body_part,
            command.laterality,
            command.procedure,
            study.priority if own else priority,
            facts.priors,
            command.setting,
            facts.priors_by,
        )
    ]
    expected = study.readiness.expected
    moved = None
    if joins and order is not None:
        events.append(received(order, joined=True))
        expected, patient, priority = order.expected_instances, order.patient, order.priority
        moved = emptied(study, facts)
    elif own and not matched:
        events.append(Flagged(Flag.PATIENT_MISMATCH))
    elif not own:
        events.append(Flagged(Flag.PATIENT_MISMATCH if order is not None else Flag.NO_ORDER))
    if command.apart or command.conflict:
        events.append(Flagged(Flag.UID_CONFLICT))
    expected = expected if command.expected is None else command.expected
    state = readiness(command.received, expected, quiet=command.quiet)
    events.append(ReadinessChanged(state, command.received, expected))
    if study.sla is None:  # else it runs since the exam was over, or the order came
        named: Order | Study = order if joins and order else study
        modality, setting = named.modality or command.modality, named.setting or command.setting
        sort = Sort(study.priority if own else priority, modality, setting)
        events += begun(study, facts, sort, now, exam=True, state=state, moved=moved)
    return Decision(events, patient=patient, order=order if joins else None, moved=moved)


def record_triage(study: Study, command: RecordTriage) -> Decision:
    """A model's result; it may raise the acuity and never lowers it."""
    if study.rev == 0 or study.status is Status.CANCELLED:
        raise WrongStatus("There is nothing to triage.")
    ladder = list(Acuity)
    said = Acuity(command.acuity)
    acuity = max(study.acuity, said, key=ladder.index)
    event = StudyTriaged(command.model, command.version, command.status, command.headline, acuity, command.measures)
    same = any(
        (r.model, r.version, r.status, r.headline, r.measures)
        == (event.model, event.version, event.status, event.headline, event.measures)
        for r in study.ai
    )
    return Decision([] if same and acuity is study.acuity else [event])
