"""What reading rooms do without us: an open list, from which whoever is free takes the next, or what pays best."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from simulation.room import stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from simulation.case import Case
    from simulation.room import Room, Seat

    Key: TypeAlias = Callable[[Case], tuple[float, ...]]

AGAIN_S = 120.0  # before who declined is asked again


def first_come(case: Case) -> tuple[float, ...]:
    """Who came first."""
    return (case.at_s, case.index)


def by_priority(case: Case) -> tuple[float, ...]:
    """STAT, URGENT, ROUTINE; who came first within each."""
    return (case.priority.rank, case.at_s, case.index)


def may(case: Case, seat: Seat, now: float) -> bool:
    """Whether she may be asked: licence, modality, and that she has not just declined."""
    refused = case.refused.get(seat.index)
    return (refused is None or now - refused >= AGAIN_S) and seat.person.may(case)


class OpenList:
    """One list for all: whoever is free takes the first that she may read.

    Args:
        key: the order of the list.
        picking: those who pick take what pays best a minute, STAT apart, as an open list lets them.
    """

    tick_s: float | None = None

    def __init__(self, key: Key = first_come, *, picking: bool = False) -> None:
        self._key, self._picking = key, picking

    def open(self, room: Room) -> None:
        """Nothing is kept from night to night."""

    def choose(self, room: Room, fresh: Case | None) -> Iterable[tuple[Case, Seat]]:
        """Return what each free person takes; of several free the one who has rested longest."""
        free = [s for s in room.seats if s.load == 0 and s.on and not s.resting]
        if not free:
            return
        free.sort(key=lambda s: (s.free_s, s.index))
        left = list(room.pool.values()) if fresh is None or len(room.pool) == 1 else [fresh]
        for seat in free:
            able = [c for c in left if may(c, seat, room.now)]
            if able:
                case = self._taken(able, seat)
                left.remove(case)
                yield case, seat
            if not left:
                return

    def _taken(self, able: list[Case], seat: Seat) -> Case:
        if not (self._picking and seat.person.picks):
            return min(able, key=self._key)
        return min(
            able, key=lambda c: (not stat(c), -c.rvu / (c.work_min * seat.person.pace(c.kind)) if not stat(c) else 0.0,
                                 c.at_s, c.index),
        )  # fmt: skip

    def next_of(self, seat: Seat, now: float) -> Case:  # noqa: ARG002 - the protocol's
        """What she has taken."""
        return seat.held[0]

    def read(self, case: Case, seat: Seat, minutes: float) -> None:
        """Nothing is learned."""
