"""Business time: which seconds of the year count, in a hospital's own time zone, across both DST changes.

A clock that runs around the clock has no calendar (None): its time is plain time. Laws, tested for
random calendars, zones and instants: :func:`add` is monotone and additive, :func:`back` undoes it,
:func:`between` measures what it added, and nobody's hour is counted twice or lost when clocks change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Span: TypeAlias = tuple[datetime, datetime]
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours that count.

    Args:
        time_zone: IANA name, as Europe/Berlin.
        week: for Monday to Sunday the open hours, (from, to) in minutes of the local day, in order and apart.
        holidays: local days that do not count.
    """

    time_zone: str
    week: tuple[tuple[tuple[int, int], ...], ...]
    holidays: frozenset[date] = frozenset()


Hours: TypeAlias = Calendar | None


@lru_cache(maxsize=4096)
def instant_of(time_zone: str, day: date, minute: int) -> datetime:
    """Return the instant at which a local clock shows a minute of a day.

    Of two it is the first, and where clocks skip that minute it is the instant of the skip.

    Args:
        time_zone: IANA name.
        day: the local day.
        minute: 0 to 1440, where 1440 is the next day's midnight.
    """
    zone = ZoneInfo(time_zone)
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001 - a wall clock's reading
    before = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None) == wall:
        return before
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), before  # the skip lies between
    offset = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
    return high.replace(microsecond=0)


@lru_cache(maxsize=1024)
def spans(calendar: Calendar, day: date) -> tuple[Span, ...]:
    """Return the open hours of a local day as instants, empty ones left out."""
    if day in calendar.holidays:
        return ()
    hours = calendar.week[day.weekday()]
    at = [(instant_of(calendar.time_zone, day, a), instant_of(calendar.time_zone, day, b)) for a, b in hours]
    return tuple((a, b) for a, b in at if b > a)


def _from(calendar: Calendar, at: datetime, step: timedelta) -> Iterator[Span]:
    """Return the open hours from the local day of an instant on, or back from it."""
    day = at.astimezone(ZoneInfo(calendar.time_zone)).date() - step  # a zone's day may begin late: one more
    while True:
        yield from spans(calendar, day)[:: step.days]
        day += step


def add(hours: Hours, at: datetime, seconds: float) -> datetime:
    """Return the instant by which so many open seconds have passed since ``at``; never before ``at``."""
    left = timedelta(seconds=seconds)
    if hours is None:
        return at + left
    if left <= timedelta():
        return at
    for begins, ends in _from(hours, at, _ONE_DAY):
        open_s = ends - max(begins, at)
        if open_s >= left:
            return max(begins, at) + left
        left -= max(open_s, timedelta())
    raise AssertionError  # a calendar has open hours in every week


def back(hours: Hours, at: datetime, seconds: float) -> datetime:
    """Return the instant from which so many open seconds pass until ``at``; never after ``at``."""
    left = timedelta(seconds=seconds)
    if hours is None:
        return at - left
    if left <= timedelta():
        return at
    for begins, ends in _from(hours, at, -_ONE_DAY):
        open_s = min(ends, at) - begins
        if open_s >= left:
            return min(ends, at) - left
        left -= max(open_s, timedelta())
    raise AssertionError  # as above


def between(hours: Hours, since: datetime, until: datetime) -> float:
    """Return the open seconds from one instant to a later one, 0 when it is not later."""
    if until <= since:
        return 0.0
    if hours is None:
        return (until - since).total_seconds()
    total = timedelta()
    for begins, ends in _from(hours, since, _ONE_DAY):
        if begins >= until:
            return total.total_seconds()
        total += max(min(ends, until) - max(begins, since), timedelta())
    raise AssertionError  # as above
