"""Business time is monotone and additive, measures what it added, and survives both DST changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.calendar import Calendar, add, back, between, instant_of, spans

BERLIN = "Europe/Berlin"
OFFICE = Calendar(BERLIN, (((480, 720), (780, 1080)),) * 5 + ((), ()), frozenset({date(2026, 12, 25)}))
NIGHTS = Calendar(BERLIN, (((0, 360), (1320, 1440)),) * 7)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    def day() -> tuple[tuple[int, int], ...]:
        edges = sorted(draw(st.sets(st.integers(0, 1440), max_size=6)))
        return tuple((a, b) for a, b in zip(edges[::2], edges[1::2], strict=False))

    week = tuple(day() for _ in range(6))
    free = draw(st.sets(st.dates(date(2025, 12, 1), date(2027, 2, 1)), max_size=5))
    zone = draw(st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]))
    return Calendar(zone, (*week, ((540, 1020),)), frozenset(free))


INSTANTS = st.integers(0, 364 * 86_400).map(lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
SECONDS = st.integers(0, 200_000)
LAW = settings(max_examples=150, deadline=None)


@LAW
@given(calendars(), INSTANTS, SECONDS, SECONDS)
def test_adding_twice_is_adding_once(hours: Calendar, since: datetime, a: int, b: int) -> None:
    assert add(hours, add(hours, since, a), b) == add(hours, since, a + b) or a + b == 0


@LAW
@given(calendars(), INSTANTS, st.integers(0, 100_000), SECONDS)
def test_later_starts_and_longer_times_end_no_sooner(hours: Calendar, since: datetime, later_s: int, s: int) -> None:
    assert add(hours, since, s) <= add(hours, since + timedelta(seconds=later_s), s)
    assert add(hours, since, s) <= add(hours, since, s + later_s)
    assert back(hours, since, s) <= back(hours, since + timedelta(seconds=later_s), s)


@LAW
@given(calendars(), INSTANTS, SECONDS)
def test_what_was_added_is_what_lies_between(hours: Calendar, since: datetime, s: int) -> None:
    assert between(hours, since, add(hours, since, s)) == s
    assert between(hours, back(hours, since, s), since) == s
    assert between(hours, since, back(hours, add(hours, since, s), s)) == 0
    assert between(None, since, add(None, since, s)) == s


@LAW
@given(calendars(), INSTANTS, SECONDS, SECONDS)
def test_parts_between_add_up(hours: Calendar, since: datetime, a: int, b: int) -> None:
    middle = since + timedelta(seconds=a)
    end = middle + timedelta(seconds=b)
    assert between(hours, since, middle) + between(hours, middle, end) == between(hours, since, end)


@LAW
@given(calendars(), st.dates(date(2026, 1, 1), date(2026, 12, 31)))
def test_open_hours_never_overlap(hours: Calendar, day: date) -> None:
    several = [span for d in range(3) for span in spans(hours, day + timedelta(days=d))]
    assert all(a < b for a, b in several)
    assert all(a[1] <= b[0] for a, b in pairwise(several))


def test_an_evening_order_is_due_the_next_working_day() -> None:
    assert add(OFFICE, at("2026-11-24T17:30+01:00"), 7200) == at("2026-11-25T09:30+01:00")
    assert add(OFFICE, at("2026-11-27T17:00+01:00"), 7200) == at("2026-11-30T09:00+01:00")  # over a weekend
    assert add(OFFICE, at("2026-11-24T11:30+01:00"), 3600) == at("2026-11-24T13:30+01:00")  # over lunch
    assert add(OFFICE, at("2026-12-24T17:30+01:00"), 3600) == at("2026-12-28T08:30+01:00")  # over a holiday
    assert back(OFFICE, at("2026-11-30T09:00+01:00"), 7200) == at("2026-11-27T17:00+01:00")


def test_a_night_is_an_hour_shorter_in_spring_and_longer_in_autumn() -> None:
    assert between(NIGHTS, at("2026-03-28T22:00+01:00"), at("2026-03-29T06:00+02:00")) == 7 * 3600
    assert between(NIGHTS, at("2026-10-24T22:00+02:00"), at("2026-10-25T06:00+01:00")) == 9 * 3600
    assert add(NIGHTS, at("2026-03-29T01:30+01:00"), 3600) == at("2026-03-29T03:30+02:00")
    assert add(NIGHTS, at("2026-10-25T02:30+02:00"), 3600) == at("2026-10-25T02:30+01:00")


@pytest.mark.parametrize("minute", [120, 135, 179])
def test_a_minute_that_clocks_skip_is_the_instant_of_the_skip(minute: int) -> None:
    assert instant_of(BERLIN, date(2026, 3, 29), minute) == at("2026-03-29T01:00+00:00")


def test_a_minute_that_comes_twice_is_the_first() -> None:
    assert instant_of(BERLIN, date(2026, 10, 25), 150) == at("2026-10-25T02:30+02:00")


def test_no_time_at_all_ends_where_it_began() -> None:
    closed = at("2026-11-22T12:00+01:00")
    assert add(OFFICE, closed, 0) == back(OFFICE, closed, 0) == closed
    assert between(OFFICE, closed, closed) == 0
