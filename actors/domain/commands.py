"""What entities are told to do. Imperative, immutable, without a clock.

A command travels in an :class:`Envelope` that says who asks, under which idempotency key, and
until when it is worth doing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.domain.second import Outcome  # noqa: TC001 - commands are rebuilt from JSON
from actors.domain.words import DeclineReason, Priority, SignKind  # noqa: TC001 - commands are rebuilt from JSON

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.identity import Principal


@dataclass(frozen=True, slots=True)
class Patient:
    """Demographics; kept in ``patient``, joined into rows, never in the journal."""

    patient_id: str
    name: str  # as DICOM PN, family^given
    mrn: str
    issuer: str
    birth_date: str  # ISO date or ""
    sex: str  # M | F | O | ""


@dataclass(frozen=True, slots=True)
class Order:
    """What the hospital asks for; ``study_uid`` is the sender's, if it named one."""

    site_id: str
    accession_number: str
    priority: Priority
    procedure: str
    modality: str
    patient: Patient
    body_part: str = ""
    laterality: str = ""
    referring: str | None = None  # user id
    expected_instances: int | None = None
    setting: str = ""  # emergency | inpatient | outpatient


# -- to a study, from outside -------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ReceiveOrder:
    """Create or update the order this study belongs to."""

    order: Order


@dataclass(frozen=True, slots=True)
class CancelOrder:
    reason: str


@dataclass(frozen=True, slots=True)
class JoinOrder:
    """Join images that stand without an order to one; by a person it overrides a mismatch."""

    accession_number: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class MergePatient:
    """Everything of the patient is another's: her number was given up for that one (as HL7 ADT^A40)."""

    patient_id: str  # hers
    into: Patient  # shown as she is known, with hers where nobody is known under the number
    reason: str
    confirm: bool = False  # also where sex or birth date contradict


@dataclass(frozen=True, slots=True)
class UnmergePatient:
    """The merge of a number was wrong: what came under it is hers again."""

    patient_id: str  # whose number was given up
    reason: str


@dataclass(frozen=True, slots=True)
class MoveStudy:
    """Images and report belong to another order, or the whole study to another patient (as HL7 ADT^A45)."""

    version: int
    reason: str
    accession_number: str = ""  # of an order at the study's site
    patient_id: str = ""
    confirm: bool = False  # also where sex or birth date contradict


@dataclass(frozen=True, slots=True)
class DismissFlag:
    flag: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImagesArrived:
    """What the inbox holds for the study, folded.

    ``received`` counts all images stored so far: none when only their number was announced.
    """

    site_id: str
    patient: Patient
    received: int
    expected: int | None = None  # as performed steps or a notice of availability announce
    accession_number: str = ""
    modality: str = ""
    body_part: str = ""
    laterality: str = ""
    procedure: str = ""
    priority: str = ""  # (0040,1003) as sent
    setting: str = ""  # emergency | inpatient | outpatient, as far as the headers tell
    apart: bool = False  # kept apart: another site owns the UID
    conflict: bool = False  # other content came under a SOP Instance UID that is known
    damaged: bool = False  # a stored file is not what was received
    quiet: bool = False  # association released and nothing came for a while
    inbox_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordTriage:
    """A model's result. ``acuity`` is the word, ``headline`` what the card says."""

    model: str
    version: str
    status: str  # ok | not_assessed | failed
    headline: str
    acuity: str
    measures: dict[str, float] = field(default_factory=dict)
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class Accept:
    offer_id: str


@dataclass(frozen=True, slots=True)
class Decline:
    offer_id: str
    reason: DeclineReason
    note: str = ""


@dataclass(frozen=True, slots=True)
class StartReading:
    """The study is on her screen; ``tab`` is which of them."""

    tab: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    reason: str


@dataclass(frozen=True, slots=True)
class SaveDraft:
    base_version: int
    sections: dict[str, str]
    template: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    kind: SignKind
    report_version: int
    version: int | None = None  # the study's step; REST sends the report's version only
    confirm: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Settle:
    """Say of two readings whether they agree; a manager may say which of them stands."""

    version: int
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True, slots=True)
class PauseClock:
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class ResumeClock:
    version: int
    reason: str


# -- to a study, from the tenant's decider ------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Grant:
    """A reservation of the decider; the study commits it only at ``step`` and ``epoch``."""

    radiologist_id: str
    offer_id: str
    step: int
    epoch: int
    over_cap: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    grant: Grant
    why: str
    open_s: float
    explanation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """Assigned at once, without an offer: ``next_case``."""

    grant: Grant
    explanation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assign:
    """Assigned by a manager; may end an open offer and pass the cap."""

    grant: Grant
    reason: str = ""
    explanation: dict[str, Any] = field(default_factory=dict)
    late: bool = False  # another manager was first: only asks how it came out


@dataclass(frozen=True, slots=True)
class Recall:
    """Back to the pool from who has not begun it: her shift ended, or another would be in time where she is not."""

    step: int
    reason: str
    begun: bool = False  # also what she has begun, if she is gone and holds the lock no more


# -- to a study, from its timers ----------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class FireTimer:
    """A durable timer came due. Offers match the step, SLA clocks ``due_at``."""

    name: str
    version: int
    due_at: datetime


# -- to a tenant's decider ----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class NextCase:
    """The first of her order; or the one she names, if it is within the policy's window."""

    study_uid: str = ""


@dataclass(frozen=True, slots=True)
class AssignStudy:
    study_uid: str
    radiologist_id: str
    version: int
    reason: str = ""
    override: bool = False


# -- to a radiologist ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class SetPresence:
    """Chosen by the person: online, busy, away or off."""

    state: str
    study_uid: str | None = None


@dataclass(frozen=True, slots=True)
class ObservePresence:
    """Seen by gateways: whether any tab of hers is connected."""

    connected: bool


StudyCommand: TypeAlias = (
    ReceiveOrder
    | CancelOrder
    | JoinOrder
    | MergePatient
    | UnmergePatient
    | MoveStudy
    | DismissFlag
    | ImagesArrived
    | RecordTriage
    | Accept
    | Decline
    | StartReading
    | Release
    | SaveDraft
    | Sign
    | Settle
    | PauseClock
    | ResumeClock
    | Offer
    | Claim
    | Assign
    | Recall
    | FireTimer
)
TenantCommand: TypeAlias = NextCase | AssignStudy
RadiologistCommand: TypeAlias = SetPresence | ObservePresence
Command: TypeAlias = StudyCommand | TenantCommand | RadiologistCommand


@dataclass(frozen=True, slots=True)
class Envelope:
    """A command under way."""

    command: Command
    by: Principal | None = None  # None: the system itself
    idem: str | None = None  # one effect and one answer, kept 24 h
    deadline: float | None = None  # Unix seconds; past it the command is refused, unexecuted
    trace: str = ""  # W3C traceparent of the step that sent it
