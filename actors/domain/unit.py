"""What one command commits, whole or not at all. The domain fills it, ``storage.commit`` writes it.

A unit appends to one entity's journal (and, when images take over an order, one event to the
journal of the study the order was minted for), replaces read rows, arms timers and adds feed
events. Sequence numbers, positions and the absolute counters are given by the database, under
the tenant's lock, at commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.commands import Order, Patient
    from actors.domain.identity import Key


@dataclass(frozen=True, slots=True)
class Recorded:
    """One journal row; ``version`` is the fence."""

    entity: str
    version: int
    type: str
    body: dict[str, Any]
    at: datetime
    by: str | None = None
    idem: str | None = None


@dataclass(frozen=True, slots=True)
class StudyRow:
    """The study's read row; ``doc`` is the whole state, without demographics."""

    study_uid: str
    site_id: str
    rev: int
    step: int
    status: str
    open: bool
    priority: str
    reader: str | None
    patient_id: str
    accession_number: str
    flags: tuple[str, ...]
    referring: str | None
    doc: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One event in one stream; the same ``id`` in each stream it belongs to."""

    stream: str
    id: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReaderDelta:
    """How a unit changes a reader; the database answers with a ``reader_changed`` feed event.

    ``load`` is added. ``state`` replaces (radiologist entities only, with ``rev``).
    ``reading`` sets the study being read; ``stopped`` clears it if it is that one.
    """

    user_id: str
    load: int = 0
    state: str | None = None
    rev: int | None = None
    reading: str | None = None
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class TimerArm:
    """A durable timer; the same name of an entity replaces."""

    name: str
    version: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ReportWrite:
    """The report as it now stands; a row in ``report`` and one in ``report_version``."""

    report_id: str
    study_uid: str
    site_id: str
    status: str
    version: int
    sections: dict[str, str] | None  # None: those of the version before
    by: str | None
    at: datetime
    signed: bool = False
    addendum: str | None = None


@dataclass(frozen=True, slots=True)
class OutboxWrite:
    """A signed report to deliver."""

    outbox_id: str
    study_uid: str
    site_id: str
    type: str
    report_id: str
    version: int


@dataclass(frozen=True, slots=True)
class OrderWrite:
    """The order's row: which study it belongs to now."""

    order: Order
    study_uid: str
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class JobWrite:
    """An inference job; one for each (study, number of images)."""

    job_id: str
    study_uid: str
    images: int
    priority: int


@dataclass(slots=True)
class Unit:
    """Everything one command changes."""

    key: Key
    events: list[Recorded] = field(default_factory=list)
    studies: list[StudyRow] = field(default_factory=list)
    feed: list[FeedItem] = field(default_factory=list)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)  # stream -> deltas
    readers: list[ReaderDelta] = field(default_factory=list)
    arm: list[TimerArm] = field(default_factory=list)
    disarm: list[str] = field(default_factory=list)
    patients: list[Patient] = field(default_factory=list)
    corrections: list[Patient] = field(default_factory=list)  # demographics that replace the ones known
    merges: list[tuple[str, str | None]] = field(default_factory=list)  # a patient, and whose her number is now
    orders: list[OrderWrite] = field(default_factory=list)
    reports: list[ReportWrite] = field(default_factory=list)
    outbox: list[OutboxWrite] = field(default_factory=list)
    jobs: list[JobWrite] = field(default_factory=list)
    inbox_ids: tuple[int, ...] = ()
    explanation: tuple[str, str, dict[str, Any]] | None = None  # study_uid, offer_id, body
    epoch: int | None = None  # of a grant: refused (RR001) when another decider has taken over
    answer: tuple[str, str, bytes, dict[str, Any]] | None = None  # user_id, idem, digest, answer
    shown: dict[str, Any] | None = None  # the row of the study that was asked, as it is after the events
    deadline: float | None = None  # Unix seconds; past it the unit is not committed
