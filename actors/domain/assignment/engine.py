"""The decision: ``(pool, readers, rules, now, seed)`` to choices with explanations. Pure and repeatable.

Studies are taken in the policy's order. A study with a choice of readers goes to the one with the least points;
several that wait at once are matched together, as many as there are readers with room, round by round
(rectangular assignment, Crouse 2016; a dummy column for each study keeps it in the pool when nobody is left).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from actors.domain.assignment.explain import Numbers, explained
from actors.domain.assignment.foresight import foreseen
from actors.domain.assignment.minutes import Minutes
from actors.domain.assignment.order import ranked
from actors.domain.assignment.points import Points
from actors.domain.assignment.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from actors.domain.assignment.case import Choice, Reader, Waiting
    from actors.domain.assignment.rules import Rules

_AT_ONCE = 150  # studies matched together: the cost of a matching grows with their square
_KEPT = 1e9  # points of staying in the pool: only when nobody is left


def decide(  # noqa: PLR0913, PLR0917 - what a decision is made of
    pool: Sequence[Waiting],
    readers: Sequence[Reader],
    rules: Rules,
    now: float,
    seed: int = 0,
    minutes: Minutes | None = None,
) -> list[Choice]:
    """Return a choice for each study that somebody may have now, the most urgent first.

    Args:
        pool: studies that wait, in any order.
        readers: everybody, present or not; those who may not are named with the reason.
        rules: the assignment part of the policy.
        now: Unix seconds.
        seed: decides between equals.
        minutes: what was learned of reading times; without it the policy's own.
    """
    if not pool or not readers:
        return []
    return _Round(Table(pool, readers, rules, now, minutes or Minutes(rules)), seed).run()


def next_for(  # noqa: PLR0913, PLR0917 - as ``decide``
    pool: Sequence[Waiting],
    reader: Reader,
    rules: Rules,
    now: float,
    seed: int = 0,
    minutes: Minutes | None = None,
) -> Choice | None:
    """Return what a reader who asks for work is given: the head of her order, up to her capacity, None when nothing."""
    return _Round(_asking(pool, reader, rules, now, minutes), seed).head()


def window(
    pool: Sequence[Waiting], reader: Reader, rules: Rules, now: float, minutes: Minutes | None = None
) -> list[str]:
    """Return among which studies a reader may choose herself: the first of her order, as many as the policy allows."""
    table = _asking(pool, reader, rules, now, minutes)
    return [table.pool[i].study_uid for i in ranked(table) if table.may[i, 0]][: rules.window]


def _asking(pool: Sequence[Waiting], reader: Reader, rules: Rules, now: float, minutes: Minutes | None) -> Table:
    able = structs.replace(rules, ahead=None)
    return Table(
        [replace(w, asked={}, closed=frozenset()) for w in pool], [reader], able, now, minutes or Minutes(rules)
    )


class _Round:
    """One call of :func:`decide`."""

    def __init__(self, table: Table, seed: int) -> None:
        self._table, self._seed = table, seed
        self._points = Points(table, seed)
        self._patients: dict[str, list[int]] = {}
        self._place: dict[int, int] = {}

    def run(self) -> list[Choice]:
        """Give what can be given."""
        table = self._table
        if not table.may.any():
            return []
        able = table.able().tolist()
        rows = [i for i in ranked(table).tolist() if able[i]]
        for i in rows:
            if table.pool[i].patient_id:
                self._patients.setdefault(table.pool[i].patient_id, []).append(i)
        if not table.rules.matching:
            return self._one_by_one(rows)
        choices = self._one_by_one([i for i in self._families_first(rows) if table.stat[i]])
        choices += self._one_by_one(self._families([i for i in rows if not table.stat[i]]))
        rows = [i for i in rows if table.may[i].any()]
        self._place = {i: n for n, i in enumerate(rows)}
        for i, j in foreseen(table, rows):
            if table.may[i, j]:  # a patient's studies go together: one may have gone with another
                choices += self._with_siblings(i, j, self._points.of(np.array([i]))[:, 0])
        return choices + self._one_by_one([i for i in rows if table.may[i].any()])

    def _one_by_one(self, rows: list[int]) -> list[Choice]:
        """Give them in their order, or matched as many at a time as there are readers with room."""
        table = self._table
        choices: list[Choice] = []
        while rows:
            self._place = {i: n for n, i in enumerate(rows)}
            columns = int(np.count_nonzero(table.may.any(axis=0)))
            together = table.rules.matching and len(rows) > 1 and columns > 1 and not self._siblings(rows[0])
            batch = self._heads(rows, columns) if together else rows[:1]
            for i, j, points in self._matched(np.array(batch)):
                choices += self._with_siblings(i, j, points)
            able = table.able().tolist()
            rows = [i for i in rows if able[i]]
        return choices

    def _families_first(self, rows: list[int]) -> list[int]:
        """Return the rows with the studies of one patient before single ones, if there is room for all anyway."""
        families = self._families(rows)
        return families + [i for i in rows if i not in set(families)]

    def _families(self, rows: list[int]) -> list[int]:
        """Return the rows of patients of whom several studies wait, if there is room for all anyway.

        Single studies fit anywhere; they would take the room that a patient's studies need at one reader.
        """
        table = self._table
        rows = [i for i in rows if table.may[i].any()]
        open_to = table.may[rows].any(axis=0)
        if np.maximum(table.room - table.load, 0)[open_to].sum() < len(rows):
            return []
        return [i for i in rows if self._siblings(i)]

    def _heads(self, rows: list[int], columns: int) -> list[int]:
        """Return the first single studies, as many as readers have room; families are given one after the other."""
        return [i for i in rows if not self._siblings(i)][: min(columns, _AT_ONCE)]

    def _roomless(self, i: int) -> NDArray[np.float64]:
        """Return points against those who have no room for the whole of a patient's studies."""
        siblings = self._siblings(i)
        table = self._table
        able = table.may[[i, *siblings]].sum(axis=0)
        fits = np.minimum(able, np.maximum(table.capacity - table.load, 0))
        weight: float = table.rules.balance.patient
        return np.asarray(weight * np.maximum(len(siblings) + 1 - fits, 0))

    def _matched(self, batch: NDArray[np.intp]) -> list[tuple[int, int, NDArray[np.float64]]]:
        """Return the cheapest matching of the batch; the most urgent are never the ones left over."""
        table, n = self._table, len(batch)
        points = self._points.of(batch)
        total = self._points.total(points)
        for row, i in enumerate(batch.tolist()):
            if self._siblings(i):
                total[row] += self._roomless(i)
        if n == 1:
            j = int(np.argmin(np.where(table.may[batch[0]], total[0], np.inf)))
            return [(int(batch[0]), j, points[:, 0])]
        columns = np.flatnonzero(table.may[batch].any(axis=0))
        cost = np.full((n, len(columns) + n), np.inf)
        cost[:, : len(columns)] = np.where(table.may[np.ix_(batch, columns)], total[:, columns], np.inf)
        cost[np.arange(n), len(columns) + np.arange(n)] = _KEPT + (n - np.arange(n)) * (_KEPT / 100)
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - a host that was lost is back a second sooner

        found, where = linear_sum_assignment(cost)
        pairs = zip(found.tolist(), where.tolist(), strict=True)
        return [(int(batch[r]), int(columns[c]), points[:, r]) for r, c in pairs if c < len(columns)]

    def _siblings(self, i: int) -> list[int]:
        """Return the other studies of its patient that still wait."""
        same = self._patients.get(self._table.pool[i].patient_id, ())
        return [k for k in same if k != i and self._table.may[k].any()]

    def _with_siblings(self, i: int, j: int, points: NDArray[np.float64]) -> list[Choice]:
        """Give a study, and its patient's others to the same reader while she may have them and is in time."""
        table = self._table
        siblings = self._siblings(i)
        given = [self.give(i, j, points)]
        for k in siblings:
            done_at = table.now + (table.ahead[j] + table.by_kind[table.kind[k], j]) * 60.0
            if table.may[k, j] and table.load[j] < table.capacity[j] and done_at <= table.due[k]:
                given.append(self.give(k, j, self._points.of(np.array([k]))[:, 0]))
        return given

    def give(self, i: int, j: int, points: NDArray[np.float64]) -> Choice:
        """Record one choice with the numbers that decided, (names, readers)."""
        total = self._points.total(points[:, None])[0]
        position = (self._place.get(i, 0) + 1, len(self._place))
        choice = explained(self._table, i, j, Numbers(self._points.names, points, total), position)
        self._table.take(i, j)
        self._points.take(i, j)
        return choice

    def head(self) -> Choice | None:
        """Give the only reader the first study of her order, None when there is none."""
        table = self._table
        rows = [i for i in ranked(table).tolist() if table.may[i, 0]]
        self._place = {i: n for n, i in enumerate(rows)}
        return self.give(rows[0], 0, self._points.of(np.array(rows[:1]))[:, 0]) if rows else None
