"""Who a patient is: issuer and number, never a name.

Two records are one person only if issuer and number agree (PS3.3 C.7.1.1, Issuer of Patient ID);
two hospitals may both call somebody 1234.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from actors.domain.commands import Patient

_PATIENTS = UUID("0d6e3a56-6a4e-5b0e-8d55-2f1f0c7c9b10")


def patient_id(tenant_id: str, issuer: str, mrn: str, study_uid: str = "") -> str:
    """Return our id of a patient; the same issuer and number give the same id everywhere.

    Args:
        tenant_id: the reading group; its patients are nobody else's.
        issuer: issuer of the number; the site's own when the sender names none.
        mrn: the number, as sent, without surrounding blanks.
        study_uid: set it for images without a number, and for a person known by this study only
            (the demographics contradict those that the number stands for).
    """
    parts = (tenant_id, issuer.strip(), mrn.strip(), study_uid)
    return str(uuid5(_PATIENTS, "\x1f".join(parts)))


def same_patient(a: Patient, b: Patient) -> bool:
    """Whether two records are one person: same issuer and number, and nothing known contradicts."""
    if not a.mrn or (a.issuer, a.mrn) != (b.issuer, b.mrn):
        return False
    return all(not x or not y or x == y for x, y in ((a.birth_date, b.birth_date), (a.sex, b.sex)))
