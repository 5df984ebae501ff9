"""What if: the live state lived on as planned and with a change, on the same draws; the difference is the answer.

A forecast changes no clock, no list and no assignment.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from actors.domain.assignment.case import Reader, Span
from actors.domain.assignment.minutes import Minutes
from actors.domain.errors import BadPayload
from actors.domain.instant import instant
from actors.domain.words import Presence, Priority
from simulation.case import FOREVER, Person
from simulation.compare import estimate
from simulation.fork import Arrival, without
from simulation.production import Production
from simulation.room import Room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulation.case import Case
    from simulation.fork import Live

NIGHTS, SECONDS = 40, 6.0  # pairs of nights at most; no further pair is begun after so long
LEAST = 5
_RANGE = (0.1, 0.9)  # the 80 % range
_STEP_S = 1800.0
_LONGEST_S = 86400.0
ASSUMES = (
    "Arrivals as in the last weeks at these hours; reading times as each reader's are known; breaks as planned.",
    "Who is absent from a shift under way stays absent until it ends, or until her break does. Nobody declines.",
    "A forecast changes no clock, no list and no assignment.",
)


@dataclass(frozen=True, slots=True)
class CloseShift:
    """A reader stops reading; what she has begun she finishes, the rest is given to others."""

    radiologist_id: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AddReader:
    """Somebody more reads until then: everything, or one subspecialty."""

    until: datetime
    at: datetime | None = None
    specialty: str | None = None


@dataclass(frozen=True, slots=True)
class SendStudies:
    """A site sends so many studies, evenly within ``over_s`` seconds."""

    site_id: str
    count: int
    modality: str
    priority: Priority = Priority.URGENT
    body_part: str = ""
    over_s: float = 3600.0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScaleArrivals:
    """A site, or every site, sends ``factor`` times what is usual."""

    factor: float
    site_id: str | None = None
    until: datetime | None = None


Change: TypeAlias = CloseShift | AddReader | SendStudies | ScaleArrivals


@dataclass(frozen=True, slots=True)
class _Lived:
    """What one night came to."""

    breaches: dict[str, int]  # by "all", "site/…", "priority/…"
    minutes: dict[str, float]  # read, by reader
    course: list[int]  # breaches so far, each half hour
    tat_min: float


def answer(  # noqa: PLR0913, PLR0917 - the question, and how long it may take
    live: Live, changes: Sequence[Change], until: datetime, seed: int = 1, nights: int = NIGHTS,
    seconds: float = SECONDS,
) -> dict[str, Any]:  # fmt: skip
    """Return breaches as planned and with the changes, with intervals, as REST shows them.

    Raises:
        BadPayload: a change names a reader or a site that is not there, or ``until`` is not within a day.
    """
    until_s = _offset(live, until)
    if not 0 < until_s <= _LONGEST_S:
        raise BadPayload("until: within the next 24 hours.", {"field": "until"})
    begun = time.monotonic()
    persons = live.persons()
    names = [m.user_id for m in live.members]
    other, added = _persons(live, persons, changes)
    planned: list[_Lived] = []
    changed: list[_Lived] = []
    while len(planned) < nights and (len(planned) < LEAST or time.monotonic() - begun < seconds):
        draw = seed + len(planned)
        usual = live.expected(draw, until_s)
        planned.append(_live_on(live, persons, usual, draw, until_s, names))
        coming = _arrivals(live, usual, changes, draw, until_s)
        changed.append(_live_on(live, other, coming, draw, until_s, [*names, *added]))
    return {
        "now": instant(live.now),
        "until": instant(until),
        "nights": len(planned),
        "seed": seed,
        "took_s": round(time.monotonic() - begun, 2),
        "planned": _said([n.breaches["all"] for n in planned]),
        "changed": _said([n.breaches["all"] for n in changed]),
        "difference": _said(_less(changed, planned, "all")),
        "tat_min": {"planned": _said([n.tat_min for n in planned]), "changed": _said([n.tat_min for n in changed])},
        "priorities": [
            {"priority": p.value, **_said(_less(changed, planned, f"priority/{p.value}"))} for p in Priority
        ],
        "sites": [
            {"site": {"id": s, "name": place.name}, **_said(_less(changed, planned, f"site/{s}"))}
            for s, place in sorted(live.sites.items())
        ],
        "readers": _felt(live, planned, changed),
        "course": {
            "at": [_instant(live, k * _STEP_S) for k in range(len(planned[0].course))],
            "planned": _band([n.course for n in planned]),
            "changed": _band([n.course for n in changed]),
        },
        "assumes": list(ASSUMES),
    }


def _instant(live: Live, after_s: float) -> str:
    """Return the instant so many seconds from now."""
    return str(instant(live.now + timedelta(seconds=after_s)))


def _offset(live: Live, at: datetime | None) -> float:
    return 0.0 if at is None else (at - live.now).total_seconds()


def _persons(
    live: Live, persons: tuple[Person, ...], changes: Sequence[Change]
) -> tuple[tuple[Person, ...], list[str]]:
    """Return who reads once changed, and names for who is new."""
    made = list(persons)
    added: list[str] = []
    names = {m.user_id: i for i, m in enumerate(live.members)}
    for change in changes:
        match change:
            case CloseShift():
                if change.radiologist_id not in names:
                    raise BadPayload("There is no such reader.", {"field": "radiologist_id"})
                index = names[change.radiologist_id]
                away = (max(0.0, _offset(live, change.at)), FOREVER)
                kept = [part for shift in made[index].shifts for part in without(shift, away)]
                made[index] = replace(made[index], shifts=tuple(kept))
            case AddReader():
                begin, end = max(0.0, _offset(live, change.at)), _offset(live, change.until)
                if end <= begin:
                    raise BadPayload("She stops before she begins.", {"field": "until"})
                added.append(f"new {len(added) + 1}")
                made.append(Person(added[-1], ((begin, end),), profile=_profile(live, added[-1], change.specialty)))
            case _:
                pass
    return tuple(made), added


def _profile(live: Live, name: str, specialty: str | None) -> Reader:
    """Return a reader who may work at every site, and reads everything or one subspecialty."""
    always = (Span(),)
    licences = {p.jurisdiction: always for p in live.sites.values() if p.jurisdiction}
    privileges = dict.fromkeys(live.sites, always)
    skill = {specialty: 3} if specialty else {}
    return Reader(name, name, Presence.OFF, 0, live.policy.capacity, licences, privileges, skill)


def _arrivals(live: Live, usual: list[Arrival], changes: Sequence[Change], seed: int, until_s: float) -> list[Arrival]:
    """Return what comes once changed: what usually comes first, in its order, so that its draws stay its own."""
    rng = np.random.default_rng([seed, 53])
    coming = list(usual)
    for change in changes:
        match change:
            case SendStudies():
                if change.site_id not in live.sites:
                    raise BadPayload("There is no such site.", {"field": "site"})
                begin = max(0.0, _offset(live, change.at))
                for k in range(change.count):
                    at_s = begin + change.over_s * k / change.count
                    coming.append(
                        Arrival(at_s, change.site_id, change.priority, change.modality, change.body_part)
                    )  # fmt: skip
            case ScaleArrivals():
                if change.site_id is not None and change.site_id not in live.sites:
                    raise BadPayload("There is no such site.", {"field": "site"})
                end = until_s if change.until is None else _offset(live, change.until)
                meant = [a for a in usual if a.at_s < end and change.site_id in (None, a.site_id)]
                if change.factor < 1:
                    dropped = {id(a) for a in meant if rng.random() > change.factor}
                    coming = [a for a in coming if id(a) not in dropped]
                else:
                    again = (a for a in meant for _ in range(int(rng.poisson(change.factor - 1))))
                    coming += [replace(a, at_s=min(end, a.at_s + float(rng.exponential(300)))) for a in again]
            case _:
                pass
    return coming


def _live_on(  # noqa: PLR0913, PLR0917 - one night
    live: Live, persons: tuple[Person, ...], arrivals: list[Arrival], seed: int, until_s: float, names: list[str]
) -> _Lived:
    night = live.night(persons, arrivals, seed)
    seats = {who: f"{i:04d}" for i, who in enumerate(names)}
    sums = {(seats[who], kind): seen for (who, kind), seen in live.minutes.sums.items() if who in seats}
    told = Minutes(live.policy.assignment, sums)
    room = Room(night, Production(live.policy.assignment, live.policy.capacity, told)).run()
    late = [c for c in room.cases if 0 < c.due_at_s <= until_s and c.done_s > c.due_at_s]
    breaches = {"all": len(late)}
    for priority in Priority:
        breaches[f"priority/{priority.value}"] = sum(c.priority is priority for c in late)
    for site in live.sites:
        breaches[f"site/{site}"] = sum(c.site == site for c in late)
    steps = np.arange(0.0, until_s + 1, _STEP_S)
    done = [c for c in room.cases if c.done_s <= until_s]
    return _Lived(
        breaches,
        {who: _read(room, i, until_s) for i, who in enumerate(names)},
        [sum(c.due_at_s <= step for c in late) for step in steps],
        float(np.mean([(c.done_s - c.at_s) / 60 for c in done])) if done else 0.0,
    )


def _read(room: Room, index: int, until_s: float) -> float:
    """Return the minutes that a person reads until then."""
    mine: list[Case] = [c for c in room.cases if c.reader == index and c.begun_s < until_s]
    return sum((min(c.done_s, until_s) - c.begun_s) / 60 for c in mine)


def _less(changed: list[_Lived], planned: list[_Lived], name: str) -> list[int]:
    return [a.breaches[name] - b.breaches[name] for a, b in zip(changed, planned, strict=True)]


def _said(values: Sequence[float]) -> dict[str, Any]:
    """Return a mean, the half width of its 95 % interval, and the 80 % range of single nights."""
    found = estimate(values)
    low, high = (float(q) for q in np.quantile(values, _RANGE))
    return found.as_json() | {"low": round(low, 1), "high": round(high, 1)}


def _band(courses: list[list[int]]) -> list[dict[str, float]]:
    table = np.array(courses, dtype=float)
    low, high = np.quantile(table, _RANGE, axis=0)
    return [
        {"mean": round(float(m), 2), "low": round(float(a), 1), "high": round(float(b), 1)}
        for m, a, b in zip(table.mean(axis=0), low, high, strict=True)
    ]


def _felt(live: Live, planned: list[_Lived], changed: list[_Lived]) -> list[dict[str, Any]]:
    """Return who reads more or less, and how many minutes, the most first."""
    felt = []
    for member in live.members:
        more = [a.minutes[member.user_id] - b.minutes[member.user_id] for a, b in zip(changed, planned, strict=True)]
        felt.append({"radiologist_id": member.user_id, "name": member.name, "minutes": _said(more)})
    return sorted(felt, key=lambda f: -abs(f["minutes"]["mean"]))
