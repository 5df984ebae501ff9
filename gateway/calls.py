"""The live protocol, version 1: what clients send, and what they are answered.

Every command carries ``idem`` and may carry ``deadline_ms``; tenant and user are the session's.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from actors.domain.second import Outcome
from actors.domain.words import DeclineReason, SignKind
from gateway.shapes import Count, Instant, Row, Sent
from gateway.wire import StreamState

DEADLINE_MS, MAX_DEADLINE_MS = 10_000, 60_000
MAX_PAYLOAD_BYTES = 1_000_000

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Words: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4_000)]
Deadline: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_DEADLINE_MS)]
Sections: TypeAlias = dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=200_000)]]


class Asked(Struct, kw_only=True):
    """What a client sends: fields we do not know are a newer client's, and ignored."""


# -- the connection -------------------------------------------------------------------------------
class ConnectAuth(Asked, kw_only=True):
    """The ``auth`` of a connection; ``offsets`` are the last ``seq`` applied, null for a snapshot."""

    ticket: str
    proto: Literal[1] = 1
    tab: Annotated[str, Meta(max_length=200)] = ""
    device: Annotated[str, Meta(max_length=400)] | None = None
    epoch: str | None = None
    offsets: Annotated[dict[Name, Count | None], Meta(max_length=64)] = {}


class Subscribe(Asked, kw_only=True):
    """More streams, or the same again after a gap."""

    streams: Annotated[dict[Name, Count | None], Meta(max_length=64)]


class Unsubscribe(Asked, kw_only=True):
    """Fewer streams; the own one stays."""

    streams: Annotated[list[Name], Meta(max_length=64)]


class Reauth(Asked, kw_only=True):
    """A fresh ticket, so that the socket outlives its access token."""

    ticket: str


class Time(Asked, kw_only=True):
    """A sample of the clock offset."""

    t0: float


class Ack(Asked, kw_only=True):
    """All events of the stream up to ``seq`` are applied."""

    s: Name
    seq: Count


# -- commands -------------------------------------------------------------------------------------
class Command(Asked, kw_only=True):
    """The same ``idem`` has one effect and one answer; ``deadline_ms`` counts from receipt."""

    idem: Name
    deadline_ms: Deadline = DEADLINE_MS


class Accept(Command, kw_only=True):
    """Take the offered study."""

    study_uid: Name
    offer_id: Name


class Decline(Command, kw_only=True):
    """Do not take the offered study."""

    study_uid: Name
    offer_id: Name
    reason: DeclineReason
    note: Annotated[str, Meta(max_length=4_000)] = ""


class StartReading(Command, kw_only=True):
    """The study is on the screen; ``tab`` is which of hers."""

    study_uid: Name
    tab: Annotated[str, Meta(max_length=100)] = ""


class Release(Command, kw_only=True):
    """Give the study back to the pool."""

    study_uid: Name
    reason: Words


class SaveDraft(Command, kw_only=True):
    """Save the report as it stands; ``base_version`` 0 creates it."""

    study_uid: Name
    base_version: Count
    sections: Sections


class Sign(Command, kw_only=True):
    """Sign the saved draft of ``report_version``."""

    study_uid: Name
    version: Count
    report_version: Count
    kind: SignKind
    confirm: bool = False
    text: Annotated[str, Meta(max_length=200_000)] = ""


class NextCase(Command, kw_only=True):
    """Assign me what I should read next; or this one, within the window that the policy leaves me."""

    study_uid: Annotated[str, Meta(max_length=64)] = ""


class SetPresence(Command, kw_only=True):
    """What the person says she is doing."""

    state: Literal["online", "reading", "busy", "away", "off"]
    study_uid: Name | None = None


class Assign(Command, kw_only=True):
    """A manager gives the study to a reader."""

    study_uid: Name
    version: Count
    radiologist_id: Name
    reason: Annotated[str, Meta(max_length=4_000)] = ""
    override: bool = False


class Settle(Command, kw_only=True):
    """Say whether the two readings agree; a manager says which of them stands, ``first`` or ``second``."""

    study_uid: Name
    version: Count
    outcome: Outcome
    note: Annotated[str, Meta(max_length=4_000)] = ""


class PauseClock(Command, kw_only=True):
    """Stop the SLA clock for a reason."""

    study_uid: Name
    version: Count
    reason: Words


class ResumeClock(Command, kw_only=True):
    """Let the SLA clock run on."""

    study_uid: Name
    version: Count
    reason: Words


COMMANDS: dict[str, type[Command]] = {
    "accept": Accept,
    "decline": Decline,
    "start_reading": StartReading,
    "release": Release,
    "save_draft": SaveDraft,
    "sign": Sign,
    "settle": Settle,
    "next_case": NextCase,
    "set_presence": SetPresence,
    "assign": Assign,
    "pause_clock": PauseClock,
    "resume_clock": ResumeClock,
}
CALLS: dict[str, type[Asked]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "reauth": Reauth,
    "time": Time,
}


# -- answers --------------------------------------------------------------------------------------
class Subscribed(Sent):
    """Answer of ``subscribe`` and ``unsubscribe``."""

    ok: Literal[True]
    streams: dict[str, StreamState]
    refused: dict[str, str]


class Reauthed(Sent):
    """Answer of ``reauth``."""

    ok: Literal[True]
    expires_at: Instant


class TimeAnswer(Sent):
    """Answer of ``time``."""

    t0: float
    server_time: Instant


class Done(Struct, kw_only=True):
    """Answer of a command that took effect; ``version`` is the study's step, where there is one."""

    ok: Literal[True]
    version: Count | UnsetType = UNSET
    row: Row | UnsetType | None = UNSET
    report_id: str | UnsetType = UNSET
    report_version: Count | UnsetType = UNSET


class Refused(Struct, kw_only=True):
    """Answer of a call that had no effect; ``error`` is the code, the rest depends on it."""

    error: str
    message: str
    field: str | UnsetType = UNSET
    by: str | UnsetType | None = UNSET
    row: Row | UnsetType | None = UNSET
    report_version: Count | UnsetType = UNSET
    sections: dict[str, Any] | UnsetType = UNSET
    why: str | UnsetType = UNSET
    received: Count | UnsetType = UNSET
    expected: Count | UnsetType | None = UNSET
