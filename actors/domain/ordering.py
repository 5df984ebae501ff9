"""How orders and images become one study: joined by issuer, accession number, patient number and birth date.

Never guessed: what does not agree stays readable and stands on the *unmatched* list, and what comes
after the signature raises a flag instead of changing what was read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from actors.domain import correction
from actors.domain.due import Sort
from actors.domain.errors import NotFound, StaleVersion, WrongStatus
from actors.domain.escalation import begun
from actors.domain.events import (
    Cancelled,
    Flagged,
    OrderReceived,
    ReadinessChanged,
)
from actors.domain.facts import Decision
from actors.domain.patient import same_patient
from actors.domain.words import Flag, ReadinessState, Status

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.commands import (
        CancelOrder,
        JoinOrder,
        Order,
        Patient,
        ReceiveOrder,
    )
    from actors.domain.events import Event
    from actors.domain.facts import Facts
    from actors.domain.identity import Principal
    from actors.domain.study import Study


def agrees(order: Patient, images: Patient) -> bool:
    """Whether order and images name one patient: issuer, number and birth date are equal, nothing contradicts."""
    return same_patient(order, images) and order.birth_date == images.birth_date


def readiness(images: int, expected: int | None, *, quiet: bool) -> ReadinessState:
    """Return the state for so many images: all that were announced, else what a quiet sender has sent."""
    if images == 0:
        return ReadinessState.UNREADY
    whole = images >= expected if expected is not None else quiet
    return ReadinessState.READY if whole else ReadinessState.INCOMPLETE


def received(order: Order, *, joined: bool = False) -> OrderReceived:
    """Return the event of an order."""
    return OrderReceived(
        order.site_id,
        order.accession_number,
        order.patient.patient_id,
        order.priority,
        order.procedure,
        order.modality,
        order.body_part,
        order.laterality,
        order.referring,
        order.expected_instances,
        joined,
        order.setting,
    )


def _sort(study: Study, order: Order) -> Sort:
    """Return what the study's clock depends on once the order has come."""
    return Sort(order.priority, order.modality or study.modality, order.setting or study.setting)


def _state(study: Study, events: list[Event]) -> ReadinessState:
    """Return the readiness once these have happened."""
    news = [e.state for e in events if isinstance(e, ReadinessChanged)]
    return news[-1] if news else study.readiness.state


def _ready_again(study: Study, expected: int | None) -> list[Event]:
    """Readiness after the expected number has become known."""
    if not study.images:
        return []
    quiet = study.readiness.state is ReadinessState.READY
    state = readiness(study.images, expected, quiet=quiet)
    if (state, expected) == (study.readiness.state, study.readiness.expected):
        return []
    return [ReadinessChanged(state, study.images, expected)]


def receive_order(study: Study, command: ReceiveOrder, now: datetime, facts: Facts) -> Decision:
    """A new order, a changed one, or one for images that are here already."""
    order = correction.identified(study, command.order, facts)
    if study.images and not study.ordered:
        return join(study, order, now, facts, by_person=False)
    if study.ordered and not correction.repeats(study, order):
        raise WrongStatus(
            "This study belongs to another order.", {"field": "study_uid", "accession_number": study.accession_number}
        )
    fixed = correction.corrected(study, order, facts)
    decision = _placed(study, order, now, facts)
    if fixed is None:
        return decision
    patient, event = fixed
    return replace(decision, events=[*decision.events, event], patient=patient, corrected=event)


def _placed(study: Study, order: Order, now: datetime, facts: Facts) -> Decision:
    """What the order says beside whose it is."""
    event = received(order)
    mismatch = Flag.PATIENT_MISMATCH in study.flags
    if study.ordered and mismatch and facts.patient and agrees(order.patient, facts.patient):
        return join(study, order, now, facts, by_person=False)  # what was wrong has been corrected
    if study.ordered and study.status is not Status.CANCELLED and _same(study, event):
        return Decision()
    if study.ordered and facts.patient and event.patient_id != study.patient_id and study.images:
        return Decision([] if mismatch else [Flagged(Flag.PATIENT_MISMATCH)])
    if study.signed:
        return Decision([Flagged(Flag.ORDER_AFTER_SIGN)] if Flag.ORDER_AFTER_SIGN not in study.flags else [])
    events: list[Event] = [event]
    news, sort = _ready_again(study, order.expected_instances), _sort(study, order)
    if study.sla is None or study.status is Status.CANCELLED or _other_terms(study, sort, facts):
        exam = bool(study.images or study.sla)
        events += begun(study, facts, sort, now, exam=exam, state=_state(study, news))
    events += news
    return Decision(events, patient=correction.shown(order, facts), order=order)


def _other_terms(study: Study, sort: Sort, facts: Facts) -> bool:
    """Whether an order that has changed asks for another clock: by its priority, or by what the policy's table says."""
    asked = study.asked_priority or study.priority
    was = Sort(asked, study.modality, study.setting)
    return sort.priority is not asked or (was != sort and facts.policy.terms(was) != facts.policy.terms(sort))


def _same(study: Study, event: OrderReceived) -> bool:
    known = (
        study.patient_id,
        study.asked_priority or study.priority,
        study.procedure,
        study.modality,
        study.body_part,
        study.laterality,
        study.setting,
        study.referring,
        study.readiness.expected,
    )
    return known == (
        event.patient_id,
        event.priority,
        event.procedure or study.procedure,
        event.modality or study.modality,
        event.body_part or study.body_part,
        event.laterality or study.laterality,
        event.setting or study.setting,
        event.referring,
        event.expected,
    )


def join(study: Study, order: Order, now: datetime, facts: Facts, *, by_person: bool) -> Decision:
    """Join images that stand alone to an order, unless the patients disagree and nobody has looked."""
    if not by_person and not (facts.patient and agrees(order.patient, facts.patient)):
        flag = Flag.PATIENT_MISMATCH
        return Decision([Flagged(flag)] if flag not in study.flags else [])
    events: list[Event] = [received(order, joined=True)]
    news, moved = _ready_again(study, order.expected_instances), emptied(study, facts)
    if study.signed:
        events.append(Flagged(Flag.ORDER_AFTER_SIGN))
    elif study.status is not Status.CANCELLED:
        sort = _sort(study, order)
        events += begun(study, facts, sort, now, exam=True, state=_state(study, news), moved=moved)
    events += news
    patient = correction.shown(order, facts)
    return Decision(events, patient=patient, order=order, moved=moved)


def emptied(study: Study, facts: Facts) -> Study | None:
    """Return the study minted with the order, which ends when its order joins images under another UID."""
    minted = facts.minted
    return minted if minted and minted.study_uid != study.study_uid and not minted.images else None


def join_order(study: Study, command: JoinOrder, by: Principal | None, now: datetime, facts: Facts) -> Decision:
    """Join by a person, who may settle a mismatch, or by the system, which may not."""
    if not study.images:
        raise WrongStatus("Only a study with images can be joined to an order.")
    if study.ordered:
        if study.accession_number == command.accession_number:
            return Decision()
        raise WrongStatus("This study has an order already: move it.", {"accession_number": study.accession_number})
    if command.version is not None and command.version != study.step:
        raise StaleVersion
    if facts.order is None:
        raise NotFound("There is no such order at this site.", {"field": "accession_number"})
    if facts.minted is not None and facts.minted.images and facts.minted.study_uid != study.study_uid:
        raise WrongStatus("That order has images of its own.", {"field": "accession_number"})
    return join(study, facts.order, now, facts, by_person=by is not None)


def cancel_order(study: Study, command: CancelOrder, facts: Facts) -> Decision:
    """Cancel what nobody has begun to read."""
    if study.status is Status.CANCELLED:
        return Decision()
    if study.rev == 0 or study.signed or study.status not in (Status.ORDERED, Status.UNREAD, Status.OFFERED):
        raise WrongStatus(f"The study is {study.shown.value}: it can no longer be cancelled.")
    return Decision([Cancelled(command.reason)], order=facts.order, cancelled=True)
