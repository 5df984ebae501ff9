"""What a reader may read, and how well: licences, privileges, skills, how much at once, conflicts of interest.

A profile is one document with a version. What it leaves out does not bind: without a list of modalities she reads
all of them. What a site does not demand, a licence or a privilege, is not asked of anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

SKILL_MOST = 3
_EVER = (1900, 9000)  # a year before or after stands for no bound
USUAL = 2
CAPACITY_MOST = 1000
_JURISDICTION = re.compile(r"[A-Z0-9]{1,8}(-[A-Z0-9]{1,8})?")  # ISO 3166-1 alpha-2, or 3166-2
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")  # CS, PS3.5 6.2
_FIELDS = ("licences", "privileges", "subspecialties", "modalities", "capacity", "conflicts")
_MOST = 200  # entries of a list


@dataclass(frozen=True, slots=True)
class Term:
    """What holds from one day to another, both included; None is without end."""

    of: str  # a jurisdiction, or a site's id
    valid_from: date | None = None
    valid_to: date | None = None

    def span(self, where: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """Return the instants between which it holds in a time zone, the second not included."""
        return _midnight(self.valid_from, where), _midnight(self.valid_to, where, timedelta(days=1))


def _midnight(day: date | None, where: ZoneInfo, later: timedelta = timedelta()) -> datetime | None:
    """Return the instant a day begins, or the one after; None for no day, and for one that only means "ever"."""
    if day is None or not _EVER[0] <= day.year < _EVER[1]:
        return None
    return datetime.combine(day + later, time(), where).astimezone(UTC)


class About(StrEnum):
    """What a conflict of interest is about."""

    SITE = "site"
    REFERRING_PHYSICIAN = "referring_physician"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Whose studies she never reads."""

    about: About
    of: str  # an id of ours


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile of one reader in one group; ``capacity`` None is the policy's."""

    licences: tuple[Term, ...] = ()
    privileges: tuple[Term, ...] = ()
    subspecialties: Mapping[str, int] = field(default_factory=dict)  # name → skill from 1 (learning) to 3 (expert)
    modalities: Mapping[str, int] = field(default_factory=dict)
    capacity: int | None = None
    conflicts: tuple[Conflict, ...] = ()

    def body(self) -> dict[str, Any]:
        """Return the document as REST shows it."""
        return {
            "licences": [_term("jurisdiction", t) for t in self.licences],
            "privileges": [_term("site", t) for t in self.privileges],
            "subspecialties": dict(self.subspecialties),
            "modalities": dict(self.modalities),
            "capacity": self.capacity,
            "conflicts": [{"about": c.about.value, "of": c.of} for c in self.conflicts],
        }


def _term(name: str, term: Term) -> dict[str, Any]:
    spelled = {k: v.isoformat() if v else None for k, v in (("from", term.valid_from), ("to", term.valid_to))}
    return {name: term.of, "valid_from": spelled["from"], "valid_to": spelled["to"]}


def profile(body: Mapping[str, Any]) -> Profile:
    """Return the profile of a document; what it leaves out does not bind.

    Raises:
        BadPayload: naming the field, and what it takes.
    """
    unknown = sorted(set(body) - set(_FIELDS))
    if unknown:
        raise BadPayload(f"A profile has {', '.join(_FIELDS)}.", {"field": unknown[0]})
    capacity = body.get("capacity")
    if capacity is not None and (
        isinstance(capacity, bool) or not isinstance(capacity, int) or not 1 <= capacity <= CAPACITY_MOST
    ):
        raise BadPayload(f"capacity must be a whole number from 1 to {CAPACITY_MOST}.", {"field": "capacity"})
    return Profile(
        _terms(body, "licences", "jurisdiction", jurisdiction),
        _terms(body, "privileges", "site", _some),
        _skills(body, "subspecialties", _lower),
        _skills(body, "modalities", _modality),
        capacity,
        _conflicts(body),
    )


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    given = body.get(name) or []
    if not isinstance(given, list) or len(given) > _MOST or not all(isinstance(one, dict) for one in given):
        raise BadPayload(f"{name} must be a list of at most {_MOST} objects.", {"field": name})
    return given


def _terms(body: Mapping[str, Any], name: str, key: str, spell: Callable[[object, str], str]) -> tuple[Term, ...]:
    terms = []
    for n, one in enumerate(_list(body, name)):
        place = f"{name}[{n}]"
        term = Term(
            spell(one.get(key), f"{place}.{key}"),
            _day(one.get("valid_from"), f"{place}.valid_from"),
            _day(one.get("valid_to"), f"{place}.valid_to"),
        )
        if term.valid_from and term.valid_to and term.valid_to < term.valid_from:
            raise BadPayload(f"{place}: it ends before it begins.", {"field": f"{place}.valid_to"})
        terms.append(term)
    return tuple(terms)


def _day(value: object, name: str) -> date | None:
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise BadPayload(f"{name}: {value!r} is not a day; one is 2026-03-01.", {"field": name}) from None


def jurisdiction(value: object, name: str) -> str:
    """Return a jurisdiction as it is spelled here.

    Raises:
        BadPayload: naming the field.
    """
    text = str(value or "").strip().upper()
    if not _JURISDICTION.fullmatch(text):
        message = f"{name}: {value!r} is not a jurisdiction; one is US-CA or NO (ISO 3166)."
        raise BadPayload(message, {"field": name})
    return text


def _some(value: object, name: str) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > 64 or not text.isprintable():  # noqa: PLR2004 - our ids are shorter
        raise BadPayload(f"{name}: expected an id.", {"field": name})
    return text


def _lower(value: object, name: str) -> str:
    return _some(value, name).lower()


def _modality(value: object, name: str) -> str:
    text = str(value).strip().upper()
    if not _MODALITY.fullmatch(text):
        raise BadPayload(f"{name}: {value!r} is not a modality; one is CT (0008,0060).", {"field": name})
    return text


def _skills(body: Mapping[str, Any], name: str, spell: Callable[[object, str], str]) -> dict[str, int]:
    given = body.get(name) or {}
    if not isinstance(given, dict) or len(given) > _MOST:
        raise BadPayload(f"{name} holds a skill from 1 to {SKILL_MOST} for each name.", {"field": name})
    skills = {}
    for word, level in given.items():
        place = f"{name}.{word}"
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= SKILL_MOST:
            raise BadPayload(f"{place}: expected a skill from 1 to {SKILL_MOST}.", {"field": place})
        skills[spell(word, place)] = level
    return dict(sorted(skills.items()))


def _conflicts(body: Mapping[str, Any]) -> tuple[Conflict, ...]:
    found = []
    for n, one in enumerate(_list(body, "conflicts")):
        about = one.get("about")
        if about not in set(About):
            message = f"conflicts[{n}].about is one of {', '.join(About)}."
            raise BadPayload(message, {"field": f"conflicts[{n}].about"})
        found.append(Conflict(About(about), _some(one.get("of"), f"conflicts[{n}].of")))
    return tuple(found)
