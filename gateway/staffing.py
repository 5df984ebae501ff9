"""Bodies of the REST calls about readers and their hours; names as in :mod:`gateway.schema`."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from actors.domain.words import Role
from gateway.schema import Asked, Given, Id, Short, Version
from gateway.shapes import Instant

Day: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)")]
ClockTime: TypeAlias = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)", description="local")]
Moment: TypeAlias = Annotated[str, Meta(min_length=16, max_length=40, description="ISO 8601 with an offset or Z")]
Skill: TypeAlias = Annotated[int, Meta(ge=1, le=3, description="1 learning, 2 reads, 3 expert")]
ShiftKind: TypeAlias = Literal["duty", "on_call"]


class Licence(Asked, frozen=True, kw_only=True):
    """Where she may read, from one day to another, both included; null is without end."""

    jurisdiction: Short
    valid_from: Day | None = None
    valid_to: Day | None = None


class Privilege(Asked, frozen=True, kw_only=True):
    """A hospital that has admitted her."""

    site: Id
    valid_from: Day | None = None
    valid_to: Day | None = None


class Interest(Asked, frozen=True, kw_only=True):
    """Whose studies she never reads; ``of`` is an id."""

    about: Literal["site", "referring_physician", "patient"]
    of: Id


class ReaderIn(Asked, frozen=True, kw_only=True):
    """The whole profile of a reader; what is absent does not bind. ``version`` is the one that was seen."""

    licences: list[Licence] = field(default_factory=list)
    privileges: list[Privilege] = field(default_factory=list)
    subspecialties: dict[str, Skill] = field(default_factory=dict)
    modalities: dict[str, Skill] = field(default_factory=dict)
    capacity: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    conflicts: list[Interest] = field(default_factory=list)
    version: Version


class Profile(Given, frozen=True, kw_only=True):
    """A reader with her profile; ``capacity`` null is the policy's."""

    radiologist_id: str
    name: str
    email: str
    role: Role
    licences: list[Licence]
    privileges: list[Privilege]
    subspecialties: dict[str, int]
    modalities: dict[str, int]
    capacity: int | None
    conflicts: list[Interest]
    version: int


class Profiles(Given, frozen=True, kw_only=True):
    """A page of readers."""

    items: list[Profile]
    next: str | None


class Stretch(Asked, frozen=True, kw_only=True):
    """From one instant to another."""

    starts_at: Moment
    ends_at: Moment


class ShiftIn(Stretch, frozen=True, kw_only=True):
    """A shift; ``breaks`` lie within it."""

    radiologist_id: Id
    kind: ShiftKind = "duty"
    breaks: Annotated[list[Stretch], Meta(max_length=20)] = field(default_factory=list)


class ShiftChange(ShiftIn, frozen=True, kw_only=True):
    """A shift as it is to be, and the version that was seen."""

    version: Version


class SwapIn(Asked, frozen=True, kw_only=True):
    """The other reader's shift, and the version that was seen of this one."""

    with_shift_id: Id
    version: Version


class Shift(Given, frozen=True, kw_only=True):
    """When a reader works; ``roster_id`` null: made or changed by hand."""

    shift_id: str
    radiologist_id: str
    starts_at: Instant
    ends_at: Instant
    kind: ShiftKind
    breaks: list[Stretch]
    roster_id: str | None
    version: int


class Shifts(Given, frozen=True, kw_only=True):
    """A page of shifts."""

    items: list[Shift]
    next: str | None


class LocalBreak(Asked, frozen=True, kw_only=True):
    """A break of every shift of a roster."""

    starts: ClockTime
    ends: ClockTime


class RosterIn(Asked, frozen=True, kw_only=True):
    """The same hours on some weekdays (1 Monday to 7 Sunday); ``ends`` at or before ``starts`` is the next day."""

    radiologist_id: Id
    time_zone: Short | None = None
    weekdays: Annotated[list[Annotated[int, Meta(ge=1, le=7)]], Meta(min_length=1, max_length=7)]
    starts: ClockTime
    ends: ClockTime
    first_day: Day
    last_day: Day
    kind: ShiftKind = "duty"
    breaks: Annotated[list[LocalBreak], Meta(max_length=20)] = field(default_factory=list)


class RosterChange(RosterIn, frozen=True, kw_only=True):
    """A roster as it is to be, and the version that was seen."""

    version: Version


class Roster(Given, frozen=True, kw_only=True):
    """A pattern of hours, and how many shifts of it stand."""

    roster_id: str
    radiologist_id: str
    time_zone: str
    weekdays: list[int]
    starts: str
    ends: str
    first_day: str
    last_day: str
    kind: ShiftKind
    breaks: list[LocalBreak]
    shifts: int
    version: int


class Rosters(Given, frozen=True, kw_only=True):
    """A page of rosters."""

    items: list[Roster]
    next: str | None


class AbsenceIn(Stretch, frozen=True, kw_only=True):
    """A vacation or the like: no shift counts within it."""

    radiologist_id: Id
    reason: Short = ""


class AbsenceChange(AbsenceIn, frozen=True, kw_only=True):
    """An absence as it is to be, and the version that was seen."""

    version: Version


class Absence(Given, frozen=True, kw_only=True):
    """When a reader is away."""

    absence_id: str
    radiologist_id: str
    starts_at: Instant
    ends_at: Instant
    reason: str
    version: int


class Absences(Given, frozen=True, kw_only=True):
    """A page of absences."""

    items: list[Absence]
    next: str | None


class SheetError(Given, frozen=True, kw_only=True):
    """One thing that is wrong in a sheet, and what would be right."""

    line: int
    column: str
    what: str
    cure: str


class SheetTaken(Given, frozen=True, kw_only=True):
    """What a sheet did, or with ``dry_run`` would do."""

    rows: int
    changed: int
    applied: bool
    errors: list[SheetError]
