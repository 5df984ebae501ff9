"""How long a reader takes for a kind of study, learned from what she signed.

log minutes of (reader, kind) = kind's mean + reader's own pace + what is peculiar to the pair. Each part is
shrunk towards the one above it by how much was seen (empirical Bayes with fixed prior counts, Gelman & Hill
2007, 12.3): a new reader gets the kind's mean, a new kind the policy's, and both move as reads are signed.
The sums are exact for any order of arrival, so that an estimate can be rebuilt from stored sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from actors.domain.assignment.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_KIND, _READER, _PAIR = 8.0, 10.0, 15.0  # prior counts: how many reads outweigh the level above
_SPREAD = 0.45  # of log minutes within a pair, until 30 reads tell better
LEAST_MIN, MOST_MIN = 0.1, 240.0  # what is taken for a reading time at all


class Sum(NamedTuple):
    """What was seen of one pair: how many reads, the sum of log minutes and of their squares."""

    n: float = 0.0
    log: float = 0.0
    square: float = 0.0


@dataclass(slots=True)
class Minutes:
    """Expected reading minutes, learned online."""

    rules: Rules = field(default_factory=Rules)
    sums: dict[tuple[str, str], Sum] = field(default_factory=dict)  # (radiologist_id, kind)
    _kinds: dict[str, float] = field(default_factory=dict)  # log mean by kind
    _paces: dict[str, float] = field(default_factory=dict)  # log factor by reader
    _spread: float = _SPREAD
    _stale: bool = True
    _known: dict[tuple[tuple[str, ...], tuple[str, ...]], NDArray[np.float64]] = field(default_factory=dict)

    def learn(self, radiologist_id: str, kind: str, minutes: float, weight: float = 1.0) -> None:
        """Take a signed read; what is too short or too long to be one is not taken."""
        if not LEAST_MIN <= minutes <= MOST_MIN:
            return
        log = math.log(minutes)
        self.add(radiologist_id, kind, Sum(weight, weight * log, weight * log * log))

    def add(self, radiologist_id: str, kind: str, more: Sum) -> None:
        """Add to what was seen of a pair."""
        was = self.sums.get((radiologist_id, kind), Sum())
        self.put(radiologist_id, kind, Sum(was.n + more.n, was.log + more.log, was.square + more.square))

    def put(self, radiologist_id: str, kind: str, seen: Sum) -> None:
        """Set what was seen of a pair, as stored."""
        self.sums[radiologist_id, kind] = seen
        self._stale = True
        self._known.clear()

    def prior(self, kind: str) -> float:
        """Return the policy's minutes for a kind: by its modality, which is what stands before the slash."""
        return self.rules.minutes.get(kind.split("/", 1)[0], self.rules.minutes_else)

    def expected(self, radiologist_id: str, kind: str) -> float:
        """Return the expected minutes of one reader for one kind."""
        self._settle()
        return self._expected(radiologist_id, kind)

    def matrix(self, kinds: Sequence[str], radiologist_ids: Sequence[str]) -> NDArray[np.float64]:
        """Return the expected minutes, (kinds, readers); not to be written to."""
        self._settle()
        asked = (tuple(kinds), tuple(radiologist_ids))
        known = self._known.get(asked)
        if known is None:
            if len(self._known) > 64:  # noqa: PLR2004 - a bound on memory, not a rule
                self._known.clear()
            shape = (len(kinds), len(radiologist_ids))
            known = np.array([[self._expected(r, k) for r in asked[1]] for k in asked[0]], float).reshape(shape)
            self._known[asked] = known
        return known

    def of(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str, Sum]]:
        """Return what was seen of these pairs, for the record of a decision."""
        return [(r, k, self.sums[r, k]) for r, k in pairs if (r, k) in self.sums]

    def _expected(self, radiologist_id: str, kind: str) -> float:
        level = self._kinds[kind] if kind in self._kinds else self._log_prior(kind)
        level += self._paces.get(radiologist_id, 0.0)
        seen = self.sums.get((radiologist_id, kind))
        if seen is not None:
            level = (level * _PAIR + seen.log) / (_PAIR + seen.n)
        return math.exp(level + self._spread * self._spread / 2)

    def _log_prior(self, kind: str) -> float:
        return math.log(self.prior(kind)) - _SPREAD * _SPREAD / 2  # the policy speaks of means

    def _settle(self) -> None:
        """Compute kinds, then paces over what kinds leave, then the spread over what both leave."""
        if not self._stale:
            return
        by_kind: dict[str, list[float]] = {}
        for (_, kind), seen in sorted(self.sums.items()):
            total = by_kind.setdefault(kind, [0.0, 0.0])
            total[0] += seen.n
            total[1] += seen.log
        self._kinds = {kind: (self._log_prior(kind) * _KIND + log) / (_KIND + n) for kind, (n, log) in by_kind.items()}
        by_reader: dict[str, list[float]] = {}
        for (reader, kind), seen in sorted(self.sums.items()):
            total = by_reader.setdefault(reader, [0.0, 0.0])
            total[0] += seen.n
            total[1] += seen.log - seen.n * self._kinds[kind]
        self._paces = {reader: left / (_READER + n) for reader, (n, left) in by_reader.items()}
        n = within = 0.0
        for _, seen in sorted(self.sums.items()):
            if seen.n >= 2:  # noqa: PLR2004 - one read has no spread
                n += seen.n - 1
                within += max(0.0, seen.square - seen.log * seen.log / seen.n)
        self._spread = math.sqrt((_SPREAD * _SPREAD * 30 + within) / (30 + n))
        self._stale = False
