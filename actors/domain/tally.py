"""What a study adds to the counters of the streams it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.words import ClockState, Status

if TYPE_CHECKING:
    from actors.domain.study import Study

COUNTERS = ("open", "unread", "offered", "assigned", "reading", "warned", "breached", "paused", "final_today")
_STATUSES = {Status.UNREAD, Status.OFFERED, Status.ASSIGNED, Status.READING}
_CLOCKS = {ClockState.WARNED, ClockState.BREACHED, ClockState.PAUSED}


def tally(study: Study) -> dict[str, int]:
    """Return the study's share of each counter that it counts in."""
    if not study.open:
        return {}
    counted = {"open": 1}
    if study.shown in _STATUSES:
        counted[study.shown.value] = 1
    if study.sla and study.sla.state in _CLOCKS:
        counted[study.sla.state.value] = 1
    return counted


def change(before: Study, after: Study) -> dict[str, int]:
    """Return how the counters move, without the zeros."""
    old, new = tally(before), tally(after)
    moved = {name: new.get(name, 0) - old.get(name, 0) for name in COUNTERS}
    return {name: by for name, by in moved.items() if by}
