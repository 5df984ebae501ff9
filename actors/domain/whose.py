"""What has happened to whose a study is; :mod:`actors.domain.events` lists these among all events of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class PatientCorrected:
    """The order's side has corrected demographics; ``fields`` names which, never what."""

    STEP: ClassVar[bool] = False
    patient_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PatientMerged:
    """The patient that the study stood under, ``was``, turned out to be another; so for each study of hers."""

    STEP: ClassVar[bool] = True
    patient_id: str
    was: str
    reason: str
    priors: int


@dataclass(frozen=True, slots=True)
class PatientUnmerged:
    """A merge was wrong: the study is again of whom it stood under before."""

    STEP: ClassVar[bool] = True
    patient_id: str
    was: str
    reason: str
    priors: int


@dataclass(frozen=True, slots=True)
class StudyMoved:
    """The study belongs to another patient than ``was``, or its images to another order (``OrderReceived`` follows)."""

    STEP: ClassVar[bool] = True
    patient_id: str
    was: str
    reason: str
    priors: int


@dataclass(frozen=True, slots=True)
class PriorsCounted:
    """Studies came to the patient, or left her."""

    STEP: ClassVar[bool] = False
    priors: int
