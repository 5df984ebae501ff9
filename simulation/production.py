"""The production policy object at work in a simulated room: it is told what the live decider would know, no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from actors.domain.assignment.case import Demand, Reader, Span, Waiting
from actors.domain.assignment.engine import decide
from actors.domain.assignment.minutes import Minutes, Sum
from actors.domain.assignment.rescue import Held, rescues
from actors.domain.words import Presence
from simulation.case import FOREVER
from simulation.room import stat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.domain.assignment.case import Choice
    from actors.domain.assignment.rules import Rules
    from simulation.case import Case, Night, Person
    from simulation.room import Room, Seat

EPOCH_S = 1_767_225_600.0  # 2026-01-01, UTC: where every night begins
_HISTORY = 40  # reads of each kind by each reader before the night
_SPREAD = 0.5  # of their log minutes
_LEARNED_S = 1800.0  # what was read is learned from that often


class Production:
    """Asks ``decide`` after every event, as the live decider does.

    Args:
        rules: the policy.
        capacity: studies a reader may hold when she has no cap of her own.
        minutes: what is known of reading times when the night begins; None: learned from ``_HISTORY`` reads each.
        knowing: told the true minutes and findings (the clairvoyant).
    """

    def __init__(
        self, rules: Rules, capacity: int = 5, minutes: Minutes | None = None, *, knowing: bool = False
    ) -> None:
        self._rules, self._capacity, self._given, self._knowing = rules, capacity, minutes, knowing
        self.tick_s: float | None = 60.0
        self._minutes = Minutes(rules)
        self._waiting: dict[int, tuple[tuple[object, ...], Waiting]] = {}
        self._fixed: list[Reader] = []
        self._dealt: list[float] = []
        self._last: list[str] = []
        self._owed: list[tuple[str, str, float]] = []
        self._learned_s = 0.0
        self.decisions = 0

    # -- the desk ------------------------------------------------------------------------------
    def open(self, room: Room) -> None:
        """Know the readers, and their minutes from nights before."""
        persons = room.night.persons
        if self._knowing:
            self._minutes = _Known(self._rules, room)
        elif self._given is not None:
            self._minutes = Minutes(self._rules, dict(self._given.sums))
        else:
            self._minutes = history(room.night, self._rules)
        self._fixed = [_fixed(p, i, p.capacity or self._capacity) for i, p in enumerate(persons)]
        self._dealt, self._last = [0.0] * len(persons), [""] * len(persons)
        self._waiting.clear()
        self._owed.clear()

    def choose(self, room: Room, fresh: Case | None) -> Iterable[tuple[Case, Seat]]:
        """Return what the policy decides now."""
        yield from self._rescued(room)
        stats = any(map(stat, (fresh,) if fresh else room.pool.values()))
        most = self._rules.ahead or FOREVER
        if not any(
            s.on and not s.resting and s.load < (r.capacity + 1 if stats else min(r.capacity, most))
            for s, r in zip(room.seats, self._fixed, strict=True)
        ):
            return
        self._learn(room.now)
        pool = [self._case(c) for c in ([fresh] if fresh else room.pool.values())]
        readers = [self._reader(room, s) for s in room.seats]
        self.decisions += 1
        choices = decide(pool, readers, self._rules, EPOCH_S + room.now, room.night.seed, self._minutes)
        for choice in choices:
            yield self._given_to(room, choice)

    def _rescued(self, room: Room) -> Iterable[tuple[Case, Seat]]:
        """Take from those who are still reading what somebody with empty hands can begin now."""
        if not any(s.present and s.load == 0 for s in room.seats):
            return
        hands = {c.index: (c, s) for s in room.seats if s.reading is not None for c in (*s.held, *s.asked.values())}
        if not hands:
            return
        held = [Held(self._case(c), f"{s.index:04d}", self._before(room, c, s)) for c, s in hands.values()]
        readers = [self._reader(room, s) for s in room.seats]
        for choice in rescues(held, readers, self._rules, EPOCH_S + room.now, room.night.seed, self._minutes):
            case, holder = hands[int(choice.study_uid)]
            room.take_back(case, holder)
            yield self._given_to(room, choice)

    def _before(self, room: Room, case: Case, seat: Seat) -> float:
        """Return the expected minutes until she would begin it: the study under way, and what goes before in hand."""
        who, rank = f"{seat.index:04d}", (case.priority.rank, case.at_s, case.index)
        first = [c for c in (*seat.held, *seat.asked.values()) if (c.priority.rank, c.at_s, c.index) < rank]
        return self._left(room, seat) + sum(self._minutes.expected(who, self._kind(c)) for c in first)

    def _given_to(self, room: Room, choice: Choice) -> tuple[Case, Seat]:
        case, seat = room.pool[int(choice.study_uid)], room.seats[int(choice.radiologist_id)]
        self._dealt[seat.index], self._last[seat.index] = EPOCH_S + room.now, case.kind
        return case, seat

    def next_of(self, seat: Seat, now: float) -> Case:
        """The most urgent of what she holds."""
        del now
        return min(seat.held, key=lambda c: (c.priority.rank, c.at_s, c.index))

    def read(self, case: Case, seat: Seat, minutes: float) -> None:
        """Remember how long she read."""
        self._owed.append((f"{seat.index:04d}", case.kind, minutes))

    # -- what the policy is told ---------------------------------------------------------------
    def _learn(self, now: float) -> None:
        if now - self._learned_s >= _LEARNED_S and not self._knowing:
            self._learned_s = now
            for who, kind, minutes in self._owed:
                self._minutes.learn(who, kind, minutes)
            self._owed.clear()

    def _kind(self, case: Case) -> str:
        return f"{case.kind}#{case.index}" if self._knowing else case.kind

    def _case(self, case: Case) -> Waiting:
        state = (case.shown, len(case.refused), case.offers)
        known = self._waiting.get(case.index)
        if known is not None and known[0] == state:
            return known[1]
        waiting = Waiting(
            case.uid, 0, case.priority, case.shown,
            case.demand or Demand(case.jurisdiction, None, case.modality, case.specialty), self._kind(case), EPOCH_S + case.at_s,
            EPOCH_S + case.due_at_s, case.site, "", case.patient, rvu=case.rvu,
            critical_p=(1.0 if case.finding else 0.0) if self._knowing else None,
            excluded=frozenset(f"{who:04d}" for who in case.barred),
            asked={f"{who:04d}": EPOCH_S + at for who, at in case.refused.items()},
        )  # fmt: skip
        self._waiting[case.index] = (state, waiting)
        return waiting

    def _reader(self, room: Room, seat: Seat) -> Reader:
        fixed = self._fixed[seat.index]
        if not seat.on:
            return fixed
        expected = self._minutes.expected
        hand = [*seat.held, *seat.asked.values()]
        current = self._left(room, seat)
        presence = Presence.AWAY if seat.resting else Presence.READING if seat.reading else Presence.ONLINE
        return Reader(  # every field by its place: ``replace`` takes four times as long, and this is most of a run
            fixed.radiologist_id, fixed.name, presence, seat.load, fixed.capacity, fixed.licences, fixed.privileges,
            fixed.subspecialties, fixed.modalities, fixed.conflicts, fixed.shifts, fixed.breaks, fixed.may_sign_final,
            sum(map(stat, hand)) + (seat.reading is not None and stat(seat.reading)),
            current + sum(expected(fixed.radiologist_id, self._kind(c)) for c in hand), current, seat.busy_s / 60,
            seat.person.on_s(room.now) / 60, fixed.owed_min, seat.rvu,
            frozenset(c.patient for c in hand if c.patient), self._last[seat.index], self._dealt[seat.index],
        )  # fmt: skip

    def _left(self, room: Room, seat: Seat) -> float:
        """Return the expected minutes left of the study she reads."""
        if seat.reading is None:
            return 0.0
        whole = self._minutes.expected(f"{seat.index:04d}", self._kind(seat.reading))
        spent = (room.now - seat.reading.begun_s) / 60
        return max(whole - spent, 0.25 * whole)  # a read that lasts goes on lasting


def _fixed(person: Person, index: int, capacity: int) -> Reader:
    """Return what does not change in the night; she is off."""
    shifts = tuple(Span(EPOCH_S + begin, EPOCH_S + end) for begin, end in person.shifts)
    breaks = tuple(Span(EPOCH_S + begin, EPOCH_S + end) for begin, end in person.breaks)
    if person.profile is not None:
        who = f"{index:04d}"
        return replace(person.profile, radiologist_id=who, presence=Presence.OFF, load=0, shifts=shifts, breaks=breaks)
    return Reader(
        f"{index:04d}", person.name, Presence.OFF, 0, capacity,
        licences={j: (Span(),) for j in person.licences}, subspecialties=person.subspecialties,
        modalities=dict.fromkeys(person.modalities, 3), shifts=shifts,
        breaks=breaks,
    )  # fmt: skip


def history(night: Night, rules: Rules) -> Minutes:
    """Return what was learned before the night, from ``_HISTORY`` reads of each kind by each reader."""
    rng = np.random.default_rng(20260101)
    known = Minutes(rules)
    for index, person in enumerate(night.persons):
        calls = 1 + person.interruptions * person.call_min / 60
        for kind, mean in night.means.items():
            logs = np.log(mean * person.pace(kind) * calls) - _SPREAD**2 / 2 + _SPREAD * rng.normal(size=_HISTORY)
            known.put(f"{index:04d}", kind, Sum(_HISTORY, float(logs.sum()), float((logs**2).sum())))
    return known


class _Known(Minutes):
    """The minutes that each reader will need for each case: what nobody knows before it is read."""

    def __init__(self, rules: Rules, room: Room) -> None:
        super().__init__(rules)
        self._room = room

    def _expected(self, radiologist_id: str, kind: str) -> float:
        name, _, index = kind.partition("#")
        person = self._room.seats[int(radiologist_id)].person
        return person.minutes(self._room.cases[int(index)]) if index else super()._expected(radiologist_id, name)


def pulled(rules: Rules, ahead: int | None = 1) -> Rules:
    """Return the rules so that nobody is given more than ``ahead`` studies at a time, STAT apart."""
    return structs.replace(rules, ahead=ahead)
