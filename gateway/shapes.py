"""What a screen shows: the row and its parts, the same in REST and on the socket.

A field that may be absent is ``T | UnsetType``; one that is always there and may be empty is
``T | None``.
"""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from actors.domain.second import SecondKind, SecondState
from actors.domain.words import Acuity, ClockState, Flag, Presence, Priority, ReadinessState, ReportStatus, Status

Instant: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Count: TypeAlias = Annotated[int, Meta(ge=0)]


class Sent(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a server sends: exactly these fields."""


class Site(Sent):
    """A hospital."""

    id: str
    name: str


class Patient(Sent):
    """Demographics as shown."""

    name: str
    mrn: str
    birth_date: str | None
    sex: str | None


class Readiness(Sent):
    """How much of the study has arrived (PS3.4 CC, Input Readiness State)."""

    state: ReadinessState
    received: Count
    expected: Count | None


class Clock(Sent):
    """The SLA clock; ``breached_at`` is never cleared."""

    state: ClockState
    due_at: Instant | None
    warn_at: Instant | None
    started_at: Instant
    breached_at: Instant | None
    paused_s: float


class Critical(Sent):
    """What the radiologist declared, and whether somebody has heard it."""

    finding: str
    communicated_to: str | None
    at: Instant | None
    read_back: bool


class Offer(Sent):
    """An open offer; ``why`` is a sentence."""

    offer_id: str
    radiologist_id: str
    expires_at: Instant
    why: str


class AiResult(Sent):
    """What one model said."""

    model: str
    version: str
    status: str
    headline: str
    measures: dict[str, float]


class ReportRef(Sent):
    """Which report, and where it stands."""

    report_id: str
    status: ReportStatus
    version: Count


class SecondRead(Sent):
    """A reading after the first signature; ``why`` is what the reader is told that she is for."""

    kind: SecondKind
    state: SecondState
    blind: bool
    why: str


class Row(Sent, kw_only=True):
    """A study on the worklist. A technologist's lacks ``acuity, offer, second_reader, second_read, ai``."""

    study_uid: str
    accession_number: str
    site: Site
    patient: Patient | None  # None on a wall
    modality: str
    body_part: str
    laterality: str
    procedure: str
    priority: Priority
    acuity: Acuity | UnsetType = UNSET
    critical: Critical | None
    status: Status
    readiness: Readiness
    sla: Clock | None
    flags: list[Flag]
    offer: Offer | UnsetType | None = UNSET
    assigned_to: str | None
    second_reader: str | UnsetType | None = UNSET
    second_read: SecondRead | UnsetType | None = UNSET
    reading_by: str | None
    ai: list[AiResult] | UnsetType = UNSET
    report: ReportRef | None
    priors: Count
    images: Count
    version: Count
    rev: Count


class Reader(Sent):
    """A radiologist as managers and colleagues see her."""

    radiologist_id: str
    name: str
    presence: Presence
    load: Count
    capacity: Count
    study_uid: str | None
    shift_ends_at: Instant | None


class Counters(Sent):
    """How many studies of the view are where."""

    open: int
    unread: int
    offered: int
    assigned: int
    reading: int
    warned: int
    breached: int
    paused: int
    final_today: int


class Lock(Sent):
    """Who edits the report now."""

    user_id: str
    tab: str
    until: Instant


class Message(Sent):
    """A message between people, about a study or not."""

    message_id: str
    by: str
    to: str | None
    study_uid: str | None
    text: str
    at: Instant
