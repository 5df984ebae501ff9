"""What has happened to a study. Past tense, immutable, never edited.

``STEP`` says whether the event moves the step: a change of status, assignment, order, priority or
report. Images, AI results, flags and clock events move only the journal's version.

A class whose shape has changed names beside its fields the functions that lead from each earlier
shape to the next (``UPCASTS``). The journal keeps what was written; its body carries the number of
its shape as ``v``, absent for the first, and is brought up to date whenever it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import Any, ClassVar, TypeAlias

import msgspec

from actors.domain.clocked import (
    ClockPaused,
    ClockResumed,
    ClockStarted,
    Escalated,
    PriorityRaised,
    SlaBreached,
    SlaWarned,
    Upcasts,
)
from actors.domain.second import Opening, Outcome  # noqa: TC001 - msgspec reads the annotations
from actors.domain.whose import PatientCorrected, PatientMerged, PatientUnmerged, PriorsCounted, StudyMoved
from actors.domain.words import Acuity, DeclineReason, Flag, Priority, ReadinessState


@dataclass(frozen=True, slots=True)
class OrderReceived:
    """An order, new or changed; ``joined`` when images that stood alone were joined to it."""

    STEP: ClassVar[bool] = True
    site_id: str
    accession_number: str
    patient_id: str
    priority: Priority
    procedure: str
    modality: str
    body_part: str = ""
    laterality: str = ""
    referring: str | None = None
    expected: int | None = None
    joined: bool = False
    setting: str = ""


@dataclass(frozen=True, slots=True)
class OrderMoved:
    """The order joined images under another UID; this study, minted with the order, is no more."""

    STEP: ClassVar[bool] = True
    study_uid: str


@dataclass(frozen=True, slots=True)
class FirstInstanceReceived:
    STEP: ClassVar[bool] = True
    site_id: str
    patient_id: str
    received: int
    accession_number: str = ""
    modality: str = ""
    body_part: str = ""
    laterality: str = ""
    procedure: str = ""
    priority: Priority = Priority.URGENT
    priors: int = 0
    setting: str = ""
    priors_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImagesReceived:
    STEP: ClassVar[bool] = False
    received: int


@dataclass(frozen=True, slots=True)
class ReadinessChanged:
    STEP: ClassVar[bool] = False
    state: ReadinessState
    received: int
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class StudyTriaged:
    STEP: ClassVar[bool] = False
    model: str
    version: str
    status: str
    headline: str
    acuity: Acuity
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flagged:
    STEP: ClassVar[bool] = False
    flag: Flag


@dataclass(frozen=True, slots=True)
class FlagDismissed:
    STEP: ClassVar[bool] = False
    flag: Flag
    reason: str


@dataclass(frozen=True, slots=True)
class Offered:
    STEP: ClassVar[bool] = True
    radiologist_id: str
    offer_id: str
    expires_at: datetime
    why: str
    over_cap: bool = False
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    STEP: ClassVar[bool] = True
    radiologist_id: str
    offer_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    STEP: ClassVar[bool] = True
    radiologist_id: str
    offer_id: str
    reason: DeclineReason
    note: str = ""


@dataclass(frozen=True, slots=True)
class OfferExpired:
    STEP: ClassVar[bool] = True
    radiologist_id: str
    offer_id: str


@dataclass(frozen=True, slots=True)
class Assigned:
    """Assigned without an offer: ``how`` is ``next_case`` or ``manager``."""

    STEP: ClassVar[bool] = True
    radiologist_id: str
    offer_id: str
    how: str
    reason: str = ""
    over_cap: bool = False
    epoch: int = 0
    by: str | None = None  # the manager


@dataclass(frozen=True, slots=True)
class Released:
    STEP: ClassVar[bool] = True
    radiologist_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadingStarted:
    STEP: ClassVar[bool] = True
    radiologist_id: str
    tab: str = ""


@dataclass(frozen=True, slots=True)
class LockTaken:
    """She opened the study in another tab, or went on after her lock had lapsed."""

    STEP: ClassVar[bool] = False
    radiologist_id: str
    tab: str = ""


@dataclass(frozen=True, slots=True)
class LockLapsed:
    """Nothing was saved for the length of a lease."""

    STEP: ClassVar[bool] = False
    radiologist_id: str


@dataclass(frozen=True, slots=True)
class DraftSaved:
    STEP: ClassVar[bool] = True
    report_id: str
    report_version: int
    radiologist_id: str


@dataclass(frozen=True, slots=True)
class PrelimSigned:
    """``received`` of ``expected`` images were seen; fewer only with the signer's confirmation."""

    STEP: ClassVar[bool] = True
    report_id: str
    report_version: int
    radiologist_id: str
    received: int
    expected: int | None = None
    cosign: bool = False
    opens: Opening | None = None  # a reading by somebody else


@dataclass(frozen=True, slots=True)
class SecondSigned:
    """The second reader has signed a text of her own; it is to be compared with the first."""

    STEP: ClassVar[bool] = True
    report_id: str
    report_version: int
    radiologist_id: str
    received: int
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What is said of the two readings; ``same`` when they were the same, word for word."""

    STEP: ClassVar[bool] = True
    outcome: Outcome
    note: str = ""
    same: bool = False


@dataclass(frozen=True, slots=True)
class FinalSigned:
    """``received`` of ``expected`` images were seen; fewer only with the signer's confirmation."""

    STEP: ClassVar[bool] = True
    report_id: str
    report_version: int
    radiologist_id: str
    received: int
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Addended:
    STEP: ClassVar[bool] = True
    report_id: str
    report_version: int
    radiologist_id: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    STEP: ClassVar[bool] = True
    reason: str


Event: TypeAlias = (
    OrderReceived
    | OrderMoved
    | FirstInstanceReceived
    | ImagesReceived
    | ReadinessChanged
    | StudyTriaged
    | ClockStarted
    | SlaWarned
    | SlaBreached
    | ClockPaused
    | ClockResumed
    | Escalated
    | PriorityRaised
    | PatientCorrected
    | PatientMerged
    | PatientUnmerged
    | StudyMoved
    | PriorsCounted
    | Flagged
    | FlagDismissed
    | Offered
    | Accepted
    | Declined
    | OfferExpired
    | Assigned
    | Released
    | ReadingStarted
    | LockTaken
    | LockLapsed
    | DraftSaved
    | PrelimSigned
    | SecondSigned
    | Settled
    | FinalSigned
    | Addended
    | Cancelled
)
EVENTS: dict[str, type[Any]] = {kind.__name__: kind for kind in Event.__args__}


def body(event: Event) -> dict[str, Any]:
    """Return the ``body`` of the event's journal row; its ``type`` is the class's name."""
    plain: dict[str, Any] = msgspec.to_builtins(event, order="deterministic")
    shape = len(_upcasts(type(event).__name__)) + 1
    return plain | {"v": shape} if shape > 1 else plain


def current(kind: str, plain: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a journal row in the shape of today, whichever it was written in."""
    shape = plain.get("v", 1)
    plain = {name: value for name, value in plain.items() if name != "v"}
    for upcast in _upcasts(kind)[shape - 1 :]:
        plain = upcast(plain)
    return plain


def event(kind: str, plain: dict[str, Any]) -> Event:
    """Return the event of a journal row."""
    known: Event = msgspec.convert(current(kind, plain), EVENTS[kind])
    return known


def _upcasts(kind: str) -> Upcasts:
    upcasts: Upcasts = getattr(EVENTS.get(kind), "UPCASTS", ())
    return upcasts
