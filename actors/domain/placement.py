"""Which host holds which shard, and where shards should go: pure, so that it can be tried on any cluster.

A *slot* is what is placed: a logical shard, for everybody or for one tenant that has hosts of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from actors.domain.identity import Key

Slot: TypeAlias = tuple[str, int]  # tenant that has hosts of its own, or ""; logical shard


@dataclass(frozen=True, slots=True)
class Held:
    """A slot as the placement table has it. Each change of hands raises ``generation``."""

    host: str  # "": nobody's yet
    generation: int = 0
    wanted: str | None = None  # where its holder is to hand it over
    pinned: bool = False  # by a person: it is not moved to even things out


@dataclass(frozen=True, slots=True)
class Host:
    """A shard host, as the registry has it."""

    name: str
    tenant_id: str = ""  # serves this tenant only
    alive: bool = True
    leaving: bool = False  # hands everything over and takes nothing


@dataclass(frozen=True)
class Placement:
    """The whole table, as read at one instant."""

    slots: Mapping[Slot, Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "apart", frozenset(tenant_id for tenant_id, _ in self.slots if tenant_id))

    apart: frozenset[str] = field(init=False, default=frozenset())  # tenants that have slots of their own

    def slot(self, key: Key) -> Slot:
        """Return what the entity is placed with."""
        return (key.tenant_id if key.tenant_id in self.apart else "", key.shard)

    def owner(self, key: Key) -> str | None:
        """Return the host of an entity, None when it has none yet."""
        held = self.slots.get(self.slot(key))
        return held.host or None if held else None


def plan(slots: Mapping[Slot, Held], hosts: Iterable[Host], dedicated: Collection[str] = ()) -> dict[Slot, str]:
    """Return where slots should be that are not, nor on their way there; as few moves as even things out.

    Slots of a tenant that has hosts ``dedicated`` to it go to its living ones, without one to the common
    ones, as everybody's do. Those of a tenant that has none any more go where the same shard of everybody is.
    """
    hosts = list(hosts)
    alive = {h.name for h in hosts if h.alive}
    hosts = [h for h in hosts if h.alive and not h.leaving]
    common = sorted(h.name for h in hosts if not h.tenant_id)
    goals: dict[Slot, str] = {}
    for tenant_id in sorted({tenant_id for tenant_id, _ in slots}):
        own = sorted(h.name for h in hosts if tenant_id and h.tenant_id == tenant_id)
        mine = {slot: held for slot, held in sorted(slots.items()) if slot[0] == tenant_id}
        if tenant_id and tenant_id not in dedicated:
            goals |= {slot: goals.get(("", slot[1]), held.host) for slot, held in mine.items()}
        else:
            goals |= _even(mine, own or common)
    return {slot: goal for slot, goal in goals.items() if goal != _bound_for(slots[slot], alive)}


def _bound_for(held: Held, alive: Collection[str]) -> str:
    """Return where a slot ends if nothing is done: whoever was lost hands nothing over."""
    return held.wanted if held.wanted and held.host in alive else held.host


def _even(slots: Mapping[Slot, Held], hosts: list[str]) -> dict[Slot, str]:
    """Return a host for each slot, numbers differing by one at most but for what is pinned."""
    if not hosts:
        return {}
    goals = {slot: held.wanted or held.host for slot, held in slots.items() if (held.wanted or held.host) in hosts}
    count = Counter(goals.values())
    least, more = divmod(len(slots), len(hosts))
    by_count = sorted(hosts, key=lambda h: (-count[h], h))
    room = {host: least + (i < more) for i, host in enumerate(by_count)}
    for slot, goal in list(goals.items()):
        if count[goal] > room[goal] and not slots[slot].pinned:
            count[goal] -= 1
            del goals[slot]
    for slot in slots:
        if slot not in goals:
            goals[slot] = min(hosts, key=lambda h: (count[h] - room[h], h))
            count[goals[slot]] += 1
    return goals


def names(room: int, serving: Iterable[str]) -> list[str]:
    """Return which hosts there should be where so many have room: who serves, first come, then the lowest free numbers."""
    kept = list(serving)[:room]
    free = (name for name in map(str, range(room)) if name not in kept)
    return kept + [next(free) for _ in range(room - len(kept))]
