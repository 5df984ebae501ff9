"""Whose order it is: what it corrects of the person that issuer and number stand for, and what it must not.

The person is the same if issuer and number are. An order that is placed again (same site, same
accession number) corrects name, birth date and sex of the patient it was placed for, on every study
of hers. A new order corrects nobody: one that contradicts what is known under its number is for a
person known by this study only, until somebody has looked. So two people never become one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from actors.domain.patient import patient_id, same_patient
from actors.domain.whose import PatientCorrected

if TYPE_CHECKING:
    from actors.domain.commands import Order, Patient
    from actors.domain.facts import Facts
    from actors.domain.study import Study

FIELDS = ("name", "birth_date", "sex")


def differences(known: Patient, given: Patient) -> tuple[str, ...]:
    """Return which fields are given otherwise than they are known; what is not given corrects nothing."""
    return tuple(f for f in FIELDS if getattr(given, f) and getattr(given, f) != getattr(known, f))


def repeats(study: Study, order: Order) -> bool:
    """Whether the order is the study's own, placed again."""
    return study.ordered and (study.site_id, study.accession_number) == (order.site_id, order.accession_number)


def identified(study: Study, order: Order, facts: Facts) -> Order:
    """Return the order with the id of the person it is for."""
    person = order.patient
    known = facts.known
    if known is not None and known.patient_id != person.patient_id:  # her number was given up for this one
        person = replace(person, patient_id=known.patient_id, mrn=known.mrn, issuer=known.issuer)
        order = replace(order, patient=person)
    own = repeats(study, order) and study.patient_id == person.patient_id
    if own or known is None or same_patient(known, person):
        return order
    apart = patient_id(facts.tenant_id, person.issuer, person.mrn, study.study_uid)
    return replace(order, patient=replace(person, patient_id=apart))


def corrected(study: Study, order: Order, facts: Facts) -> tuple[Patient, PatientCorrected] | None:
    """Return the patient as an order placed again says she is, None when it says nothing new of her."""
    known = facts.patient
    if known is None or not repeats(study, order) or known.patient_id != order.patient.patient_id:
        return None
    fields = differences(known, order.patient)
    if not fields:
        return None
    changed = {name: getattr(order.patient, name) for name in fields}
    return replace(known, **changed), PatientCorrected(known.patient_id, fields)


def shown(order: Order, facts: Facts) -> Patient:
    """Return the demographics that stand for the order's person: those that are known, else the order's."""
    for known in (facts.patient, facts.known):
        if known is not None and known.patient_id == order.patient.patient_id:
            return known
    return order.patient
