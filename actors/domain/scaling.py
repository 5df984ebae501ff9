"""How many shard hosts an amount of work asks for: more at once, fewer only after it has been calm for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

STUDIES_A_HOST = 50_000
WAITING_A_HOST = 500  # messages; a host answers some thousands a second
CALM_S = 600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """How many hosts are asked for.

    Args:
        hosts: so many.
        since: instant (s) at which so many, or more, were needed last.
        peak: the most that were needed since then.
    """

    hosts: int = 1
    since: float = 0.0
    peak: int = 1


def needed(studies: int, waiting: int, hosts: int) -> int:
    """Return how many hosts this much asks for.

    Args:
        studies: open ones, of all tenants.
        waiting: messages in the hosts, of all tenants.
        hosts: how many share them now; a queue asks for one more at a time, as what stands in it is soon done.
    """
    room = ceil(studies / STUDIES_A_HOST)
    return max(1, room, hosts + 1 if waiting > WAITING_A_HOST * hosts else 1)


def wish(before: Wish, need: int, at: float) -> Wish:
    """Return what to ask for now that so many are needed; ``at`` in seconds on any steady clock."""
    if need >= before.hosts:
        return Wish(need, at)
    if at - before.since < CALM_S:
        return replace(before, peak=max(before.peak, need))
    return Wish(max(before.peak, need), at)
