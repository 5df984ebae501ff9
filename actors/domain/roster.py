"""When readers work: local patterns become instants, over midnight, over clock changes, never twice at once.

A wall-clock time that a clock change skips is read with the offset before it (PEP 495, ``fold=0``),
one that comes twice is its first occurrence. So who leaves at a wall time and who comes at it meet in
one instant, and a night shift is an hour shorter in spring and an hour longer in autumn.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from actors.domain.errors import BadPayload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DAYS_MOST = 400  # of one roster
SHIFT_MOST = timedelta(hours=36)
ROSTERED = timedelta(days=30)  # who had a shift since then, or has one to come, works by the roster
_ONE_DAY = timedelta(days=1)


class Kind(StrEnum):
    """On duty reads; on call is told when nobody can."""

    DUTY = "duty"
    ON_CALL = "on_call"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of time, its end not included."""

    starts_at: datetime
    ends_at: datetime

    def holds(self, at: datetime) -> bool:
        """Whether the instant lies within."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True, slots=True)
class Shift(Span):
    """One person's shift; ``breaks`` lie within it."""

    kind: Kind = Kind.DUTY
    breaks: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """The same hours on some weekdays (1 is Monday, ISO 8601) from one day to another, both included.

    ``ends`` at or before ``starts`` is on the next day; so is a break before ``starts``.
    """

    time_zone: str
    weekdays: frozenset[int]
    starts: time
    ends: time
    first_day: date
    last_day: date
    kind: Kind = Kind.DUTY
    breaks: tuple[tuple[time, time], ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a reader stands by the roster; ``ends_at`` is when unbroken duty ends, None without a roster."""

    on_shift: bool
    ends_at: datetime | None = None
    on_call: bool = False


def zone(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        BadPayload: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"There is no time zone {name!r}; one is Europe/Berlin."
        raise BadPayload(message, {"field": "time_zone"}) from None


def local(day: date, at: time, where: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which the clocks of a place show a time of a day."""
    return datetime.combine(day, at, where).astimezone(UTC)


def _span(day: date, starts: time, ends: time, where: ZoneInfo) -> Span:
    last = day + _ONE_DAY if ends <= starts else day
    return Span(local(day, starts, where), local(last, ends, where))


def _breaks(pattern: Pattern, day: date, where: ZoneInfo) -> tuple[Span, ...]:
    spans = []
    for starts, ends in pattern.breaks:
        own = day + _ONE_DAY if starts < pattern.starts else day
        span = _span(own, starts, ends, where)
        if span.starts_at < span.ends_at:  # a clock change may leave nothing of it
            spans.append(span)
    return tuple(sorted(spans))


def expand(pattern: Pattern) -> list[Shift]:
    """Return the shifts of a pattern in their order; one that a clock change leaves no time for is left out.

    Raises:
        BadPayload: naming the field.
    """
    where = zone(pattern.time_zone)
    _check(pattern)
    shifts = []
    for n in range((pattern.last_day - pattern.first_day).days + 1):
        day = pattern.first_day + timedelta(days=n)
        if day.isoweekday() not in pattern.weekdays:
            continue
        span = _span(day, pattern.starts, pattern.ends, where)
        if span.starts_at < span.ends_at:
            shifts.append(shift(span.starts_at, span.ends_at, pattern.kind, _breaks(pattern, day, where)))
    return shifts


def _check(pattern: Pattern) -> None:
    if not pattern.weekdays <= frozenset(range(1, 8)) or not pattern.weekdays:
        raise BadPayload("weekdays holds numbers from 1 (Monday) to 7 (Sunday).", {"field": "weekdays"})
    for name, day in (("first_day", pattern.first_day), ("last_day", pattern.last_day)):
        if not 1970 < day.year < 9000:  # noqa: PLR2004 - what a calendar holds
            raise BadPayload(f"{name}: {day} is not a day to work on.", {"field": name})
    if pattern.last_day < pattern.first_day:
        raise BadPayload("last_day comes before first_day.", {"field": "last_day"})
    if (pattern.last_day - pattern.first_day).days >= DAYS_MOST:
        raise BadPayload(f"A roster spans at most {DAYS_MOST} days: make another for the rest.", {"field": "last_day"})


def shift(starts_at: datetime, ends_at: datetime, kind: Kind = Kind.DUTY, breaks: Sequence[Span] = ()) -> Shift:
    """Return a shift.

    Raises:
        BadPayload: it ends before it begins, lasts too long, or a break is not within it.
    """
    if ends_at <= starts_at:
        raise BadPayload("A shift ends after it begins.", {"field": "ends_at"})
    if ends_at - starts_at > SHIFT_MOST and kind is Kind.DUTY:
        raise BadPayload("A shift on duty lasts at most 36 hours: split it.", {"field": "ends_at"})
    ordered = tuple(sorted(Span(b.starts_at, b.ends_at) for b in breaks))
    for span in ordered:
        if not starts_at <= span.starts_at < span.ends_at <= ends_at:
            raise BadPayload("A break begins and ends within its shift.", {"field": "breaks"})
    if any(after.starts_at < before.ends_at for before, after in pairwise(ordered)):
        raise BadPayload("Breaks of a shift do not overlap.", {"field": "breaks"})
    return Shift(starts_at, ends_at, kind, ordered)


def clash(shifts: Iterable[Shift]) -> tuple[Shift, Shift] | None:
    """Return two shifts of one person and kind that overlap, None when none do."""
    for kind in Kind:
        ordered = sorted((s for s in shifts if s.kind is kind), key=lambda s: (s.starts_at, s.ends_at))
        for before, after in pairwise(ordered):
            if after.starts_at < before.ends_at:
                return before, after
    return None


def unbroken(shifts: Sequence[Shift], absences: Sequence[Span], now: datetime) -> datetime | None:
    """Return when duty that runs now ends: shifts that meet are one, an absence cuts it; None when off duty."""
    ends_at = None
    for span in sorted(s for s in shifts if s.kind is Kind.DUTY):
        if span.holds(now) or (ends_at is not None and span.starts_at <= ends_at < span.ends_at):
            ends_at = span.ends_at if ends_at is None else max(ends_at, span.ends_at)
    if ends_at is None or any(a.holds(now) for a in absences):
        return None
    return min([ends_at, *(a.starts_at for a in absences if now < a.starts_at < ends_at)])


def standing(shifts: Sequence[Shift], absences: Sequence[Span], now: datetime) -> Standing:
    """Return where a reader stands; without a roster everyone is on shift, but not in her vacation."""
    away = any(a.holds(now) for a in absences)
    on_call = not away and any(s.kind is Kind.ON_CALL and s.holds(now) for s in shifts)
    duties = [s for s in shifts if s.kind is Kind.DUTY]
    if not any(s.ends_at > now - ROSTERED for s in duties):
        leaves = min((a.starts_at for a in absences if a.starts_at > now), default=None)
        return Standing(not away, leaves, on_call)
    ends_at = unbroken(duties, absences, now)
    resting = any(s.holds(now) and any(b.holds(now) for b in s.breaks) for s in duties)
    return Standing(ends_at is not None and not resting, ends_at, on_call)
