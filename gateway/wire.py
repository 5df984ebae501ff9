"""The live protocol, version 1: what the server sends. What clients send is in :mod:`gateway.calls`.

With :mod:`gateway.shapes` the one schema: ``readingroom.codegen`` makes the TypeScript types,
``docs/asyncapi.json`` and the tables of ``docs/wire.md`` from it, and the tests hold every emitted
message against it. Names are the same in SQL, JSON and TypeScript.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from actors.domain.words import Flag, ReportStatus
from gateway.shapes import Count, Counters, Critical, Instant, Lock, Message, Reader, ReportRef, Row, Sent

PROTO = 1
MAX_BEHIND = 1_000  # events a resume replays; further behind is a snapshot

Held: TypeAlias = Literal[
    "admin", "manager", "radiologist", "resident", "technologist", "viewer", "referring_physician", "wall"
]


class StreamState(Sent):
    """How a stream starts; ``head`` is its newest ``seq``."""

    mode: Literal["resume", "snapshot"]
    head: Count


class Limits(Sent):
    """What the server takes."""

    max_payload_bytes: int
    deadline_ms: int
    max_deadline_ms: int
    max_behind: int
    ack_s: float


class Hello(Sent):
    """The first event of a connection."""

    proto: int
    epoch: str
    user: str | None  # None for a wall
    tenant: str
    role: Held
    streams: dict[str, StreamState]
    refused: dict[str, str]
    server_time: Instant
    expires_at: Instant  # of the session: `reauth` before, or the socket ends 60 s after
    limits: Limits


class TenantSnapshot(Sent):
    """State of a ``tenant:`` stream."""

    rows: list[Row]
    readers: list[Reader]
    counters: Counters


class SiteSnapshot(Sent):
    """State of a ``site:`` or ``wall:`` stream."""

    rows: list[Row]
    counters: Counters


class UserSnapshot(Sent):
    """State of a ``user:`` stream: what was offered or assigned to her, and her messages."""

    rows: list[Row]
    messages: list[Message]


class StudySnapshot(Sent):
    """State of a ``study:`` stream."""

    row: Row | None
    lock: Lock | None
    report: ReportRef | None
    messages: list[Message]


class Snapshot(Sent):
    """The whole state of a stream after event ``as_of_seq``; ``data`` is that of :data:`SNAPSHOTS`."""

    s: str
    as_of_seq: Count
    data: dict[str, Any]


class Ev(Sent):
    """One event of a stream; ``data`` is the struct of ``type`` in :data:`EVENTS`."""

    s: str
    seq: Annotated[int, Meta(ge=1)]
    id: str
    type: str
    v: int
    ts: Instant
    data: dict[str, Any]


class Alert(Sent):
    """A breach told before the journal could hold it; ``sla_breached`` repeats ``id`` as ``alert_id``."""

    id: str
    study_uid: str
    due_at: Instant
    provisional: bool


class Bye(Sent):
    """The server closes the socket, and why."""

    code: str


SERVER_EVENTS: dict[str, type[Sent]] = {
    "hello": Hello, "snapshot": Snapshot, "ev": Ev, "alert": Alert, "bye": Bye,
}  # fmt: skip
SNAPSHOTS: dict[str, type[Sent]] = {
    "tenant": TenantSnapshot, "site": SiteSnapshot, "wall": SiteSnapshot, "user": UserSnapshot, "study": StudySnapshot,
}  # fmt: skip


def conform(event: str, payload: object) -> None:
    """Hold a server's message against the schema, and a view against what it may show.

    Raises:
        msgspec.ValidationError: it is not what the protocol says.
    """
    message = msgspec.convert(payload, SERVER_EVENTS[event])
    if isinstance(message, Snapshot):
        kind = message.s.partition(":")[0]
        msgspec.convert(message.data, SNAPSHOTS[kind])
        _shown(kind, [*message.data.get("rows", ()), message.data.get("row")])
    elif isinstance(message, Ev):
        kind = message.s.partition(":")[0]
        bare = kind == "site" and message.type in SITE_BARE
        msgspec.convert(message.data, StudyChanged if bare else EVENTS[message.type])
        _shown(kind, [message.data.get("row")])


def _shown(kind: str, rows: list[dict[str, Any] | None]) -> None:
    """Raise when a row shows more or less than its view."""
    hidden = {"acuity", "offer", "second_reader", "second_read", "ai"}
    for row in filter(None, rows):
        if (hidden & row.keys()) != (set() if kind == "site" else hidden):
            raise msgspec.ValidationError(f"a row of {kind}: has {sorted(hidden & row.keys())}")
        if kind == "wall" and row["patient"] is not None:
            raise msgspec.ValidationError("a wall shows a patient")


# -- what happened: the ``data`` of an event ------------------------------------------------------
class StudyChanged(Sent):
    """The row as it is now; None when it leaves the stream's view."""

    study_uid: str
    row: Row | UnsetType | None = UNSET


class AssignmentOffered(StudyChanged, kw_only=True):
    """A reader has an open offer."""

    offer_id: str
    expires_at: Instant
    why: str


class AssignmentRevoked(StudyChanged, kw_only=True):
    """An offer has ended without an accept."""

    offer_id: str
    reason: Literal["expired", "declined", "reassigned", "cancelled"]


class AssignmentChanged(StudyChanged, kw_only=True):
    """Who has the study now, and who said so."""

    radiologist_id: str
    by: str | None


class StudyTriaged(StudyChanged, kw_only=True):
    """A model has looked."""

    model: str
    version: str
    headline: str


class SlaChanged(StudyChanged, kw_only=True):
    """The clock has moved."""

    due_at: Instant | None
    alert_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    step: int | UnsetType = UNSET


class LockChanged(StudyChanged, kw_only=True):
    """Who edits the report."""

    lock: Lock | None


class StudyFlagged(StudyChanged, kw_only=True):
    """What keeps the study open until a person has settled it."""

    flags: list[Flag]


class ReportChanged(StudyChanged, kw_only=True):
    """A draft was saved, or something was signed."""

    report_id: str
    report_version: Count
    report_status: ReportStatus
    by: str | None


class CriticalChanged(StudyChanged, kw_only=True):
    """A critical result was declared or communicated."""

    critical: Critical | None


class MessageReceived(Sent, kw_only=True):
    """Somebody wrote."""

    study_uid: str | UnsetType | None = UNSET
    row: Row | UnsetType | None = UNSET
    message: Message


class ReaderChanged(Sent):
    """A reader as she is now."""

    reader: Reader


class CountersChanged(Sent):
    """The counters as they are now."""

    counters: Counters


EVENTS: dict[str, type[Sent]] = {
    "study_changed": StudyChanged,
    "assignment_offered": AssignmentOffered,
    "assignment_revoked": AssignmentRevoked,
    "assignment_accepted": AssignmentChanged,
    "assignment_assigned": AssignmentChanged,
    "reading_started": AssignmentChanged,
    "assignment_released": AssignmentChanged,
    "study_triaged": StudyTriaged,
    "sla_warned": SlaChanged,
    "sla_breached": SlaChanged,
    "sla_paused": SlaChanged,
    "sla_resumed": SlaChanged,
    "sla_escalated": SlaChanged,
    "lock_changed": LockChanged,
    "study_flagged": StudyFlagged,
    "report_changed": ReportChanged,
    "critical_declared": CriticalChanged,
    "critical_communicated": CriticalChanged,
    "message_received": MessageReceived,
    "reader_changed": ReaderChanged,
    "counters_changed": CountersChanged,
}
SITE_BARE = frozenset({"assignment_offered", "assignment_revoked", "study_triaged"})  # a hospital gets the row only
