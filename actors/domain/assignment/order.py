"""Which study comes first: the named orders, each a function from the table to sort keys, the first key foremost.

Sources: EDF (Liu & Layland 1973); cμ (Cox & Smith 1961); generalised cμ (van Mieghem 1995; Mandelbaum & Stolyar 2004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from actors.domain.words import Acuity, Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from actors.domain.assignment.rules import ByPriority
    from actors.domain.assignment.table import Table

    Keys: TypeAlias = tuple[NDArray[np.float64], ...]

_DAY_S = 86400.0  # what has no due time is weighed as if it were due in a day


def _each(table: Table, numbers: ByPriority) -> NDArray[np.float64]:
    """Return the number of each study's priority."""
    values: NDArray[np.float64] = np.array([numbers.of(p) for p in Priority])[table.rank]
    return values


def _fifo(table: Table) -> Keys:
    return (table.started,)


def _strict_priority(table: Table) -> Keys:
    return (table.rank.astype(float), table.started)


def _aged(table: Table) -> NDArray[np.bool_]:
    """Who has waited past the age cap of her priority."""
    return table.now - table.started >= _each(table, table.rules.age_cap_s)


def _priority_age_cap(table: Table) -> Keys:
    return (np.where(_aged(table), 0.0, table.rank), table.started)


def _edf(table: Table) -> Keys:
    return (table.due, table.started)


def chance(table: Table) -> NDArray[np.float64]:
    """Return P(critical) of each study: the model's, else what the policy says of its acuity."""
    of = {acuity: table.rules.suspicion.of(acuity) for acuity in Acuity}
    return np.array([of[w.acuity] if w.critical_p is None else w.critical_p for w in table.pool], float)


def marginal(table: Table) -> NDArray[np.float64]:
    """Return C'(age) of each study: what another second of waiting costs it."""
    cost = table.rules.cost
    length = np.where(np.isinf(table.due), _DAY_S, np.maximum(table.due - table.started, 1.0))
    x = np.maximum(table.now - table.started, 0.0) / length
    steep = np.clip((x - cost.wall_from) / max(1.0 - cost.wall_from, 1e-9), 0.0, 1.0)
    wall = cost.wall * np.where(x > 1.0, cost.late, steep)
    grown = np.minimum(x, 2.0) ** (cost.power - 1.0)
    rate = cost.floor + grown + wall
    return _each(table, cost.weight) * (1.0 + cost.critical * chance(table)) * rate / length


def _fastest(table: Table) -> NDArray[np.float64]:
    """Return μ of each study: one over the least minutes of those who may have it now."""
    open_to = np.flatnonzero(table.may.any(axis=0))
    minutes = table.by_kind[table.kind[:, None], open_to]
    return np.asarray(1.0 / np.where(table.may[:, open_to], minutes, np.inf).min(axis=1, initial=1e9))


def _level(table: Table) -> NDArray[np.float64]:
    """STAT before all; then what has passed its age cap; then the rest."""
    return np.where(table.stat, 0.0, np.where(_aged(table), 1.0, 2.0))


def _cmu(table: Table) -> Keys:
    length = np.where(np.isinf(table.due), _DAY_S, np.maximum(table.due - table.started, 1.0))
    rate = _each(table, table.rules.cost.weight) * (1.0 + table.rules.cost.critical * chance(table)) / length
    return (_level(table), -rate * _fastest(table), table.started)


def _gcmu(table: Table) -> Keys:
    mu = _fastest(table)
    index = marginal(table) * mu
    power = table.rules.cost.advantage
    if table.rules.matching and power and table.present.any():
        index = index * (mu * table.by_kind[:, table.present].mean(axis=1)[table.kind]) ** power
    return (_level(table), -index, table.started)


ORDERS: dict[str, Callable[[Table], Keys]] = {
    "fifo": _fifo,
    "strict_priority": _strict_priority,
    "priority_age_cap": _priority_age_cap,
    "edf": _edf,
    "cmu": _cmu,
    "gcmu": _gcmu,
}


def ranked(table: Table) -> NDArray[np.intp]:
    """Return the rows of the table, the first to be read first; equals by ``study_uid``."""
    keys = ORDERS[table.rules.order](table)
    return np.asarray(np.lexsort(keys[::-1]), np.intp)
