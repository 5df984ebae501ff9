"""When a report is due: a table by priority, modality and setting, the ``sla_rules`` of a policy, above its ``sla``.

    [{"priority": "URGENT", "modality": "CT", "setting": "emergency", "due_s": 2700, "warn_s": 1800},
     {"setting": "outpatient", "due_s": 172800, "calendar": "office", "start": "ready", "stop": "final",
      "pause": {"reasons": ["waiting for priors"], "most_s": 3600}}]

The first line that fits a study counts; one that names no priority, modality or setting fits any. What no line
fits has the ``sla`` of its priority. A line without ``calendar`` runs by the calendar of the priority, with null
around the clock; without ``pause`` by the policy's pauses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from actors.domain.clocks import object_of, pauses, seconds, wrong
from actors.domain.words import Priority, ReadinessState, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.domain.calendar import Hours
    from actors.domain.clocks import Pauses, Rung

WARN_SHARE = 0.75
LINES_MOST = 200
_FIELDS = ("priority", "modality", "setting", "due_s", "warn_s", "calendar", "start", "stop", "pause")
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")  # CS, PS3.5 6.2
_OWN = ""  # no calendar said: the priority's


class ClockStart(StrEnum):
    """What begins a clock; ``ready`` is for a STAT its first image, as it may be read before it is whole."""

    ORDER = "order"
    FIRST_IMAGE = "first_image"
    READY = "ready"

    def reached(self, priority: Priority, *, begun: bool, state: ReadinessState) -> bool:
        """Whether a study stands there; ``begun`` says that images have come or its exam is over."""
        early = self is not ClockStart.READY or priority is Priority.STAT
        return self is ClockStart.ORDER or (begun and early) or state is ReadinessState.READY


class ClockStop(StrEnum):
    """What ends a clock."""

    FIRST_SIGNATURE = "first_signature"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Due:
    """Seconds from the start of the clock."""

    due_s: float
    warn_s: float


@dataclass(frozen=True, slots=True)
class Sort:
    """What of a study its clock depends on; an empty modality or setting is not known."""

    priority: Priority
    modality: str = ""
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """How the clock of a study runs."""

    due: Due
    hours: Hours
    pause: Pauses
    ladder: tuple[Rung, ...] = ()
    start: ClockStart = ClockStart.FIRST_IMAGE
    stop: ClockStop = ClockStop.FIRST_SIGNATURE


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table; None fits any."""

    due: Due
    priority: Priority | None = None
    modality: str | None = None
    setting: Setting | None = None
    calendar: str | None = _OWN  # of the policy's calendars; None: around the clock
    start: ClockStart = ClockStart.FIRST_IMAGE
    stop: ClockStop = ClockStop.FIRST_SIGNATURE
    pause: Pauses | None = None

    @property
    def named(self) -> dict[str, str]:
        """What it asks of a study."""
        fits = {"priority": self.priority, "modality": self.modality, "setting": self.setting}
        return {name: str(value) for name, value in fits.items() if value is not None}

    def fits(self, sort: Sort) -> bool:
        """Whether it is for such a study."""
        has = {"priority": sort.priority.value, "modality": sort.modality, "setting": sort.setting}
        return all(has[name] == value for name, value in self.named.items())

    def body(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        said: dict[str, Any] = {"due_s": self.due.due_s, "warn_s": self.due.warn_s}
        if self.calendar != _OWN:
            said["calendar"] = self.calendar
        if self.pause is not None:
            said["pause"] = self.pause.body()
        return {**self.named, **said, "start": self.start.value, "stop": self.stop.value}

    @property
    def own_calendar(self) -> bool:
        """Whether it names a calendar, or none, instead of the priority's."""
        return self.calendar != _OWN


def due_of(given: dict[str, Any], name: str) -> Due:
    """Return the two times of a line; without a warning it comes at three quarters.

    Raises:
        BadPayload: naming the field.
    """
    if "due_s" not in given:
        raise wrong(f"{name}.due_s", "is missing: the seconds from the start of the clock until the report is due.")
    due_s = seconds(given["due_s"], f"{name}.due_s")
    warn_s = seconds(given.get("warn_s", due_s * WARN_SHARE), f"{name}.warn_s")
    if warn_s > due_s:
        raise wrong(f"{name}.warn_s", f"a warning comes before the report is due, so at most {due_s:g}.")
    return Due(due_s, warn_s)


def _one_of(given: dict[str, Any], key: str, kinds: type[StrEnum], name: str) -> Any:
    if (value := given.get(key)) is None:
        return None
    if value not in {k.value for k in kinds}:
        raise wrong(f"{name}.{key}", f"expected one of {', '.join(kinds)}, or nothing for its default.")
    return kinds(value)


def _line(body: object, name: str, calendars: Iterable[str]) -> Line:
    given = object_of(body, name, _FIELDS)
    modality = given.get("modality")
    if modality is not None and not (isinstance(modality, str) and _MODALITY.fullmatch(modality)):
        raise wrong(f"{name}.modality", "expected a modality as CT or MR (0008,0060), or nothing for any.")
    calendar = given.get("calendar", _OWN)
    if calendar not in {None, *calendars} and calendar != _OWN:
        raise wrong(f"{name}.calendar", f"there is no calendar {calendar!r} in clock.calendars.")
    return Line(
        due_of(given, name),
        _one_of(given, "priority", Priority, name),
        modality,
        _one_of(given, "setting", Setting, name),
        calendar,
        _one_of(given, "start", ClockStart, name) or ClockStart.FIRST_IMAGE,
        _one_of(given, "stop", ClockStop, name) or ClockStop.FIRST_SIGNATURE,
        pauses(given["pause"], f"{name}.pause") if given.get("pause") is not None else None,
    )


def table(body: object, calendars: Iterable[str]) -> tuple[Line, ...]:
    """Return the lines of a table; each must be reachable, and may name one of the policy's calendars.

    Raises:
        BadPayload: naming the field and its cure.
    """
    if not isinstance(body, list) or len(body) > LINES_MOST:
        raise wrong("sla_rules", f"expected a list of at most {LINES_MOST} lines.")
    names = frozenset(calendars)
    lines = [_line(one, f"sla_rules.{i}", names) for i, one in enumerate(body)]
    for i, line in enumerate(lines):
        for k, before in enumerate(lines[:i]):
            if before.named.items() <= line.named.items():
                raise wrong(f"sla_rules.{i}", f"is never reached, as line {k} fits all that it fits: put it before.")
    return tuple(lines)
