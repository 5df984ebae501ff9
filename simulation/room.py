"""The event loop: cases come, persons begin and end shifts, read, rest, answer; a desk decides who reads what.

    POOL --offer--> HELD --accepted--> HELD --begin--> READING --done--> out
      ^               |
      +-- declined, expired, shift over, taken back --+

Nothing here chooses: :class:`Desk` is asked after each event that could make a choice possible.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from actors.domain.words import Priority
from simulation.case import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from simulation.case import Case, Night, Person

_MINUTE = 60.0
_LATELY_S = 3600.0  # who refused within it may yet be asked again, though nothing else happens


@dataclass(slots=True, eq=False)
class Seat:
    """A person at work."""

    index: int
    person: Person
    on: bool = False
    resting: bool = False
    off_s: float = FOREVER  # end of the shift under way
    reading: Case | None = None
    free_s: float = 0.0  # when the study under way will be done
    held: list[Case] = field(default_factory=list)  # accepted, not begun
    asked: dict[int, Case] = field(default_factory=dict)  # offered, not answered, by case
    rest_s: float = 0.0  # of a break that is due
    busy_s: float = 0.0
    work_min: float = 0.0  # standard minutes of what she has read
    rvu: float = 0.0
    studies: int = 0

    @property
    def load(self) -> int:
        """Studies she holds: offered, accepted and under way."""
        return len(self.held) + len(self.asked) + (self.reading is not None)

    @property
    def present(self) -> bool:
        """Whether she may be given something."""
        return self.on and not self.resting


class Desk(Protocol):
    """Who reads what, and in which order a person reads what she holds."""

    tick_s: float | None  # asked again that often while something waits

    def open(self, room: Room) -> None:
        """Begin a night."""

    def choose(self, room: Room, fresh: Case | None) -> Iterable[tuple[Case, Seat]]:
        """Return who is offered what now; ``fresh`` is set when nothing but one case has come since."""

    def next_of(self, seat: Seat, now: float) -> Case:
        """Return what she reads next of what she holds."""

    def read(self, case: Case, seat: Seat, minutes: float) -> None:
        """Learn how long she read."""


class Room:
    """One run of one night under one desk."""

    def __init__(self, night: Night, desk: Desk) -> None:
        self.night, self.desk = night, desk
        self.now = 0.0
        self.pool: dict[int, Case] = {}
        self.seats = [Seat(i, p) for i, p in enumerate(night.persons)]
        self.cases = [c.fresh() for c in night.cases]
        self.events = 0
        self._fresh: Case | None = None
        self._heap: list[tuple[float, int, Callable[[Any], bool], Any]] = []
        self._ids = count()
        self._ticking = False

    def run(self) -> Room:
        """Live the night until nothing more can happen; return itself."""
        self._prepare()
        self.desk.open(self)
        heap, pop = self._heap, heapq.heappop
        while heap:
            self.now, _, happens, what = pop(heap)
            self.events += 1
            self._fresh = None
            if happens(what):  # the desk may take back what is held
                for case, seat in self.desk.choose(self, self._fresh):
                    self._offer(case, seat)
                self._ticks()
        return self

    def _at(self, at_s: float, happens: Callable[[Any], bool], what: Any = None) -> None:
        heapq.heappush(self._heap, (at_s, next(self._ids), happens, what))

    def _prepare(self) -> None:
        for seat in self.seats:
            for begin, end in seat.person.shifts:
                self._at(begin, self._on, (seat, end))
                if end < FOREVER:
                    self._at(end, self._off, seat)
            for begin, end in seat.person.breaks:
                self._at(begin, self._rest, (seat, end - begin))
        for case in self.cases:
            self._at(max(case.at_s, 0.0), self._come, case)

    # -- events: each returns whether a choice may have become possible -------------------------------
    def _come(self, case: Case) -> bool:
        if case.acuity.level and case.triage_s > 0:
            self._at(max(0.0, case.at_s + case.triage_s), self._triaged, case)
        else:
            case.shown = case.acuity
        if case.held_by is not None:
            self._seated(case, self.seats[case.held_by])
            return bool(self.pool)
        self.pool[case.index] = self._fresh = case
        return True

    def _seated(self, case: Case, seat: Seat) -> None:
        """Give what the night began with to whom it belongs."""
        if case.left_min is None and not seat.on:
            self.pool[case.index] = case
            return
        case.reader = seat.index
        if case.left_min is None:
            seat.held.append(case)
            self._begin(seat)
            return
        seat.reading, case.begun_s = case, self.now
        seat.free_s = self.now + case.left_min * _MINUTE
        self._at(seat.free_s, self._done, seat)

    def _triaged(self, case: Case) -> bool:
        case.shown = case.acuity
        return True

    def _on(self, what: tuple[Seat, float]) -> bool:
        seat, until_s = what
        seat.on, seat.off_s = True, until_s
        self._begin(seat)
        return True

    def _off(self, seat: Seat) -> bool:
        seat.on = any(begin <= self.now < end for begin, end in seat.person.shifts)
        if not seat.on:
            for case in [*seat.held, *seat.asked.values()]:
                self.take_back(case, seat)
        return True

    def _rest(self, what: tuple[Seat, float]) -> bool:
        seat, rest_s = what
        seat.rest_s = rest_s
        if not seat.on:
            seat.rest_s = 0.0
        elif seat.reading is None:
            self._rest_now(seat)
        return False

    def _rest_now(self, seat: Seat) -> None:
        seat.resting = True
        self._at(self.now + seat.rest_s, self._back, seat)
        seat.rest_s = 0.0

    def _back(self, seat: Seat) -> bool:
        seat.resting = False
        self._begin(seat)
        return True

    def _answer(self, what: tuple[Seat, Case, int]) -> bool:
        """She says yes or no, if the offer still stands."""
        seat, case, offer = what
        if case.offers != offer or seat.asked.pop(case.index, None) is None:
            return False
        if self._refuses(case, seat):
            case.declines += 1
            case.refused[seat.index] = self.now
            self.pool[case.index] = case
            return True
        seat.held.append(case)
        self._begin(seat)
        return False

    def _refuses(self, case: Case, seat: Seat) -> bool:
        share = seat.person.declines
        if not share or not case.answers:
            return False
        outside = case.specialty and seat.person.subspecialties.get(case.specialty, 0) <= 1
        return case.answers[case.offers % len(case.answers)] < share * (seat.person.hard if outside else 1.0)

    def _expire(self, what: tuple[Seat, Case, int]) -> bool:
        seat, case, offer = what
        if case.offers != offer or seat.asked.pop(case.index, None) is None:
            return False
        case.refused[seat.index] = self.now
        self.pool[case.index] = case
        return True

    def _done(self, seat: Seat) -> bool:
        case = seat.reading
        if case is None:
            raise AssertionError("A study ends that nobody reads.")
        case.done_s, seat.reading = self.now, None
        spent = self.now - case.begun_s
        seat.busy_s += spent
        seat.work_min += case.work_min
        seat.rvu += case.rvu
        seat.studies += 1
        self.desk.read(case, seat, spent / _MINUTE)
        if seat.rest_s and seat.on:
            self._rest_now(seat)
        self._begin(seat)
        return True

    def _tick(self, _: None) -> bool:
        self._ticking = False
        return True

    def _ticks(self) -> None:
        lively = self._heap or any(s.on and s.off_s < FOREVER for s in self.seats)
        lively = lively or any(self.now - at < _LATELY_S for c in self.pool.values() for at in c.refused.values())
        if self.desk.tick_s and self.pool and lively and not self._ticking:
            self._ticking = True
            self._at(self.now + self.desk.tick_s, self._tick)

    # -- what follows ----------------------------------------------------------------------------------
    def _offer(self, case: Case, seat: Seat) -> None:
        del self.pool[case.index]
        case.offers += 1
        case.reader = seat.index
        if not self.night.answer_s:
            seat.held.append(case)
            self._begin(seat)
            return
        seat.asked[case.index] = case
        luck = case.answers[-1 - case.offers % len(case.answers)] if case.answers else 1.0
        seen = luck >= seat.person.misses
        after_s, happens = (self.night.answer_s, self._answer) if seen else (self.night.open_s, self._expire)
        self._at(self.now + after_s, happens, (seat, case, case.offers))

    def take_back(self, case: Case, seat: Seat) -> None:
        """Return to the pool what she holds and has not begun."""
        if seat.asked.pop(case.index, None) is None:
            seat.held.remove(case)
        case.moves += 1
        self.pool[case.index] = case

    def _begin(self, seat: Seat) -> None:
        if seat.reading is not None or not seat.held or not seat.on or seat.resting:
            return
        case = seat.held[0] if len(seat.held) == 1 else self.desk.next_of(seat, self.now)
        seat.held.remove(case)
        seat.reading, case.begun_s, case.reader = case, self.now, seat.index
        seat.free_s = self.now + seat.person.minutes(case) * _MINUTE
        self._at(seat.free_s, self._done, seat)


def stat(case: Case) -> bool:
    """Whether it is a STAT."""
    return case.priority is Priority.STAT
