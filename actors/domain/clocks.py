"""A tenant's rules for clocks, the ``clock`` of its policy: hours that count, pauses, and who is told when time runs out.

    {"calendars": {"office": {"time_zone": "Europe/Berlin", "hours": {"mon": ["08:00-12:00", "13:00-18:00"]},
                              "holidays": ["2026-12-25"]}},
     "calendar": {"ROUTINE": "office"},
     "pause": {"reasons": ["waiting for priors"], "most_s": 3600},
     "escalation": {"STAT": [{"share": 0.5, "tell": ["reader"]},
                             {"before_due_s": 300, "tell": ["reader", "on_call"]},
                             {"after_due_s": 0, "tell": ["managers"], "priority": "STAT"}]}}

A priority without a calendar is timed around the clock, no reasons means any reason, no ladder means that
nobody is told beyond warning and breach. Shares and seconds of a ladder are those of its calendar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from actors.domain import calendar
from actors.domain.calendar import DAYS, Calendar
from actors.domain.errors import BadPayload
from actors.domain.words import Priority

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from actors.domain.calendar import Hours

READER, ON_CALL, MANAGERS = "reader", "on_call", "managers"
TOLD = (READER, ON_CALL, MANAGERS)
LONGEST_S = 365 * 86_400.0
_WEEK_LEAST_MIN = 60
_WHEN = ("share", "before_due_s", "after_due_s")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))")
_MOST = {"calendars": 50, "holidays": 1000, "reasons": 100, "escalation": 20}
_TEXT_MOST = 200


@dataclass(frozen=True, slots=True)
class Pauses:
    """Which reasons stop a clock (none named: any), after how many seconds it goes on by itself, or that none does."""

    reasons: tuple[str, ...] = ()
    most_s: float | None = None
    never: bool = False

    def body(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {"reasons": list(self.reasons), "most_s": self.most_s} | ({"never": True} if self.never else {})


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of an escalation ladder: when (exactly one of three), who is told, what priority it is raised to."""

    share: float | None = None
    before_due_s: float | None = None
    after_due_s: float | None = None
    tell: tuple[str, ...] = ()
    priority: Priority | None = None

    def after_due(self, due_s: float) -> float:
        """Return the seconds after the report is due, negative before; never before the start."""
        if self.share is not None:
            return -(1 - self.share) * due_s
        return -min(self.before_due_s, due_s) if self.before_due_s is not None else self.after_due_s or 0.0

    def body(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        when = {name: value for name in _WHEN if (value := getattr(self, name)) is not None}
        return when | {"tell": list(self.tell), "priority": self.priority and self.priority.value}


@dataclass(frozen=True, slots=True)
class ClockRules:
    """The ``clock`` of a policy."""

    calendars: dict[str, Calendar] = field(default_factory=dict)
    calendar: dict[Priority, str] = field(default_factory=dict)
    pause: Pauses = field(default_factory=Pauses)
    escalation: dict[Priority, tuple[Rung, ...]] = field(default_factory=dict)

    def hours(self, priority: Priority) -> Hours:
        """Return the calendar of a priority, None around the clock."""
        return self.calendars.get(self.calendar.get(priority, ""))

    def body(self) -> dict[str, Any]:
        """Return the rules as REST shows them."""
        return {
            "calendars": {name: _calendar_body(c) for name, c in self.calendars.items()},
            "calendar": {p.value: name for p, name in self.calendar.items()},
            "pause": self.pause.body(),
            "escalation": {p.value: [rung.body() for rung in rungs] for p, rungs in self.escalation.items()},
        }


def rungs_at(rungs: Iterable[Rung], hours: Hours, due_s: float, due_at: datetime) -> list[tuple[datetime, Rung]]:
    """Return when each rung is reached by a clock that is due at ``due_at``, in that order; those at one instant as one."""
    reached: dict[datetime, Rung] = {}
    for rung in rungs:
        after_s = rung.after_due(due_s)
        at = calendar.add(hours, due_at, after_s) if after_s > 0 else calendar.back(hours, due_at, -after_s)
        reached[at] = _both(reached[at], rung) if at in reached else rung
    return sorted(reached.items(), key=lambda item: item[0])


def _both(one: Rung, other: Rung) -> Rung:
    raised = [p for p in (one.priority, other.priority) if p is not None]
    tell = tuple(t for t in TOLD if t in one.tell or t in other.tell)
    return replace(one, tell=tell, priority=min(raised, key=lambda p: p.rank) if raised else None)


# -- reading what REST takes --------------------------------------------------------------------
def wrong(field_name: str, sentence: str) -> BadPayload:
    """Return the refusal that names a field and its cure."""
    return BadPayload(f"{field_name}: {sentence}", {"field": field_name})


def seconds(value: object, name: str, *, least: float = 0.0, above: bool = True) -> float:
    """Return a number of seconds.

    Raises:
        BadPayload: it is none, or out of range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not (least < value if above else least <= value) or value > LONGEST_S:  # type: ignore[operator]
        raise wrong(name, f"expected a number of seconds above {least:g}, at most {LONGEST_S:.0f} (a year).")
    return float(value)  # type: ignore[arg-type]


def object_of(body: object, name: str, known: Iterable[str] | None = None) -> dict[str, Any]:
    """Return an object whose fields are known.

    Raises:
        BadPayload: naming the field.
    """
    if not isinstance(body, dict):
        raise wrong(name, "expected an object.")
    if known is not None and (unknown := set(body) - set(known)):
        raise wrong(f"{name}.{min(unknown)}", f"is unknown; there are {', '.join(known)}.")
    return body


def _list(body: object, name: str) -> list[Any]:
    most = _MOST.get(name.rpartition(".")[2], _MOST["escalation"])
    if not isinstance(body, list) or len(body) > most:
        raise wrong(name, f"expected a list of at most {most}.")
    return body


def _texts(body: object, name: str) -> tuple[str, ...]:
    found = _list(body, name)
    for i, text in enumerate(found):
        if not isinstance(text, str) or not text.strip() or len(text) > _TEXT_MOST:
            raise wrong(f"{name}.{i}", f"expected a text of 1 to {_TEXT_MOST} characters.")
    return tuple(found)


def by_priority(body: object, name: str) -> dict[Priority, Any]:
    """Return what an object holds for each priority it names."""
    given = object_of(body, name)
    if not set(given) <= {p.value for p in Priority}:
        raise wrong(name, "holds STAT, URGENT and ROUTINE only.")
    return {Priority(k): v for k, v in given.items()}


def _day(text: object, name: str) -> date:
    try:
        return date.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        raise wrong(name, "expected a day as 2026-12-25.") from None


def _span(text: object, name: str) -> tuple[int, int]:
    parts = _HOURS.fullmatch(text) if isinstance(text, str) else None
    if parts is None:
        raise wrong(name, "expected hours as 08:00-18:00; 24:00 ends a day.")
    h, m, to_h, to_m = (int(p) for p in parts.groups() if p is not None)
    if (to_h, to_m) <= (h, m):
        raise wrong(name, "hours end after they begin; give a night as 22:00-24:00 and the next day 00:00-06:00.")
    return h * 60 + m, to_h * 60 + to_m


def _calendar(body: object, name: str) -> Calendar:
    given = object_of(body, name, ("time_zone", "hours", "holidays"))
    zone = given.get("time_zone")
    try:
        ZoneInfo(zone if isinstance(zone, str) else "")
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; names of directories are OSErrors
        raise wrong(f"{name}.time_zone", "expected an IANA time zone, as Europe/Berlin.") from None
    except KeyError:
        raise wrong(f"{name}.time_zone", "there is no such time zone; one is Europe/Berlin.") from None
    days = object_of(given.get("hours"), f"{name}.hours", DAYS)
    week = []
    for day in DAYS:
        field_name = f"{name}.hours.{day}"
        hours = sorted(_span(s, f"{field_name}.{i}") for i, s in enumerate(_list(days.get(day, []), field_name)))
        if any(a[1] > b[0] for a, b in pairwise(hours)):
            raise wrong(field_name, "hours of a day do not overlap.")
        week.append(tuple(hours))
    if sum(b - a for hours in week for a, b in hours) < _WEEK_LEAST_MIN:
        raise wrong(f"{name}.hours", "at least an hour of the week is open.")
    free = _list(given.get("holidays", []), f"{name}.holidays")
    return Calendar(str(zone), tuple(week), frozenset(_day(d, f"{name}.holidays.{i}") for i, d in enumerate(free)))


def _calendar_body(known: Calendar) -> dict[str, Any]:
    def shown(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    hours = {d: [f"{shown(a)}-{shown(b)}" for a, b in w] for d, w in zip(DAYS, known.week, strict=True) if w}
    return {"time_zone": known.time_zone, "hours": hours, "holidays": [d.isoformat() for d in sorted(known.holidays)]}


def _rung(body: object, name: str) -> Rung:
    given = object_of(body, name, (*_WHEN, "tell", "priority"))
    when = [key for key in _WHEN if given.get(key) is not None]
    if len(when) != 1:
        raise wrong(name, f"has exactly one of {', '.join(_WHEN)}.")
    at: dict[str, float] = {}
    if when[0] == "share":
        share = given["share"]
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise wrong(f"{name}.share", "expected a share of the time, above 0 and at most 1.")
        at["share"] = float(share)
    else:
        at[when[0]] = seconds(given[when[0]], f"{name}.{when[0]}", above=False)
    tell = _list(given.get("tell", []), f"{name}.tell")
    if not set(map(str, tell)) <= set(TOLD):
        raise wrong(f"{name}.tell", f"holds {', '.join(TOLD)} only.")
    priority = given.get("priority")
    if priority is not None and priority not in {p.value for p in Priority}:
        raise wrong(f"{name}.priority", "expected STAT, URGENT, ROUTINE or null.")
    if not tell and priority is None:
        raise wrong(name, "tells somebody, raises the priority, or both.")
    return Rung(**at, tell=tuple(t for t in TOLD if t in tell), priority=Priority(priority) if priority else None)


def _ladder(body: object, name: str) -> tuple[Rung, ...]:
    return tuple(_rung(rung, f"{name}.{i}") for i, rung in enumerate(_list(body, name)))


def pauses(body: object, name: str) -> Pauses:
    """Return what may stop a clock.

    Raises:
        BadPayload: naming the field.
    """
    given = object_of(body, name, ("reasons", "most_s", "never"))
    most, never = given.get("most_s"), given.get("never", False)
    if not isinstance(never, bool):
        raise wrong(f"{name}.never", "expected true or false.")
    reasons = _texts(given.get("reasons", []), f"{name}.reasons")
    return Pauses(reasons, None if most is None else seconds(most, f"{name}.most_s"), never)


def clock_rules(body: object) -> ClockRules:
    """Return the rules of a policy's ``clock``; what it leaves out keeps its default.

    Raises:
        BadPayload: naming the field.
    """
    given = object_of(body, "clock", ("calendars", "calendar", "pause", "escalation"))
    named = object_of(given.get("calendars", {}), "clock.calendars")
    if len(named) > _MOST["calendars"]:
        raise wrong("clock.calendars", f"at most {_MOST['calendars']}.")
    calendars = {name: _calendar(c, f"clock.calendars.{name}") for name, c in named.items()}
    used: dict[Priority, str] = {}
    for priority, name in by_priority(given.get("calendar", {}), "clock.calendar").items():
        if name is None:
            continue
        if name not in calendars:
            raise wrong(f"clock.calendar.{priority}", f"there is no calendar {name!r} in clock.calendars.")
        used[priority] = name
    ladders = by_priority(given.get("escalation", {}), "clock.escalation")
    return ClockRules(
        calendars,
        used,
        pauses(given.get("pause", {}), "clock.pause"),
        {p: _ladder(rungs, f"clock.escalation.{p}") for p, rungs in ladders.items()},
    )
