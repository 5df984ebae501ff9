"""What was recorded of a run: what people and machines sent and were told, and what the database says afterwards.

The model, the chaos runs and the histories that are wrong on purpose all come in this one form. Instants are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.domain.events import EVENTS, event
from actors.domain.evolve import evolve
from actors.domain.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

Place: TypeAlias = tuple[str, str]  # tenant, entity or stream or study


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal; entries of one transaction share ``commit``, which orders the tenant's transactions."""

    tenant_id: str
    entity: str
    version: int
    type: str
    body: dict[str, Any]
    at: datetime
    by: str | None
    idem: str | None
    commit: int
    committed_at: datetime
    digest: str = ""  # as the audit chain has to hold it


@dataclass(frozen=True, slots=True)
class Fed:
    """One row of the feed."""

    tenant_id: str
    pos: int
    stream: str
    seq: int
    id: str
    type: str
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a tenant's audit chain; ``body`` is the very text that was hashed."""

    tenant_id: str
    pos: int
    body: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """An image that a sender was told is stored."""

    tenant_id: str
    study_uid: str
    sop_uid: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """A command sent once; ``until`` is the last instant at which it may take effect. No answer: nobody knows."""

    tenant_id: str
    user_id: str
    command: str
    idem: str
    study_uid: str
    until: datetime
    answer: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether it was told to have taken effect."""
        return self.answer is not None and "error" not in self.answer


@dataclass(frozen=True, slots=True)
class Heard:
    """One message on a socket. A ``snapshot`` has the ``seq`` that it is of, a ``resume`` that after which it begins."""

    client: str
    connection: int
    kind: str  # ev | snapshot | resume
    tenant_id: str
    stream: str
    seq: int
    id: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """A provisional alert that a socket received."""

    tenant_id: str
    study_uid: str
    id: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was killed, frozen or cut off, until it served again."""

    kind: str
    at: datetime
    healed_at: datetime


@dataclass(frozen=True, slots=True)
class Cap:
    """From when on somebody, or everybody of a tenant, may hold so much."""

    tenant_id: str
    radiologist_id: str | None
    at: datetime
    cap: int


@dataclass(frozen=True, slots=True)
class Armed:
    """A timer in the database."""

    tenant_id: str
    entity: str
    name: str
    version: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """A study's read row."""

    study: Study
    rev: int
    step: int
    status: str
    open: bool
    reader: str | None


@dataclass(frozen=True, slots=True)
class After:
    """A journal entry of a study and how the study stood before and after it."""

    entry: Entry
    before: Study
    study: Study


@dataclass
class History:
    """Everything that is known of a run, once it is quiet."""

    ended_at: datetime
    entries: list[Entry] = field(default_factory=list)
    feed: list[Fed] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)  # tenant → pos of its head
    heads: dict[Place, int] = field(default_factory=dict)  # stream → seq of its head
    counters: dict[Place, dict[str, int]] = field(default_factory=dict)
    loads: dict[Place, int] = field(default_factory=dict)  # reader → load of her row
    rows: dict[Place, Seen] = field(default_factory=dict)
    timers: list[Armed] = field(default_factory=list)
    answers: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)  # tenant, user, idem
    stored: list[Stored] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    caps: list[Cap] = field(default_factory=list)
    # What the machine is given: 0 in the model, more on a loaded computer.
    late_s: float = 0.0  # a breach after it was due, or after who has to tell it was there again
    slack_s: float = 0.0  # a commit after its last check of the deadline
    stale_s: float = 0.0  # how old a cap may be by which a decider goes

    @cached_property
    def studies(self) -> dict[Place, list[After]]:
        """The journal of each study, replayed; versions that are missing are left to ``versions_have_no_gap``."""
        told: dict[Place, list[After]] = {}
        for entry in sorted(self.entries, key=lambda e: (e.tenant_id, e.entity, e.version)):
            kind, _, uid = entry.entity.partition("/")
            if kind != "study" or entry.type not in EVENTS:
                continue
            past = told.setdefault((entry.tenant_id, uid), [])
            before = past[-1].study if past else Study(uid)
            past.append(After(entry, before, evolve(before, event(entry.type, entry.body), entry.at)))
        return told

    @cached_property
    def commits(self) -> dict[str, list[list[After]]]:
        """What each transaction of each tenant did to studies, in the order of the transactions."""
        found: dict[str, dict[int, list[After]]] = {}
        for past in self.studies.values():
            for after in past:
                found.setdefault(after.entry.tenant_id, {}).setdefault(after.entry.commit, []).append(after)
        return {tenant: [batch[n] for n in sorted(batch)] for tenant, batch in found.items()}

    def owners(self) -> Iterator[tuple[Place, list[After]]]:
        """Every study with its journal."""
        yield from self.studies.items()
