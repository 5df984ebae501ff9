"""Who has read less than her share: what was read today, and what each is owed from the days before."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FADES = 0.5  # a day


def carried(reads: Iterable[tuple[int, str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the minutes read today and the minutes owed, by reader.

    Owed is the mean of a past day over those who read on it, less her own, halved with each day gone by:
    a deficit is carried over and is forgiven in a week.

    Args:
        reads: (days ago, reader, minutes).
    """
    by_day: dict[int, dict[str, float]] = defaultdict(dict)
    for days_ago, who, minutes in reads:
        by_day[days_ago][who] = by_day[days_ago].get(who, 0.0) + minutes
    owed: dict[str, float] = defaultdict(float)
    for days_ago, day in sorted(by_day.items()):
        if days_ago > 0:
            mean = sum(day.values()) / len(day)
            for who, minutes in day.items():
                owed[who] += (mean - minutes) * _FADES**days_ago
    return by_day.get(0, {}), dict(owed)
