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
        self._hands: dict[str, set[int]] = {}
        for j, reader in enumerate(readers):
            for patient in reader.patients:
                self._hands.setdefault(patient, set()).add(j)

    def of(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
        """Return the points by name, each (rows, readers)."""
        table = self._table
        load = np.broadcast_to(table.load.astype(float), (len(rows), len(table.readers)))
        match table.rules.choose:
            case "round_robin":
                return {"turn": np.broadcast_to(self._given - self._given.max(initial=0.0), load.shape)}
            case "least_count":
                return {"load": load}
            case "least_rvu":
                return {"rvu": np.broadcast_to(self._rvu, load.shape)}
            case "deficit_balance":
                return {"surplus": np.broadcast_to(self._done + table.ahead - self._ahead, load.shape)}
            case _:
                return self._costs(rows)

    def _costs(self, rows: NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
        table, weight = self._table, self._table.rules.balance
        shape = (len(rows), len(table.readers))
        minutes = table.by_kind[table.kind[rows]]
        stat = table.stat[rows][:, None]
        done_at = table.now + (np.where(stat, table.current, table.ahead) + minutes) * _MINUTE
        late = done_at > table.due[rows][:, None]
        surplus = np.clip(self._done + table.ahead - self._ahead, -weight.surplus_max_min, weight.surplus_max_min)
        switched = (table.kind[rows][:, None] != self._kinds) & ~self._fresh
        points = {
            "minutes": weight.speed * minutes,
            "load": np.broadcast_to(weight.load * table.load / table.capacity, shape),
            "surplus": np.broadcast_to(weight.surplus * surplus, shape),
            "stat": weight.stat * table.stats * stat,
            "switch": weight.switch * switched,
            "interrupt": np.broadcast_to(weight.interrupt * self._reading, shape),
            "late": weight.late * late,
            "over_cap": np.broadcast_to(weight.over_cap * (table.load >= table.capacity), shape),
            "skill": np.zeros(shape),
            "patient": np.zeros(shape),
            "prior": np.zeros(shape),
            "asked": np.zeros(shape),
        }
        for row, i in enumerate(rows):
            waiting = table.pool[i]
            wanted = waiting.demand.specialty
            if wanted:
                points["skill"][row] = self._skill(wanted)
            for j in self._hands.get(waiting.patient_id, ()) if waiting.patient_id else ():
                points["patient"][row, j] = 0.0 if late[row, j] else -weight.patient
            for who in waiting.priors_by:
                if who in table.column:
                    points["prior"][row, table.column[who]] = -weight.prior
            for who in waiting.asked:
                if who in table.column:
                    points["asked"][row, table.column[who]] = weight.asked
        return points

    def _skill(self, wanted: str) -> NDArray[np.float64]:
        weight = self._table.rules.balance.skill
        return np.array([-weight * r.subspecialties.get(wanted, 0) for r in self._table.readers], float)

    def total(self, points: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the sum of the points, and the lot that decides between equals."""
        return np.asarray(sum(points.values()) + self._lot)

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

    def holding(self, patient_id: str) -> set[int]:
        """Return who has a study of the patient in hand."""
        return self._hands.get(patient_id, set())


def _surplus(table: Table) -> NDArray[np.float64]:
    """Return the minutes each has read, and has in hand, beyond her share of her time present, carry-over included."""
    readers = table.readers
    done = np.array([r.done_min + r.ahead_min for r in readers], float)
    on = np.array([r.on_min if r.presence in PRESENT else 0.0 for r in readers], float)
    owed = np.array([r.owed_min for r in readers], float)
    if not readers:
        return done
    share = done[table.present].sum() * on / on.sum() if on.sum() > 0 else np.full(len(readers), done.mean())
    return np.asarray(done - share - owed)
