"""Bodies of the REST calls; of reports in :mod:`gateway.reports`, rows and readers in :mod:`gateway.shapes`."""

from typing import Annotated, Any, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from actors.domain.assignment.rules import Rules
from actors.domain.double import SecondReads
from actors.domain.words import DeclineReason, Flag, Priority, Role, Setting
from gateway.clock_schema import Clock, SlaRule
from gateway.shapes import Counters, Instant, Reader, Row

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Short: TypeAlias = Annotated[str, Meta(max_length=200)]
Words: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4_000)]
Version: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Uid: TypeAlias = Annotated[
    str, Meta(max_length=64, pattern=r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$(?!\n)", description="UI, PS3.5 9.1")
]
Code: TypeAlias = Annotated[str, Meta(max_length=16, pattern=r"^[A-Z0-9_ ]*$(?!\n)", description="CS, PS3.5 6.2")]
Date: TypeAlias = Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$(?!\n)")]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=31_536_000)]


class Asked(Struct, frozen=True, kw_only=True):
    """What a client sends; fields we do not know are ignored."""


class Given(Struct, frozen=True, kw_only=True):
    """What a call answers."""


class Nothing(Given, frozen=True, kw_only=True):
    """It is done; there is nothing to say."""


# -- log-in ---------------------------------------------------------------------------------------
class Login(Asked, frozen=True, kw_only=True):
    """Who I am, and in which group."""

    email: Short
    password: Annotated[str, Meta(max_length=1_000)]
    otp: Short | None = None
    tenant: Short | None = None


class Refresh(Asked, frozen=True, kw_only=True):
    """The refresh token, which may be used once."""

    refresh_token: Short


class SwitchTenant(Asked, frozen=True, kw_only=True):
    """Another group, by id or name."""

    tenant: Id


class SiteName(Given, frozen=True, kw_only=True):
    """A hospital."""

    id: str
    name: str


class Membership(Given, frozen=True, kw_only=True):
    """What a person is in one group."""

    tenant_id: str
    name: str
    role: Role


class User(Given, frozen=True, kw_only=True):
    """The person of the session, as she is in its group."""

    id: str
    email: str
    name: str
    role: Role
    tenant_id: str | None
    sites: list[SiteName]
    memberships: list[Membership]


class Session(Given, frozen=True, kw_only=True):
    """A session's credentials."""

    access_token: str
    refresh_token: str
    expires_in: int
    user: User


class Ticket(Given, frozen=True, kw_only=True):
    """One socket may connect with it, soon."""

    ticket: str
    expires_in: int


# -- orders ---------------------------------------------------------------------------------------
class OrderPatient(Asked, frozen=True, kw_only=True):
    """Whom the order is for; ``issuer`` is the site's own when absent."""

    mrn: Annotated[str, Meta(min_length=1, max_length=64)]
    issuer: Annotated[str, Meta(max_length=64)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    birth_date: Date | None = None
    sex: Annotated[str, Meta(pattern=r"^[MFO]?$(?!\n)")] | None = None


class OrderIn(Asked, frozen=True, kw_only=True):
    """An order, new or again."""

    accession_number: Annotated[str, Meta(min_length=1, max_length=64)]
    priority: Priority
    procedure: Annotated[str, Meta(min_length=1, max_length=200)]
    modality: Annotated[str, Meta(min_length=1, max_length=16, pattern=r"^[A-Z0-9_ ]+$(?!\n)")]
    body_part: Short = ""
    laterality: Code = ""
    patient: OrderPatient
    site: Id | None = None
    study_uid: Uid | None = None
    referring_physician: Id | None = None
    setting: Setting | None = None
    expected_instances: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class StudyIn(OrderIn, frozen=True, kw_only=True):
    """An order for images that come from elsewhere under this UID."""

    study_uid: Uid


class CancelOrder(Asked, frozen=True, kw_only=True):
    """Why, and whose order."""

    site: Id | None = None
    reason: Words


class Join(Asked, frozen=True, kw_only=True):
    """The order that these images belong to."""

    accession_number: Annotated[str, Meta(min_length=1, max_length=64)]
    version: Version


class MergePatient(Asked, frozen=True, kw_only=True):
    """Whose number took the place of this one; issuers are the site's own when absent."""

    into: Annotated[str, Meta(min_length=1, max_length=64)]
    into_issuer: Annotated[str, Meta(max_length=64)] | None = None
    issuer: Annotated[str, Meta(max_length=64)] | None = None
    site: Id | None = None
    reason: Words
    confirm: bool = False


class UnmergePatient(Asked, frozen=True, kw_only=True):
    """Why the number was not given up after all."""

    issuer: Annotated[str, Meta(max_length=64)] | None = None
    site: Id | None = None
    reason: Words


class MoveStudy(Asked, frozen=True, kw_only=True):
    """Where the study belongs: an order of its site, or a patient, by number or by the id that the history names."""

    version: Version
    reason: Words
    accession_number: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    mrn: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    issuer: Annotated[str, Meta(max_length=64)] | None = None
    patient_id: Id | None = None
    confirm: bool = False


class Dismiss(Asked, frozen=True, kw_only=True):
    """A flag that a person has settled."""

    flag: Flag
    reason: Words


# -- studies --------------------------------------------------------------------------------------
class Assign(Asked, frozen=True, kw_only=True):
    """Who shall read it."""

    radiologist_id: Id
    version: Version
    reason: Annotated[str, Meta(max_length=4_000)] | None = None
    override: bool = False


class Accept(Asked, frozen=True, kw_only=True):
    """Which offer."""

    offer_id: Id


class Decline(Asked, frozen=True, kw_only=True):
    """Which offer, and why."""

    offer_id: Id
    reason: DeclineReason
    note: Annotated[str, Meta(max_length=4_000)] | None = None


class Start(Asked, frozen=True, kw_only=True):
    """In which tab it is on her screen, if there are several."""

    tab: Annotated[str, Meta(max_length=100)] = ""


class Release(Asked, frozen=True, kw_only=True):
    """Why it goes back to the pool."""

    reason: Words


class Done(Given, frozen=True, kw_only=True):
    """The command took effect; ``version`` is the study's step."""

    ok: bool
    version: int | UnsetType = UNSET
    row: Row | UnsetType | None = UNSET


class Merged(Done, frozen=True, kw_only=True):
    """The studies that have another patient now."""

    merged: list[str]


class Rows(Given, frozen=True, kw_only=True):
    """A page of rows."""

    items: list[Row]
    next: str | None


class Board(Rows, frozen=True, kw_only=True):
    """A page of open studies, with counters and readers of the same instant."""

    counters: Counters
    readers: list[Reader]
    as_of_seq: int


class Past(Given, frozen=True, kw_only=True):
    """One event of a study's journal."""

    version: int
    type: str
    at: Instant
    by: str | None
    data: dict[str, Any]


class Explanation(Given, frozen=True, kw_only=True):
    """Why a study was given to whom; beside these fields what the decider weighed."""

    offer_id: str
    at: Instant


class History(Given, frozen=True, kw_only=True):
    """A page of a study's journal."""

    items: list[Past]
    next: str | None


# -- policy ---------------------------------------------------------------------------------------
class Sla(Struct, frozen=True, kw_only=True):
    """Seconds from ``started_at`` to the warning and to the breach."""

    due_s: Seconds
    warn_s: Seconds | UnsetType = UNSET


class Policy(Asked, frozen=True, kw_only=True):
    """Rules for later studies and offers; what is absent is the default."""

    offer_open_s: dict[Priority, Seconds] = {}
    sla: dict[Priority, Sla] = {}
    sla_rules: Annotated[list[SlaRule], Meta(max_length=200, description="The first that fits a study counts.")] = []
    capacity: Annotated[int, Meta(ge=1, le=1_000)] = 5
    clock: Clock | UnsetType = UNSET
    assignment: Rules = Rules()
    second_reads: SecondReads = SecondReads()


# -- the instance ---------------------------------------------------------------------------------
class Health(Given, frozen=True, kw_only=True):
    """The process is alive."""

    status: str


class Ready(Given, frozen=True, kw_only=True):
    """Each part that a request needs, and whether it answers."""

    status: str
    parts: dict[str, bool]


class Problem(Given, frozen=True, kw_only=True):
    """A refusal (RFC 9457); ``code`` is the socket's ``error``."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | UnsetType = UNSET
