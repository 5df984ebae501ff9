"""The ``clock`` of a policy as REST takes and gives it; its rules are in :mod:`actors.domain.clocks`."""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from actors.domain.due import ClockStart, ClockStop
from actors.domain.words import Priority, Setting

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=31_536_000)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Hours: TypeAlias = Annotated[list[str], Meta(description="As 08:00-12:00; 24:00 ends a day.", max_length=20)]


class CalendarHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The open hours of each weekday, in local time; an absent day is closed."""

    mon: Hours = []
    tue: Hours = []
    wed: Hours = []
    thu: Hours = []
    fri: Hours = []
    sat: Hours = []
    sun: Hours = []


class Calendar(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hours that count for a clock; they are local to the time zone, across both DST changes."""

    time_zone: Text
    hours: CalendarHours
    holidays: Annotated[list[str], Meta(description="Days that do not count, as 2026-12-25.", max_length=1_000)] = []


class Pauses(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which reasons stop a clock (none named: any), and after how many seconds it goes on by itself, or that none stops it."""

    reasons: Annotated[list[Text], Meta(max_length=100)] = []
    most_s: Seconds | None = None
    never: bool | UnsetType = UNSET


class Rung(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of a ladder: exactly one of share, before_due_s and after_due_s says when."""

    share: Annotated[float, Meta(gt=0, le=1)] | UnsetType | None = UNSET
    before_due_s: Seconds | UnsetType | None = UNSET
    after_due_s: Seconds | UnsetType | None = UNSET
    tell: list[Literal["reader", "on_call", "managers"]] = []
    priority: Priority | None = None


class Clock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How clocks count, pause and escalate; what is absent is the default: around the clock, nobody told."""

    calendars: dict[str, Calendar] = {}
    calendar: Annotated[dict[Priority, str | None], Meta(description="The calendar of each priority.")] = {}
    pause: Pauses = Pauses()
    escalation: dict[Priority, Annotated[list[Rung], Meta(max_length=20)]] = {}


class SlaRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the table of due times: for which studies, how long, by which hours, from when to when."""

    priority: Priority | UnsetType | None = UNSET
    modality: Annotated[str, Meta(pattern=r"^[A-Z0-9_]{1,16}$(?!\n)")] | UnsetType | None = UNSET
    setting: Setting | UnsetType | None = UNSET
    due_s: Seconds
    warn_s: Seconds | UnsetType = UNSET
    calendar: Annotated[str, Meta(description="Absent: the priority's; null: around the clock.")] | UnsetType | None = (
        UNSET
    )
    start: ClockStart | UnsetType = UNSET
    stop: ClockStop | UnsetType = UNSET
    pause: Pauses | UnsetType | None = UNSET
