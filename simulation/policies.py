"""The policies that are compared, by name. All but the picking of cherries ask the production policy object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from actors.domain.assignment.rules import NAMED
from simulation.desks import OpenList
from simulation.production import Production, pulled

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.room import Desk

OURS = "gcmu_matching"
CLAIRVOYANT = "clairvoyant"
_PULLED = ("strict_priority", "priority_age_cap", "edf", "cmu", "gcmu", OURS)
_DEALT = ("round_robin", "least_count", "least_rvu", "deficit_balance")

POLICIES: dict[str, Callable[[], Desk]] = {
    "fifo": OpenList,
    "fifo_picking": partial(OpenList, picking=True),
    **{name: partial(Production, NAMED[name]) for name in _DEALT},
    **{name: partial(Production, pulled(NAMED[name])) for name in _PULLED},
    CLAIRVOYANT: partial(Production, pulled(NAMED[OURS]), knowing=True),
}
