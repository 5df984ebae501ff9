"""Who takes what when more waits than there is room: readers who will be free soon are weighed with those who are.

Each pair is worth what the study's waiting costs times the minutes of a horizon that are left once it is read
(a linear look ahead at generalised cμ); the matching of greatest worth is found, and of it only what somebody with
room takes is done now. So a reader leaves to her neighbour, who is free in a minute, what the neighbour reads faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actors.domain.assignment.order import marginal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.assignment.table import Table

_SOON = 0.25  # of the horizon: who is busy for longer is not waited for
_EACH = 2  # studies looked at for each reader present, the first of the order


def foreseen(table: Table, rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return (study, reader) pairs that are worth doing now; empty when there is room for all or no horizon.

    Args:
        table: pool and readers.
        rows: what may be given now, the first to be read first; a STAT does not wait for a better reader.
    """
    horizon = table.rules.horizon_min
    waiting = [i for i in rows if not table.stat[i]]
    if horizon is None or not waiting:
        return []
    room = table.may[waiting].any(axis=0)
    if len(waiting) <= np.count_nonzero(room):
        return []
    begins = np.where(table.load == 0, 0.0, table.ahead)
    columns = np.flatnonzero(room | (table.soon[waiting].any(axis=0) & (begins <= _SOON * horizon)))
    few = np.array(waiting[: _EACH * len(columns)])
    able = table.soon[np.ix_(few, columns)]
    left = np.maximum(horizon - begins[columns] - table.by_kind[table.kind[few][:, None], columns], 1e-3)
    worth = np.where(able, marginal(table)[few][:, None] * left, 0.0)
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - as in ``engine``

    found, where = linear_sum_assignment(worth, maximize=True)
    pairs = zip(few[found].tolist(), columns[where].tolist(), strict=True)
    return [(i, j) for i, j in pairs if table.may[i, j]]
