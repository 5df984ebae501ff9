"""A study as its actor holds it, and as the read row keeps it.

    ORDERED --first instance--> UNREAD --Offered--> OFFERED --Accepted--> ASSIGNED
    UNREAD  --Assigned (next case, or a manager)--> ASSIGNED --ReadingStarted--> READING
    OFFERED --Declined | OfferExpired--> UNREAD;  ASSIGNED | READING --Released--> UNREAD
    ASSIGNED | READING --PrelimSigned--> PRELIM --FinalSigned--> FINAL;  or FINAL at once
    ORDERED | UNREAD | OFFERED --Cancelled--> CANCELLED

A signature that opens a second reading (``actors.domain.second``) leads to UNREAD once more, and from there by the
same way to somebody else; outside, the study is shown as preliminary until then (``shown``).

What may happen is in ``decide``, what has happened in ``evolve``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from actors.domain.second import Second, SecondKind, SecondState
from actors.domain.sla import Clock  # noqa: TC001 - msgspec reads the annotations
from actors.domain.words import Acuity, Flag, Priority, ReadinessState, ReportStatus, Status

_T = TypeVar("_T")

CLOSED = frozenset({Status.FINAL, Status.CANCELLED})
LIVE = frozenset({Status.OFFERED, Status.ASSIGNED, Status.READING})  # counts as a reader's load
SIGNED = frozenset({Status.PRELIM, Status.FINAL})


@dataclass(frozen=True, slots=True)
class Readiness:
    """Input Readiness State (PS3.4 CC.1.1) and images come of images expected."""

    state: ReadinessState = ReadinessState.UNREADY
    received: int = 0
    expected: int | None = None

    @property
    def missing(self) -> bool:
        """Whether fewer images came than were announced."""
        return self.expected is not None and self.received < self.expected


@dataclass(frozen=True, slots=True)
class OpenOffer:
    """An offer that has no answer yet."""

    offer_id: str
    radiologist_id: str
    expires_at: datetime
    why: str
    over_cap: bool = False


@dataclass(frozen=True, slots=True)
class AiResult:
    """What one model said."""

    model: str
    version: str
    status: str
    headline: str
    measures: dict[str, float]


@dataclass(frozen=True, slots=True)
class ReportHead:
    """Which report, in which state; its text is in the report's own rows."""

    report_id: str
    status: ReportStatus
    version: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A reader who declined or let an offer expire: when last, and how often."""

    radiologist_id: str
    at: datetime
    times: int = 1


LEASE_S = 900.0  # of the lock of who reads; a saved draft renews it


@dataclass(frozen=True, slots=True)
class Lock:
    """Who edits the report now, in which tab, and until when unless something is saved."""

    user_id: str
    tab: str
    until: datetime


class Study(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The whole state; no demographics (``patient_id`` points to them)."""

    study_uid: str
    site_id: str = ""
    patient_id: str = ""
    accession_number: str = ""
    modality: str = ""
    body_part: str = ""
    laterality: str = ""
    procedure: str = ""
    setting: str = ""  # emergency | inpatient | outpatient, "" when nobody said
    priority: Priority = Priority.URGENT
    acuity: Acuity = Acuity.PENDING
    critical: dict[str, Any] | None = None
    status: Status = Status.ORDERED
    readiness: Readiness = Readiness()
    sla: Clock | None = None
    flags: frozenset[Flag] = frozenset()
    offer: OpenOffer | None = None
    assigned_to: str | None = None
    reading_by: str | None = None
    reading_since: datetime | None = None
    lock: Lock | None = None
    read_min: float | None = None  # minutes from opening to the first signature
    read_by: str | None = None
    assigned_by: str | None = None  # the manager who gave it to whom has it
    ai: tuple[AiResult, ...] = ()
    report: ReportHead | None = None
    priors: int = 0
    priors_by: frozenset[str] = frozenset()  # who read the patient's earlier studies, when this one came
    images: int = 0
    step: int = 0
    rev: int = 0
    ordered: bool = False  # an order is joined
    referring: str | None = None
    granted: str | None = None  # offer_id of the last grant that was committed: the same again is answered
    over_cap: bool = False
    asked: tuple[Asked, ...] = ()
    sooner_than: str | None = None  # from whom it was taken back, to be read sooner by another
    excluded: frozenset[str] = frozenset()
    signed_by: str | None = None
    cosign: bool = False  # signed prelim by a resident: any radiologist may sign final
    moved_to: str | None = None  # the order joined images under another UID
    merged: tuple[str, ...] = ()  # patients it stood under before their numbers were given up, oldest first
    second: Second | None = None  # the reading after the first, once there is to be one
    wrote: frozenset[str] = frozenset()  # who has saved or signed a text
    asked_priority: Priority | None = None  # what was asked for, once a ladder has raised the priority above it

    def but(self, **changed: Any) -> Study:
        """Return the study with these fields changed."""
        return structs.replace(self, **changed)

    @property
    def open(self) -> bool:
        """Not final and not cancelled, or flagged."""
        return self.rev > 0 and self.moved_to is None and (self.status not in CLOSED or bool(self.flags))

    @property
    def signed(self) -> bool:
        """Whether somebody has signed a report."""
        return self.status in SIGNED or self.second is not None

    @property
    def shown(self) -> Status:
        """The status as the outside sees it: a study that waits for more than its first signature is preliminary."""
        second = self.second
        if second is None or self.status in CLOSED or second.hidden:
            return self.status
        return Status.PRELIM

    @property
    def first_reader(self) -> str | None:
        """Who has or had it, as the row says: of a second reading the first reader, unless she is hidden."""
        second = self.second
        if second is None or (second.kind is SecondKind.DOUBLE and second.state is SecondState.DECIDED):
            return self.assigned_to
        if second.state is SecondState.DISCORDANT:
            return self.assigned_to if second.adjudicate else None
        return None if second.hidden else second.readings[0].radiologist_id

    @property
    def second_reader(self) -> str | None:
        """Who reads or has read it after the first."""
        if self.second is None:
            return None
        if len(self.second.readings) > 1:
            return self.second.readings[1].radiologist_id
        return self.assigned_to

    @property
    def draft_status(self) -> ReportStatus:
        """What a saved text is: what the hospital has as preliminary stays so while somebody edits it."""
        cosigned = self.second is not None and self.second.kind is SecondKind.COSIGN
        return ReportStatus.PRELIM if cosigned or self.status is Status.PRELIM else ReportStatus.DRAFT

    @property
    def barred(self) -> frozenset[str]:
        """Who may not read it now, whoever says so."""
        return self.second.barred if self.second else frozenset()

    @property
    def reader(self) -> str | None:
        """Who was offered it or has it."""
        return self.offer.radiologist_id if self.offer else self.assigned_to

    @property
    def load_of(self) -> str | None:
        """Whose load it counts in."""
        return self.reader if self.status in LIVE else None

    @property
    def offerable(self) -> bool:
        """Whether the decider may offer it: unread, and whole unless STAT or read before."""
        ready = self.readiness.state is ReadinessState.READY
        stat = self.priority is Priority.STAT and self.images > 0
        return self.status is Status.UNREAD and (ready or stat or self.second is not None)


def pooled(study: Study) -> Study:
    """Return the study in nobody's hands."""
    return study.but(
        status=Status.UNREAD,
        offer=None,
        assigned_to=None,
        reading_by=None,
        reading_since=None,
        lock=None,
        assigned_by=None,
        over_cap=False,
    )


SHAPE = 2  # of a snapshot; one of another shape is thrown away and made anew from the journal


@lru_cache(8192)
def _shared(value: _T) -> _T:
    """Return the one object that stands for all that equal it."""
    return value


def dump(study: Study) -> dict[str, Any]:
    """Return the state as the JSON of ``study.doc``: the snapshot that a commit leaves."""
    plain: dict[str, Any] = msgspec.to_builtins(study, order="deterministic")
    return plain | {"shape": SHAPE}


def load(doc: dict[str, Any]) -> Study:
    """Return the state of a ``study.doc``."""
    return _spared(msgspec.convert(doc, Study))


def _spared(study: Study) -> Study:
    """Return the study; what many have alike they share, as a host holds 100,000 of them."""
    return study.but(
        site_id=_shared(study.site_id),
        patient_id=_shared(study.patient_id),
        modality=_shared(study.modality),
        body_part=_shared(study.body_part),
        laterality=_shared(study.laterality),
        procedure=_shared(study.procedure),
        setting=_shared(study.setting),
        readiness=_shared(study.readiness),
        flags=_shared(study.flags),
        priors_by=_shared(study.priors_by),
        excluded=_shared(study.excluded),
    )


class _Shaped(msgspec.Struct):
    shape: int = 1


_SHAPED, _STUDY = msgspec.json.Decoder(_Shaped), msgspec.json.Decoder(Study)


def snapshot(study_uid: str, doc: str | None) -> Study:
    """Return the state that a snapshot (JSON) holds, an empty one when there is none of today's shape."""
    return Study(study_uid) if doc is None or _SHAPED.decode(doc).shape != SHAPE else _spared(_STUDY.decode(doc))
