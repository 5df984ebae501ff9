"""What a host holds, and for how long: registered under its name, renewed each half second, handed over in good order.

The journal fences whoever writes without holding; this keeps hosts from trying. A host answers only while
its last heartbeat is younger than the others' patience with it, so one that was frozen or cut off is silent
before anybody takes its shards. Whichever host comes first in a round evens things out for all.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import structlog

from actors.domain.identity import shards
from actors.domain.placement import Placement, plan
from storage import placement
from storage.faults import AWAY

if TYPE_CHECKING:
    from actors.domain.identity import Key
    from actors.domain.placement import Slot
    from storage.pool import Connection, Database

log = structlog.get_logger()

LEASE_S = placement.LOST_S - 2.0
_EACH_S = 0.5
_SETTLE_S = 10.0  # a message that takes longer is left to the journal's fence


class Holder(Protocol):
    """The host whose shards these are."""

    def gained(self, slots: frozenset[Slot]) -> None:
        """Take care of timers and inbox of these from now on."""
        ...

    def lost(self) -> None:
        """Forget the entities that do not live here any more."""
        ...

    async def settle(self, slots: frozenset[Slot], within_s: float) -> bool:
        """Wait until no entity of these has a message; whether that came to be in time."""
        ...

    def say(self, channel: str, text: str) -> None:
        """Publish a hint."""
        ...


class Tenure:
    """The shards of one host.

    Args:
        name: of the host; a process that begins under it later retires this one.
        tenant_id: the one tenant that it serves, "" for everybody.
        node: where it runs, for people.
        db: role rr_timer.
        holder: the host.
    """

    def __init__(self, name: str, tenant_id: str, node: str, db: Database, holder: Holder) -> None:
        self.name, self._tenant_id, self._node = name, tenant_id, node
        self._db, self._holder = db, holder
        self.placement = Placement()
        self.held: frozenset[Slot] = frozenset()
        self._leaving: frozenset[Slot] = frozenset()  # being handed over: takes no more messages
        self._handing: asyncio.Task[None] | None = None
        self._epoch = 0
        self._until = 0.0
        self._wake = asyncio.Event()

    @property
    def retired(self) -> bool:
        """Whether another process has begun under this name."""
        return self._epoch < 0

    @property
    def takes(self) -> frozenset[Slot]:
        """Slots whose timers and inbox this host looks after now."""
        return self.held - self._leaving

    def mine(self, key: Key) -> bool:
        """Whether the entity lives here, be it about to move."""
        return self.placement.slot(key) in self.held

    def holds(self, key: Key) -> bool:
        """Whether the entity may be asked here now."""
        slot = self.placement.slot(key)
        return slot in self.held and slot not in self._leaving and monotonic() < self._until

    def owner(self, key: Key) -> str | None:
        """Return the host of an entity."""
        return self.placement.owner(key)

    def doubt(self) -> None:
        """Look soon: somebody was not where the placement said."""
        self._wake.set()

    async def begin(self) -> None:
        """Register, and take what is this host's.

        Raises:
            OSError, asyncpg.PostgresError: the database is away.
        """
        async with self._db.scope() as conn:
            self._epoch = await placement.register(conn, self.name, self._tenant_id, self._node, os.getpid())
        await self._look()
        self._holder.say("placement", self.name)

    async def run(self) -> None:
        """Keep, hand over and take, until another process has the name."""
        while not self.retired:
            with suppress(TimeoutError):
                async with asyncio.timeout(_EACH_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._look()
            except Exception as exc:  # noqa: BLE001 - whatever it was, a host that stops looking would be lost
                log.warning("placement not read", host=self.name, cause=type(exc).__name__)

    async def end(self) -> None:
        """Stop holding: whoever is there may take over at once."""
        if self._handing is not None:
            self._handing.cancel()
            await asyncio.gather(self._handing, return_exceptions=True)
        self._until = 0.0
        if self._epoch > 0:
            with suppress(*AWAY):
                async with asyncio.timeout(2), self._db.scope() as conn:
                    await placement.leave(conn, self.name, self._epoch)

    async def _look(self) -> None:
        at = monotonic()
        async with self._db.scope() as conn:
            if not await placement.beat(conn, self.name, self._epoch):
                self._retire()
                return
            if await placement.lead(conn):
                await self._even_out(conn)
            seen = await placement.read(conn)
        self._take(seen)
        self._until = at + LEASE_S

    async def _even_out(self, conn: Connection) -> None:
        await placement.lay(conn, shards())
        hosts = placement.registry(await placement.hosts(conn))
        seen = (await placement.read(conn)).slots
        alive = {host.name for host in hosts if host.alive}
        goals = plan(seen, hosts, await placement.dedications(conn))
        taken = {slot: goal for slot, goal in goals.items() if seen[slot].host not in alive}
        moved = {slot: goal for slot, goal in goals.items() if slot not in taken}
        if taken:
            await placement.seize(conn, taken)
            log.info("ShardsTaken", shards=len(taken), hosts=sorted(set(taken.values())))
        if moved:
            await placement.want(conn, moved)
            log.info("ShardsWanted", shards=len(moved), hosts=sorted(set(moved.values())))

    def _take(self, seen: Placement) -> None:
        """Make the table's word ours."""
        before = self.held
        self.placement = seen
        self.held = frozenset(slot for slot, held in seen.slots.items() if held.host == self.name)
        if before - self.held:
            self._holder.lost()
        wanted = frozenset(slot for slot in self.held if seen.slots[slot].wanted)
        self._leaving &= wanted  # the rest is gone, or stays after all
        if gained := self.held - before - wanted:
            self._holder.gained(gained)
        if wanted and (self._handing is None or self._handing.done()):
            self._leaving |= wanted
            self._handing = asyncio.create_task(self._hand_over(wanted))

    async def _hand_over(self, slots: frozenset[Slot]) -> None:
        """Take no more, finish what was taken, which is durable then, and let go."""
        if not await self._holder.settle(slots, _SETTLE_S):
            log.warning("shards are handed over before their last message", host=self.name)
        try:
            async with self._db.scope() as conn:
                await placement.hand_over(conn, self.name, slots & self._leaving)
        except AWAY as exc:
            log.warning("shards not handed over", host=self.name, cause=type(exc).__name__)
            return
        log.info("ShardsHandedOver", host=self.name, shards=len(slots))
        self._holder.say("placement", self.name)
        self._wake.set()

    def _retire(self) -> None:
        """Another process has begun under this name: hold nothing, for good."""
        log.warning("HostRetired", host=self.name, shards=len(self.held))
        self.held = self._leaving = frozenset()
        self._epoch, self._until = -1, 0.0
        self._holder.lost()


class Everything:
    """The tenure of a copy that does not know of any other: it holds every shard. For tests of the journal's fence."""

    def __init__(self, name: str) -> None:
        self.name, self.retired = name, False
        self.placement = Placement()
        self.takes = self.held = frozenset(("", shard) for shard in range(shards()))

    def mine(self, _key: Key) -> bool:
        """Whether the entity lives here."""
        return True

    holds = mine

    def owner(self, _key: Key) -> str | None:
        """Return the host of an entity."""
        return self.name

    def doubt(self) -> None:
        """Know better."""

    async def begin(self) -> None:
        """Hold."""

    async def run(self) -> None:
        """Hold."""

    async def end(self) -> None:
        """Stop holding."""
