"""Shifts over midnight, over clock changes and time zones; laws that hold for every pattern."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import BadPayload
from actors.domain.roster import (
    Kind,
    Pattern,
    Shift,
    Span,
    Standing,
    clash,
    expand,
    local,
    shift,
    standing,
    unbroken,
    zone,
)

NEW_YORK, OSLO = ZoneInfo("America/New_York"), ZoneInfo("Europe/Oslo")
ALL_DAYS = frozenset(range(1, 8))
NIGHT = Pattern("America/New_York", ALL_DAYS, time(22), time(6), date(2026, 3, 6), date(2026, 3, 8))
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
H = timedelta(hours=1)


def hours(shifts: list[Shift]) -> list[float]:
    return [(s.ends_at - s.starts_at) / H for s in shifts]


def test_a_night_shift_rolls_over_midnight_and_loses_the_hour_that_spring_takes() -> None:
    shifts = expand(NIGHT)
    assert hours(shifts) == [8, 7, 8]  # clocks go forward in the night of 2026-03-07 to 08
    assert shifts[0].starts_at == datetime(2026, 3, 7, 3, tzinfo=UTC)
    assert shifts[2].starts_at == datetime(2026, 3, 9, 2, tzinfo=UTC)


def test_a_night_shift_gains_the_hour_that_autumn_gives() -> None:
    autumn = replace(NIGHT, first_day=date(2026, 10, 31), last_day=date(2026, 11, 1))
    assert hours(expand(autumn)) == [9, 8]


def test_who_hands_over_at_a_skipped_or_doubled_time_meets_who_comes() -> None:
    for day, at in ((date(2026, 3, 8), time(2, 30)), (date(2026, 11, 1), time(1, 30))):
        early = Pattern("America/New_York", ALL_DAYS, time(0), at, day, day)
        late = Pattern("America/New_York", ALL_DAYS, at, time(8), day, day)
        assert expand(early)[0].ends_at == expand(late)[0].starts_at


def test_a_shift_within_the_skipped_hour_does_not_take_place() -> None:
    day = date(2026, 3, 8)
    assert expand(Pattern("America/New_York", ALL_DAYS, time(2, 30), time(3, 10), day, day)) == []


def test_breaks_follow_their_shift_over_midnight() -> None:
    [first, *_] = expand(replace(NIGHT, breaks=((time(2), time(2, 30)), (time(23), time(23, 15)))))
    assert [b.starts_at for b in first.breaks] == [
        datetime(2026, 3, 7, 4, tzinfo=UTC), datetime(2026, 3, 7, 7, tzinfo=UTC)]  # fmt: skip
    spring = expand(replace(NIGHT, breaks=((time(2, 30), time(3, 10)),)))
    assert [len(s.breaks) for s in spring] == [1, 0, 1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"weekdays": frozenset()}, "weekdays"),
        ({"weekdays": frozenset({0})}, "weekdays"),
        ({"last_day": date(2026, 3, 1)}, "last_day"),
        ({"last_day": date(2028, 3, 1)}, "last_day"),
        ({"first_day": date(1, 1, 1)}, "first_day"),
        ({"last_day": date.max}, "last_day"),
        ({"breaks": ((time(12), time(13)),)}, "breaks"),
        ({"breaks": ((time(23), time(0)), (time(23, 30), time(1)))}, "breaks"),
    ],
)
def test_a_wrong_pattern_names_the_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(BadPayload) as refused:
        expand(replace(NIGHT, **change))  # type: ignore[arg-type]
    assert refused.value.fields["field"] == field


def test_a_wrong_shift_names_the_field() -> None:
    for ends_at in (NOW, NOW + 37 * H):
        with pytest.raises(BadPayload) as refused:
            shift(NOW, ends_at)
        assert refused.value.fields["field"] == "ends_at"
    assert shift(NOW, NOW + 100 * H, Kind.ON_CALL).kind is Kind.ON_CALL


def test_on_call_runs_beside_duty_and_the_same_kind_does_not_overlap() -> None:
    day, call = Shift(NOW, NOW + 8 * H), Shift(NOW - H, NOW + 20 * H, Kind.ON_CALL)
    late = Shift(NOW + 7 * H, NOW + 9 * H)
    assert clash([day, call]) is None
    assert clash([late, call, day]) == (day, late)
    assert clash([day, replace(late, starts_at=day.ends_at)]) is None


def test_shifts_that_meet_are_one_duty_and_an_absence_cuts_it() -> None:
    shifts = [Shift(NOW + 4 * H, NOW + 8 * H), Shift(NOW - H, NOW + 4 * H), Shift(NOW + 9 * H, NOW + 10 * H)]
    assert unbroken(shifts, [], NOW) == NOW + 8 * H
    assert unbroken(shifts, [Span(NOW + 2 * H, NOW + 3 * H)], NOW) == NOW + 2 * H
    assert unbroken(shifts, [Span(NOW - H, NOW + H)], NOW) is None
    assert unbroken(shifts, [], NOW + 8.5 * H) is None


def test_without_a_roster_everyone_is_on_shift_but_not_in_her_vacation() -> None:
    week = Span(NOW + H, NOW + 24 * 7 * H)
    assert standing([], [], NOW) == Standing(on_shift=True)
    assert standing([], [week], NOW) == Standing(on_shift=True, ends_at=NOW + H)
    assert not standing([], [week], NOW + 2 * H).on_shift
    old = Shift(NOW - 24 * 40 * H, NOW - 24 * 40 * H + H)
    assert standing([old], [], NOW).on_shift
    assert not standing([replace(old, ends_at=NOW - 24 * 29 * H)], [], NOW).on_shift


def test_a_break_and_a_call_are_not_duty() -> None:
    rest = Span(NOW + H, NOW + 2 * H)
    day = Shift(NOW, NOW + 8 * H, breaks=(rest,))
    call = Shift(NOW, NOW + 8 * H, Kind.ON_CALL)
    assert standing([day], [], NOW) == Standing(on_shift=True, ends_at=NOW + 8 * H)
    assert standing([day], [], NOW + 1.5 * H) == Standing(on_shift=False, ends_at=NOW + 8 * H)
    assert standing([day], [], NOW + 2 * H).on_shift
    assert standing([replace(day, starts_at=NOW - 4 * H, ends_at=NOW - H, breaks=()), call], [], NOW) == Standing(
        on_shift=False, on_call=True
    )


zones = st.sampled_from(["America/New_York", "Europe/Oslo", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 10, 15, 30, 45]))
days = st.dates(date(2025, 1, 1), date(2027, 12, 1))


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    first = draw(days)
    weekdays = draw(st.frozensets(st.integers(1, 7), min_size=1))
    last = first + timedelta(days=draw(st.integers(0, 60)))
    return Pattern(draw(zones), weekdays, draw(times), draw(times), first, last)


@given(patterns())
def test_a_patterns_own_shifts_never_overlap_and_always_take_time(pattern: Pattern) -> None:
    shifts = expand(pattern)
    assert all(s.starts_at < s.ends_at for s in shifts)
    assert clash(shifts) is None
    assert all(a.ends_at <= b.starts_at for a, b in pairwise(shifts))


@given(patterns())
def test_a_shift_shows_its_pattern_on_the_clocks_of_its_place(pattern: Pattern) -> None:
    where = zone(pattern.time_zone)
    for one in expand(pattern):
        seen = one.starts_at.astimezone(where)
        if seen.time() != pattern.starts:  # the clocks skipped it
            assert seen.utcoffset() != (one.starts_at - 2 * H).astimezone(where).utcoffset()
        assert one.ends_at - one.starts_at <= 25 * H


@given(patterns())
def test_a_shift_lasts_what_the_clocks_say_but_for_their_change(pattern: Pattern) -> None:
    where = zone(pattern.time_zone)
    wall = timedelta(hours=pattern.ends.hour - pattern.starts.hour, minutes=pattern.ends.minute - pattern.starts.minute)
    wall += timedelta(days=wall <= timedelta(0))
    for one in expand(pattern):
        changed = one.starts_at.astimezone(where).utcoffset() != one.ends_at.astimezone(where).utcoffset()
        late = one.starts_at.astimezone(where).time() != pattern.starts
        missed = one.ends_at.astimezone(where).time() != pattern.ends
        assert changed or late or missed or one.ends_at - one.starts_at == wall


@given(days, times, zones)
def test_a_time_that_exists_is_shown_by_its_instant(day: date, at: time, name: str) -> None:
    where = zone(name)
    shown = local(day, at, where).astimezone(where)
    skipped = (
        datetime.combine(day, at, where).utcoffset() != datetime.combine(day, at, where).replace(fold=1).utcoffset()
        and shown.time() != at
    )
    assert skipped or (shown.date(), shown.time()) == (day, at)


@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(1, 30)), max_size=6), st.integers(-50, 50))
def test_duty_ends_in_the_future_and_only_where_somebody_is_on_duty(spans: list[tuple[int, int]], at: int) -> None:
    shifts = [Shift(NOW + s * H, NOW + (s + n) * H) for s, n in spans]
    now = NOW + at * H
    ends_at = unbroken(shifts, [], now)
    assert (ends_at is not None) == any(s.holds(now) for s in shifts)
    if ends_at is not None:
        assert ends_at > now
        assert not any(s.starts_at <= ends_at < s.ends_at for s in shifts)
        moment = now
        while moment < ends_at:  # on duty all the time
            assert any(s.holds(moment) for s in shifts)
            moment += H
