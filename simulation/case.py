"""What a simulated night is made of: cases that come, persons who read, and what came of it.

Times are seconds from the beginning of the night, work is in minutes. Everything random about a case
is drawn with it, before anybody decides: two policies meet the very same night (common random numbers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from actors.domain.words import Acuity, Priority

if TYPE_CHECKING:
    from actors.domain.assignment.case import Demand, Reader

FOREVER = math.inf


@dataclass(slots=True, eq=False)
class Case:
    """A study; the second half is what the run writes.

    Args:
        work_min: minutes that a person of speed 1 without special skill needs for it.
        finding: what is in the images, None when nothing critical is.
        acuity: what triage says of it, ``triage_s`` after it came.
        due_s: seconds from its coming to its due time.
        answers: uniform draws, one for each time it is offered.
        luck: a uniform draw that says how often its reader is interrupted.
    """

    index: int
    at_s: float
    kind: str = ""
    work_min: float = 1.0
    priority: Priority = Priority.ROUTINE
    site: str = ""
    jurisdiction: str | None = None
    modality: str = ""
    body_part: str = ""
    specialty: str | None = None
    patient: str = ""
    rvu: float = 1.0
    due_s: float = FOREVER
    finding: str | None = None
    acuity: Acuity = Acuity.NOT_ASSESSED
    triage_s: float = 0.0
    answers: tuple[float, ...] = ()
    luck: float = 0.5
    held_by: int | None = None  # already assigned when the night begins: index of the person
    left_min: float | None = None  # already being read then: minutes left
    demand: Demand | None = None  # what it asks of its reader, when the fields above do not tell all
    barred: frozenset[int] = frozenset()  # persons who may not read it
    declined: dict[int, float] = field(default_factory=dict)  # who did not take it before the night, and when
    # what the run writes
    shown: Acuity = Acuity.PENDING
    begun_s: float = FOREVER
    done_s: float = FOREVER
    reader: int = -1
    offers: int = 0
    declines: int = 0
    moves: int = 0
    refused: dict[int, float] = field(default_factory=dict)  # who declined or did not see it, and when

    @property
    def uid(self) -> str:
        """Name by which the policy knows it; sorts as it came."""
        return f"{self.index:07d}"

    @property
    def due_at_s(self) -> float:
        """When it is due."""
        return self.at_s + self.due_s

    def fresh(self) -> Case:
        """Return the case as it was before a run."""
        return replace(
            self, shown=Acuity.PENDING, begun_s=FOREVER, done_s=FOREVER, reader=-1, offers=0, declines=0, moves=0,
            refused=dict(self.declined),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A reader of the night.

    Args:
        shifts: (begin, end) of each.
        breaks: (begin, end) of each; a study under way is finished first.
        speed: minutes she needs for a minute of work; 0.9 is a fast reader.
        skills: the same per kind of case, on top of ``speed``.
        subspecialties: her level in each, 1 to 3; none reads everything.
        declines: share of offers that she declines.
        hard: how much more often she declines what she has little skill in.
        misses: share of offers that she does not see before they expire.
        interruptions: telephone calls an hour of reading, each of ``call_min`` minutes.
        picks: given an open list she takes what pays best, STAT apart.
        relief: she comes after the night to read what is left, and counts in no figure of load.
    """

    name: str
    shifts: tuple[tuple[float, float], ...] = ((0.0, FOREVER),)
    breaks: tuple[tuple[float, float], ...] = ()
    speed: float = 1.0
    skills: dict[str, float] = field(default_factory=dict)
    licences: frozenset[str] = frozenset()
    subspecialties: dict[str, int] = field(default_factory=dict)
    modalities: frozenset[str] = frozenset()
    capacity: int | None = None
    declines: float = 0.0
    hard: float = 1.0
    misses: float = 0.0
    interruptions: float = 0.0
    call_min: float = 2.0
    picks: bool = False
    relief: bool = False
    profile: Reader | None = None  # as the rules of assignment see her, when the fields above do not tell all

    def pace(self, kind: str) -> float:
        """Return the minutes that she needs for a minute of work on such a case."""
        return self.speed * self.skills.get(kind, 1.0)

    def minutes(self, case: Case) -> float:
        """Return how long she reads this case, calls included."""
        reading = case.work_min * self.pace(case.kind)
        if not self.interruptions:
            return reading
        return reading + self.call_min * _poisson(case.luck, self.interruptions * reading / 60)

    def on_s(self, until_s: float) -> float:
        """Return the seconds of her shifts before ``until_s``, breaks taken off."""
        if len(self.shifts) == 1 and not self.breaks:
            return max(0.0, min(self.shifts[0][1], until_s) - self.shifts[0][0])
        shifts = sum(max(0.0, min(end, until_s) - begin) for begin, end in self.shifts)
        return shifts - sum(max(0.0, min(end, until_s) - begin) for begin, end in self.breaks)

    def may(self, case: Case) -> bool:
        """Whether licence and modality allow it; what is not demanded is not checked."""
        if case.jurisdiction and case.jurisdiction not in self.licences:
            return False
        if self.modalities and case.modality and case.modality not in self.modalities:
            return False
        return not (case.specialty and self.subspecialties and case.specialty not in self.subspecialties)


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """One draw of a scenario: who comes, who reads.

    Args:
        answer_s: seconds between an offer and its acceptance; 0 is none.
        open_s: seconds after which an unseen offer expires.
        warm_s: what came before is read, but not measured.
        means: mean minutes of each kind, for what readers are known to need.
    """

    cases: tuple[Case, ...]
    persons: tuple[Person, ...]
    seed: int = 0
    answer_s: float = 0.0
    open_s: float = 120.0
    warm_s: float = 0.0
    means: dict[str, float] = field(default_factory=dict)


def _poisson(luck: float, mean: float) -> int:
    """Return the quantile of a Poisson law: the same luck is fewer calls for the faster reader."""
    count, term = 0, math.exp(-mean)
    total = term
    while total < luck and count < 50:  # noqa: PLR2004 - beyond any night
        count += 1
        term *= mean / count
        total += term
    return count
