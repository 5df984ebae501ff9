"""Pool and readers as arrays: who may have what, and for how long she would read it.

Rows are studies by ``study_uid``, columns readers by ``radiologist_id``: the order of the input changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from actors.domain.assignment.case import ALWAYS, Reader, Waiting, until
from actors.domain.words import Presence, Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from actors.domain.assignment.minutes import Minutes
    from actors.domain.assignment.rules import Rules

OVER_CAP = 1  # STAT only
PRESENT = frozenset({Presence.ONLINE, Presence.READING})
_MINUTE = 60.0
_RANK = {priority: priority.rank for priority in Priority}


def finishes_at(waiting: Waiting, reader: Reader, now: float, minutes: float) -> float:
    """Return when she would have finished it: a STAT waits for the study under way, others for all in hand."""
    before = reader.current_min if waiting.priority is Priority.STAT else reader.ahead_min
    return now + (before + minutes) * _MINUTE


def eased(waiting: Waiting, rules: Rules, now: float) -> int:
    """Return how far the search is broadened for a study: 0 not, 1 any skill, 2 any specialty."""
    waited = now - waiting.started_at
    if rules.any_specialty_after_s is not None and waited >= rules.any_specialty_after_s:
        return 2
    return int(rules.any_skill_after_s is not None and waited >= rules.any_skill_after_s)


def _eased(waited_s: NDArray[np.float64], rules: Rules) -> NDArray[np.intp]:
    ease = np.zeros(len(waited_s), np.intp)
    if rules.any_skill_after_s is not None:
        ease[waited_s >= rules.any_skill_after_s] = 1
    if rules.any_specialty_after_s is not None:
        ease[waited_s >= rules.any_specialty_after_s] = 2
    return ease


def barred(waiting: Waiting, reader: Reader, rules: Rules, now: float, minutes: float) -> str | None:  # noqa: C901, PLR0911, PLR0912 - one line a rule
    """Return the hard rule that forbids it, None when there is none. Load, presence and being asked are none."""
    wants, ease = waiting.demand, eased(waiting, rules, now)
    if reader.radiologist_id in waiting.excluded:
        return "has excluded herself from this study"
    if reader.radiologist_id in waiting.barred:
        return "has read this study before"
    if waiting.attending and not reader.may_sign_final:
        return "does not sign final reports"
    if reader.conflicts and not reader.conflicts.isdisjoint(_ties(waiting)):
        return "has a conflict of interest"
    if wants.modality and reader.modalities:
        level = reader.modalities.get(wants.modality, 0)
        if level == 0:
            return f"does not read {wants.modality}"
        if ease < 1 and level < wants.level:
            return f"reads {wants.modality} at level {level}, not {wants.level}"
    if wants.specialty and reader.subspecialties:
        level = reader.subspecialties.get(wants.specialty, 0)
        if level == 0 and ease < 2:  # noqa: PLR2004 - the second step
            return f"does not read {wants.specialty}"
        if level < wants.level and ease < 1:
            return f"reads {wants.specialty} at level {level}, not {wants.level}"
    shift = shift_until(reader, now)
    if shift <= now:
        return "is not on shift" if all(not b.holds(now) for b in reader.breaks) else "is on a break"
    done_at = finishes_at(waiting, reader, now, minutes * rules.finish_factor)
    if wants.jurisdiction:
        valid = until(reader.licences.get(wants.jurisdiction, ()), now)
        if valid <= now:
            return f"has no licence for {wants.jurisdiction}"
        if done_at > valid:
            return f"would finish after her licence for {wants.jurisdiction} ends"
    if wants.privilege:
        valid = until(reader.privileges.get(wants.privilege, ()), now)
        if valid <= now:
            return "has no privilege at the site"
        if done_at > valid:
            return "would finish after her privilege at the site ends"
    if done_at > shift:
        return "would finish after her shift ends"
    return None


def shift_until(reader: Reader, now: float) -> float:
    """Return until when she is on shift, -inf when she is not, or has a break."""
    if any(b.holds(now) for b in reader.breaks):
        return -ALWAYS
    return ALWAYS if reader.shifts is None else until(reader.shifts, now)


def room_for(reader: Reader, priority: Priority, rules: Rules) -> int:
    """Return up to which load she is given studies of a priority."""
    if priority is Priority.STAT:
        return reader.capacity + OVER_CAP
    return reader.capacity if rules.ahead is None else min(reader.capacity, rules.ahead)


def ineligible(waiting: Waiting, reader: Reader, rules: Rules, now: float, minutes: float) -> str | None:
    """Return why the reader may not be offered the study now, None when she may."""
    reason = barred(waiting, reader, rules, now, minutes)
    if reason:
        return reason
    if reader.presence not in PRESENT:
        return f"is {reader.presence.value}"
    if reader.load >= room_for(reader, waiting.priority, rules):
        return f"has {reader.load} of {reader.capacity}"
    if reader.radiologist_id in waiting.closed:
        return "was asked as often as the policy allows"
    asked_at = waiting.asked.get(reader.radiologist_id)
    if asked_at is not None and now - asked_at < rules.ask_again_s:
        return "was asked and did not take it"
    return None


def _ties(waiting: Waiting) -> frozenset[str]:
    ties = (("site", waiting.site_id), ("patient", waiting.patient_id), ("referring_physician", waiting.referring))
    return frozenset(f"{name}:{value}" for name, value in ties if value)


class Table:
    """The arrays. ``may`` is (studies, readers): hard rules, presence, cap and who was asked, all at once."""

    def __init__(
        self, pool: Sequence[Waiting], readers: Sequence[Reader], rules: Rules, now: float, minutes: Minutes
    ) -> None:
        self.rules, self.now = rules, now
        self.pool = sorted(pool, key=lambda w: w.study_uid)
        self.readers = sorted(readers, key=lambda r: r.radiologist_id)
        self._standing: dict[int, Reader] = {}
        self._open: dict[int, int] = {}  # readers with room: their columns in what follows
        self._limit = np.zeros((len(pool), 0))  # until when she could finish it: shift, licence, privilege
        self.soon = np.zeros((len(pool), len(readers)), bool)  # as ``may``, had they room for one more
        self._columns()
        self._rows(minutes)
        self.may = self._may()

    def _columns(self) -> None:
        readers = self.readers
        self.column = {r.radiologist_id: j for j, r in enumerate(readers)}
        self.load = np.array([r.load for r in readers], np.int64)
        self.capacity = np.array([r.capacity for r in readers], np.int64)
        self.stats = np.array([r.stats for r in readers], float)
        self.ahead = np.array([r.ahead_min for r in readers], float)
        self.current = np.array([r.current_min for r in readers], float)
        self.present = np.array([r.presence in PRESENT for r in readers], bool)
        self.shift = np.array([shift_until(r, self.now) for r in readers], float)
        self.finals = np.array([r.may_sign_final for r in readers], bool)
        ahead = self.rules.ahead
        self.room = self.capacity if ahead is None else np.minimum(self.capacity, ahead)

    def _rows(self, minutes: Minutes) -> None:
        pool = self.pool
        kinds: dict[str, int] = {}
        self.kind = np.array([kinds.setdefault(w.kind, len(kinds)) for w in pool], np.intp)
        self.kinds = list(kinds)
        self.by_kind = minutes.matrix(self.kinds, list(self.column))  # (kinds, readers)
        self.started = np.array([w.started_at for w in pool], float)
        self.due = np.array([w.due_at for w in pool], float)
        self.rank = np.array([_RANK[w.priority] for w in pool], np.intp)
        self.stat = self.rank == 0

    def able(self) -> NDArray[np.bool_]:
        """Return which studies anybody may have now."""
        return np.asarray(self.may.any(axis=1))

    def _by_value(
        self, values: Sequence[str | None], columns: Sequence[int], of: Callable[[Any, Reader], float]
    ) -> NDArray[np.float64]:
        """Return of(value, reader) for each study and these readers, computed once a value."""
        seen: dict[str | None, int] = {}
        index = [seen.setdefault(v, len(seen)) for v in values]
        table = np.array([[of(v, self.readers[j]) for j in columns] for v in seen], float)
        return table.reshape(len(seen), len(columns))[index]

    def _may(self) -> NDArray[np.bool_]:
        """Who has no room at all, or is not there, is left out before anything is reckoned."""
        may = np.zeros((len(self.pool), len(self.readers)), bool)
        columns = np.flatnonzero(self.present & (self.load < self.capacity + OVER_CAP) & (self.shift > self.now))
        if self.pool and columns.size:
            self._open = {j: n for n, j in enumerate(columns.tolist())}
            may[:, columns] = self._allowed(columns)
        return may

    def _allowed(self, columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        pool, now = self.pool, self.now
        wants, few = [w.demand for w in pool], columns.tolist()
        stat = self.stat[:, None]
        minutes = self.by_kind[self.kind[:, None], columns]
        before = np.where(stat, self.current[columns], self.ahead[columns])
        done_at = now + (before + minutes * self.rules.finish_factor) * _MINUTE
        licence = self._by_value([d.jurisdiction for d in wants], few, lambda v, r: _until(v, r.licences, now))
        privilege = self._by_value([d.privilege for d in wants], few, lambda v, r: _until(v, r.privileges, now))
        limit = self._limit = np.minimum(np.minimum(licence, privilege), self.shift[columns])
        may: NDArray[np.bool_] = (done_at <= limit) & (limit > now)
        ease = _eased(now - self.started, self.rules)
        least = np.where(ease < 1, np.array([d.level for d in wants]), 1)[:, None]
        may &= self._by_value([d.modality for d in wants], few, lambda v, r: _level(v, r.modalities)) >= least
        least = np.where(ease[:, None] < 2, least, 0)  # noqa: PLR2004 - as ``barred``
        may &= self._by_value([d.specialty for d in wants], few, lambda v, r: _level(v, r.subspecialties)) >= least
        place = {self.readers[j].radiologist_id: n for n, j in enumerate(few)}
        for i, waiting in enumerate(pool):
            if waiting.attending:
                may[i] &= self.finals[columns]
            for who in self._never(waiting):
                if who in place:
                    may[i, place[who]] = False
        for n, j in enumerate(few):
            if self.readers[j].conflicts:
                may[:, n] &= np.array([self.readers[j].conflicts.isdisjoint(_ties(w)) for w in pool], bool)
        self.soon[:, columns] = may
        may &= self.load[columns] < np.where(stat, self.capacity[columns] + OVER_CAP, self.room[columns])
        for i, waiting in enumerate(pool):
            first = place.get(waiting.preferred)
            if first is not None and may[i, first]:
                may[i] = np.arange(len(few)) == first
        return may

    def _never(self, waiting: Waiting) -> list[str]:
        """Return who, by name, may not be asked for this study now."""
        if not (waiting.excluded or waiting.barred or waiting.closed or waiting.asked):
            return []
        lately = [who for who, at in waiting.asked.items() if self.now - at < self.rules.ask_again_s]
        return [*waiting.excluded, *waiting.barred, *waiting.closed, *lately]

    def take(self, i: int, j: int) -> None:
        """Give study ``i`` to reader ``j``: her load grows, and what she may still have shrinks."""
        minutes = float(self.by_kind[self.kind[i], j])
        self.load[j] += 1
        self.ahead[j] += minutes
        self.stats[j] += self.stat[i]
        self.may[i] = False
        if self.load[j] >= self.capacity[j] + OVER_CAP:
            self.may[:, j] = False
            return
        if self.load[j] >= self.room[j]:
            self.may[~self.stat, j] = False
        column = self.may[:, j]
        if not column.any():
            return
        limit = self._limit[:, self._open[j]]
        ends = np.flatnonzero(column & ~self.stat & np.isfinite(limit))  # more in hand: will she still be in time?
        done_at = self.now + (self.ahead[j] + self.by_kind[self.kind[ends], j] * self.rules.finish_factor) * _MINUTE
        self.may[ends[done_at > limit[ends]], j] = False

    def standing(self, j: int) -> Reader:
        """Return reader ``j`` with what she has been given so far."""
        known = self._standing.get(j)
        if known is None or known.load != self.load[j]:
            known = self._standing[j] = replace(
                self.readers[j], load=int(self.load[j]), ahead_min=float(self.ahead[j]), stats=int(self.stats[j])
            )
        return known


def _until(name: str | None, held: Any, now: float) -> float:
    return until(held.get(name, ()), now) if name else ALWAYS


def _level(name: str | None, skills: Any) -> float:
    """Return the level of a skill: any where none is asked for, or none is listed."""
    return skills.get(name, 0) if name and skills else ALWAYS
