"""The live state of a group as the beginning of a simulated night: open studies, readers, and what usually comes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from actors.domain import calendar
from actors.domain.assignment.case import Demand, Span, kind_of, specialty_of
from actors.domain.assignment.minutes import Minutes
from actors.domain.assignment.table import PRESENT
from actors.domain.due import Sort
from actors.domain.profile import About
from actors.domain.roster import ROSTERED, Kind
from actors.domain.staff import reader
from actors.domain.words import ClockState, Presence, Priority, Role, Status
from simulation.case import FOREVER, Case, Night, Person
from simulation.production import EPOCH_S

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.assignment.case import Reader
    from actors.domain.policy import Policy
    from actors.domain.staff import Member
    from actors.domain.study import Study

_DAY_S, _SPREAD, _JITTER_S = 86400.0, 0.5, 1800.0
_TO_READ = frozenset({Status.UNREAD, Status.OFFERED, Status.ASSIGNED, Status.READING})
_HERE = PRESENT | {Presence.BUSY}


@dataclass(frozen=True, slots=True)
class Place:
    """A site as decisions need it."""

    name: str
    jurisdiction: str | None = None
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A study that came, or may come: enough to know who may read it and how long that takes."""

    at_s: float  # since the Unix epoch for what came, since now for what may come
    site_id: str
    priority: Priority
    modality: str
    body_part: str = ""
    procedure: str = ""
    setting: str = ""

    @property
    def specialty(self) -> str | None:
        """The subspecialty it asks for."""
        return specialty_of(self.body_part, self.procedure)

    @property
    def kind(self) -> str:
        """Whose minutes are learned together."""
        return kind_of(self.modality, self.body_part, self.procedure)


@dataclass(frozen=True, slots=True)
class Live:
    """A group at one instant.

    Args:
        past: what came within the last ``days`` days.
    """

    now: datetime
    studies: tuple[Study, ...]
    members: tuple[Member, ...]
    zone: str
    policy: Policy
    sites: dict[str, Place]
    past: tuple[Arrival, ...] = ()
    days: float = 1.0
    minutes: Minutes = field(default_factory=Minutes)

    def persons(self) -> tuple[Person, ...]:
        """Return the readers with the hours they are expected to work from now on."""
        where = ZoneInfo(self.zone)
        made = []
        for member in self.members:
            profile = self._moved(reader(member, self.policy.capacity, where, self.now, member.state))
            shifts, breaks = _hours(member, self.now)
            skills = {k: self.minutes.expected(member.user_id, k) / self.minutes.prior(k) for k in self._kinds()}
            made.append(
                Person(member.name, shifts, breaks, skills=skills, capacity=profile.capacity, profile=profile)
            )  # fmt: skip
        return tuple(made)

    def _moved(self, profile: Reader) -> Reader:
        """Return a reader whose licences and privileges run by the clock of a simulated night."""
        ahead = EPOCH_S - self.now.timestamp()
        licences, privileges = (
            {of: tuple(Span(s.from_at + ahead, s.to_at + ahead) for s in held) for of, held in spans.items()}
            for spans in (profile.licences, profile.privileges)
        )
        return replace(profile, licences=licences, privileges=privileges)

    def _kinds(self) -> set[str]:
        return {a.kind for a in self.past} | {_kind(s) for s in self.studies}

    def expected(self, seed: int, until_s: float) -> list[Arrival]:
        """Draw what comes until then: each study of the past comes again at its hour, as often as once in ``days``."""
        rng = np.random.default_rng([seed, 41])
        now_s = self.now.timestamp()
        drawn = []
        for came in self.past:
            first = (came.at_s - now_s) % _DAY_S
            for at_s in np.arange(first, until_s, _DAY_S):
                for _ in range(int(rng.poisson(1.0 / self.days))):
                    moved = float(at_s) + float(rng.uniform(-_JITTER_S, _JITTER_S))
                    drawn.append(replace(came, at_s=abs(moved)))
        return [a for a in sorted(drawn, key=lambda a: a.at_s) if a.at_s < until_s]

    def night(self, persons: tuple[Person, ...], arrivals: list[Arrival], seed: int) -> Night:
        """Return the night that begins now with what is open, and then what comes."""
        rng = np.random.default_rng([seed, 43])
        who = {m.user_id: i for i, m in enumerate(self.members)}
        cases: list[Case] = []
        for study in sorted((s for s in self.studies if s.status in _TO_READ), key=lambda s: s.study_uid):
            cases.append(self._open(study, len(cases), who, float(rng.normal())))
        for index, arrival in enumerate(arrivals):
            luck = np.random.default_rng([seed, 47, index])
            cases.append(self._coming(arrival, len(cases), float(luck.normal())))
        means = {c.kind: self.minutes.prior(c.kind) for c in cases}
        return Night(tuple(cases), persons, seed, 8.0, self.policy.offer_open_s[Priority.URGENT], means=means)

    def _work(self, kind: str, luck: float) -> float:
        return self.minutes.prior(kind) * math.exp(_SPREAD * luck - _SPREAD**2 / 2)

    def _demand(self, site_id: str, modality: str, specialty: str | None) -> Demand:
        site = self.sites.get(site_id, Place(""))
        return Demand(site.jurisdiction, site_id if site.privileged else None, modality, specialty)

    def _open(self, study: Study, index: int, who: dict[str, int], luck: float) -> Case:
        now_s, clock, kind = self.now.timestamp(), study.sla, _kind(study)
        at_s = clock.started_at.timestamp() - now_s if clock else 0.0
        due_s = clock.due_at.timestamp() - now_s - at_s if clock else FOREVER
        if study.second is not None and (
            clock is None or clock.state is ClockState.STOPPED
        ):  # stopped at the first signature
            at_s, due_s = study.second.since.timestamp() - now_s, FOREVER
        held = who.get(study.load_of or "")
        left = None
        if study.status is Status.READING and held is not None:
            pace = self.minutes.expected(self.members[held].user_id, kind) / self.minutes.prior(kind)
            whole = self._work(kind, luck) * pace
            spent = (self.now - study.reading_since).total_seconds() / 60 if study.reading_since else 0.0
            left = max(whole - spent, 0.25 * whole)
        return Case(
            index, at_s, kind, self._work(kind, luck), study.priority, study.site_id, modality=study.modality,
            patient=study.patient_id, due_s=due_s, acuity=study.acuity, held_by=held, left_min=left,
            demand=self._demand(study.site_id, study.modality, specialty_of(study.body_part, study.procedure)),
            barred=frozenset(i for i, m in enumerate(self.members) if self._barred(study, m)),
            declined={who[a.radiologist_id]: a.at.timestamp() - now_s for a in study.asked if a.radiologist_id in who},
        )  # fmt: skip

    def _barred(self, study: Study, member: Member) -> bool:
        """Whether she may not read it for a reason of her own: what a demand and a site do not tell."""
        who, often = member.user_id, self.policy.assignment.times_asked
        if who in study.excluded | study.barred or (study.second is not None and member.role is not Role.RADIOLOGIST):
            return True
        if any(a.radiologist_id == who and a.times >= often for a in study.asked):
            return True
        return any(c.about is About.REFERRING_PHYSICIAN and c.of == study.referring for c in member.profile.conflicts)

    def _coming(self, arrival: Arrival, index: int, luck: float) -> Case:
        terms = self.policy.terms(Sort(arrival.priority, arrival.modality, arrival.setting))
        came_at = self.now + timedelta(seconds=arrival.at_s)
        due_s = (calendar.add(terms.hours, came_at, terms.due.due_s) - came_at).total_seconds()
        return Case(
            index, arrival.at_s, arrival.kind, self._work(arrival.kind, luck), arrival.priority, arrival.site_id,
            modality=arrival.modality, due_s=due_s,
            demand=self._demand(arrival.site_id, arrival.modality, arrival.specialty),
        )  # fmt: skip


def _kind(study: Study) -> str:
    return kind_of(study.modality, study.body_part, study.procedure)


def _hours(member: Member, now: datetime) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]:
    """Return shifts and breaks in seconds from now; who is absent from the shift under way stays so to its end.

    Who is on a break that is planned comes back when it ends.
    """
    now_s = now.timestamp()
    duties = [s for s in member.shifts if s.kind is Kind.DUTY]
    here = member.state in _HERE
    if not any(s.ends_at > now - ROSTERED for s in duties):
        return (((0.0, FOREVER),) if here and not any(a.holds(now) for a in member.absences) else ()), ()
    coming = [
        s for s in duties
        if s.ends_at > now and (here or not s.holds(now) or any(b.holds(now) for b in s.breaks))
    ]  # fmt: skip
    shifts = [(max(0.0, s.starts_at.timestamp() - now_s), s.ends_at.timestamp() - now_s) for s in coming]
    for absence in member.absences:
        away = (absence.starts_at.timestamp() - now_s, absence.ends_at.timestamp() - now_s)
        shifts = [part for shift in shifts for part in without(shift, away)]
    breaks = [(b.starts_at.timestamp() - now_s, b.ends_at.timestamp() - now_s) for s in coming for b in s.breaks]
    return tuple(shifts), tuple((max(0.0, begin), end) for begin, end in breaks if end > 0)


def without(shift: tuple[float, float], away: tuple[float, float]) -> list[tuple[float, float]]:
    """Return what is left of a shift when she is away for a part of it."""
    before, after = (shift[0], min(shift[1], away[0])), (max(shift[0], away[1]), shift[1])
    return [part for part in (before, after) if part[1] > part[0]]
