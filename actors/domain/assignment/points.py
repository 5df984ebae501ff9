"""Who of those who may: points for and against each reader, by name, so that a choice can be explained."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from actors.domain.assignment.table import PRESENT
from actors.domain.words import Presence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from actors.domain.assignment.table import Table

_MINUTE = 60.0
_COSTS = (
    "asked", "interrupt", "late", "load", "minutes", "over_cap", "patient", "prior", "skill", "stat", "surplus", "switch",
)  # fmt: skip
_NAMES = {
    "round_robin": ("turn",),
    "least_count": ("load",),
    "least_rvu": ("rvu",),
    "deficit_balance": ("surplus",),
}
_LOT = 1e-6  # of a point: decides between equals


class Points:
    """Costs of giving a study to a reader; the least is chosen. Grows with what is given."""

    def __init__(self, table: Table, seed: int) -> None:
        self._table = table
        readers = table.readers
        self._kinds = np.array([table.kinds.index(r.last_kind) if r.last_kind in table.kinds else -1 for r in readers])
        self._fresh = np.array([not r.last_kind for r in readers], bool)
        self._reading = np.array([r.presence is Presence.READING for r in readers], float)
        self._given = np.array([r.given_at for r in readers], float)
        self._rvu = np.array([r.rvu for r in readers], float)
        self._done = _surplus(table)
        self._ahead = table.ahead.copy()  # as it was: what is given now counts on top
        lots = np.argsort([crc32(f"{seed}/{r.radiologist_id}".encode()) for r in readers], kind="stable")
        self._lot = np.empty(len(readers))
        self._lot[lots] = np.arange(len(readers)) * _LOT
        self._skills: dict[str, NDArray[np.float64]] = {}
        self._hands: dict[str, set[int]] = {}
        for j, reader in enumerate(readers):
            for patient in reader.patients:
                self._hands.setdefault(patient, set()).add(j)

    @property
    def names(self) -> tuple[str, ...]:
        """What the points are called, in the order in which they come."""
        return _NAMES.get(self._table.rules.choose, _COSTS)

    def of(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the points, (names, studies, readers)."""
        table, names = self._table, self.names
        points = np.zeros((len(names), len(rows), len(table.readers)))
        match table.rules.choose:
            case "round_robin":
                points[0] = self._given - self._given.max(initial=0.0)
            case "least_count":
                points[0] = table.load
            case "least_rvu":
                points[0] = self._rvu
            case "deficit_balance":
                points[0] = self._done + table.ahead - self._ahead
            case _:
                self._costs(rows, dict(zip(names, points, strict=True)))
        return points

    def _costs(self, rows: NDArray[np.intp], points: dict[str, NDArray[np.float64]]) -> None:
        table, weight = self._table, self._table.rules.balance
        minutes = table.by_kind[table.kind[rows]]
        stat = table.stat[rows][:, None]
        done_at = table.now + (np.where(stat, table.current, table.ahead) + minutes) * _MINUTE
        late = done_at > table.due[rows][:, None]
        surplus = (self._done + table.ahead - self._ahead).clip(-weight.surplus_max_min, weight.surplus_max_min)
        points["minutes"][:] = weight.speed * minutes
        points["load"][:] = weight.load * table.load / table.capacity
        points["surplus"][:] = weight.surplus * surplus
        points["stat"][:] = weight.stat * table.stats * stat
        points["switch"][:] = weight.switch * ((table.kind[rows][:, None] != self._kinds) & ~self._fresh)
        points["interrupt"][:] = weight.interrupt * self._reading
        points["late"][:] = weight.late * late
        points["over_cap"][:] = weight.over_cap * (table.load >= table.capacity)
        for row, i in enumerate(rows):
            waiting = table.pool[i]
            if waiting.demand.specialty:
                points["skill"][row] = self._skill(waiting.demand.specialty)
            for j in self._hands.get(waiting.patient_id, ()) if waiting.patient_id else ():
                if not late[row, j]:  # however many STATs of this patient she has: they are read together
                    points["patient"][row, j], points["stat"][row, j] = -weight.patient, 0.0
            for who in waiting.priors_by:
                if who in table.column:
                    points["prior"][row, table.column[who]] = -weight.prior
            for who in waiting.asked:
                if who in table.column:
                    points["asked"][row, table.column[who]] = weight.asked

    def _skill(self, wanted: str) -> NDArray[np.float64]:
        known = self._skills.get(wanted)
        if known is None:
            levels = [r.subspecialties.get(wanted, 0) for r in self._table.readers]
            known = self._skills[wanted] = -self._table.rules.balance.skill * np.array(levels, float)
        return known

    def total(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of the points, (studies, readers), and the lot that decides between equals."""
        return np.asarray(points.sum(axis=0) + self._lot)

    def take(self, i: int, j: int) -> None:
        """Reader ``j`` has been given study ``i``."""
        table = self._table
        waiting = table.pool[i]
        self._given[j] = max(table.now, self._given.max()) + 1e-3  # one after another, within the same instant too
        self._rvu[j] += waiting.rvu
        self._kinds[j] = table.kind[i]
        self._fresh[j] = False
        if waiting.patient_id:
            self._hands.setdefault(waiting.patient_id, set()).add(j)


def _surplus(table: Table) -> NDArray[np.float64]:
    """Return the minutes each has read, and has in hand, beyond her share of her time present, carry-over included."""
    readers = table.readers
    done = np.array([r.done_min + r.ahead_min for r in readers], float)
    on = np.array([r.on_min if r.presence in PRESENT else 0.0 for r in readers], float)
    owed = np.array([r.owed_min for r in readers], float)
    share = done[table.present].sum() * on / on.sum() if on.sum() > 0 else np.full(len(readers), done.mean())
    return np.asarray(done - share - owed)
