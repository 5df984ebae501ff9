"""Many entities in one process: a Ray actor costs 45 MiB and a second, a study a few KiB.

A host holds the shards that the placement gives it (``actors.tenure``). It activates an entity at
its first message, empties the inbox, keeps the timers and gives each tenant's decider its pulse. It
begins at the first message and not before: a host that cannot reach PostgreSQL yet answers ``retry``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from actors import meters, tracing
from actors.arrivals import Arrivals
from actors.cells import Cells
from actors.committer import Committer
from actors.directory import Directory
from actors.domain.commands import Envelope, FireTimer, ImagesArrived
from actors.domain.errors import ReadingRoomError, Retry
from actors.domain.identity import Key, divide, tenant_key
from actors.door import Door
from actors.firing import Firing
from actors.inbox import Inbox
from actors.letters import DeadLetters
from actors.mailbox import Mailbox
from actors.memory import give_back
from actors.nudges import Nudges
from actors.post import Place, Post
from actors.pulse import Pulse
from actors.radiologist.actor import RadiologistActor
from actors.reads import Reads
from actors.router import Router
from actors.study.actor import StudyActor
from actors.tenant.actor import TenantActor
from actors.tenure import Everything, Tenure
from actors.told import Tick, sealed
from actors.upkeep import Upkeep
from storage import timers
from storage.commit import Lane
from storage.faults import AWAY
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain.placement import Slot
    from actors.domain.unit import Unit
    from actors.mailbox import Entity
    from actors.router import Transport

log = structlog.get_logger()

__all__ = ["Place", "Post", "ShardHost"]

_KINDS: dict[str, Callable[[Key, Any], Entity]] = {
    "study": StudyActor,
    "tenant": TenantActor,
    "radiologist": RadiologistActor,
}
_IDLE_S = 60.0  # reading an entity again takes a millisecond
_LANES = 2  # connections that commit


class ShardHost(Door):
    """Hosts the entities of some shards, and is the world they see."""

    def __init__(self, post: Post, place: Place, transport: Transport) -> None:
        super().__init__()
        divide(place.shards)
        self.name, self._place = post.name, place
        self.db = Database(place.host_dsn, max_size=6)
        self._waker = Database(place.timer_dsn, max_size=3)
        self.directory, self.reads = Directory(self.db), Reads(self.db)
        self.tenure: Tenure | Everything = (
            Everything(post.name) if post.doubled else Tenure(post.name, post.tenant_id, post.node, self._waker, self)
        )
        self._router = Router(transport, self.tenure)
        self._cells = Cells(lambda key: Mailbox(key, _KINDS[key.kind](key, self), self), self._follow)
        self._ended = False
        self._starting: asyncio.Task[None] | None = None
        self._trimmed = False
        self._letters = DeadLetters(self.db)
        self._upkeep = Upkeep(self.db, place.archive_after_s)

    # -- life ---------------------------------------------------------------------------------
    async def start(self) -> None:
        """Begin, once; several may wait for it.

        Raises:
            Retry: a server is away, and the next call tries again; or the host has ended.
        """
        if self._ended:
            raise Retry
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            # what runs on is no part of the first asker's trace
            self._starting = asyncio.create_task(self._start(), context=Context())
        try:
            await asyncio.shield(self._starting)
        except AWAY as exc:
            log.warning("host cannot start", host=self.name, cause=type(exc).__name__)
            raise Retry from exc

    async def _start(self) -> None:
        try:
            await self.db.open()
            await self._waker.open()
            self._nudges = Nudges(self._place.valkey_url)
            await self.tenure.begin()
        except AWAY:
            await self.db.close()
            await self._waker.close()
            raise
        self._committer = Committer([Lane(self._place.host_dsn) for _ in range(_LANES)], self._nudges.say)
        self._firing = Firing(self, self.tenure, self._waker, self._letters)
        self._timers = self._firing.timers
        meters.TIMERS_ARMED.set_function(lambda: len(self._timers))
        self._inbox = Inbox(Arrivals(self.tenure, self._waker, self.db, self._letters), self.ask)
        heard = {"inbox": self._woken, "roster": self._changed, "placement": lambda _: self.tenure.doubt()}
        self._nudges.start(heard)
        self._committer.start()
        self._timers.start()
        self._inbox.start()
        self.spawn(
            Pulse(self._waker, self._upkeep, self.directory, self.tenure.holds, self._tick, self._passivate).run()
        )
        self.spawn(self.tenure.run())
        warming = asyncio.to_thread(import_module, "scipy.optimize")  # a second: better here than in a decision
        self.keep(asyncio.create_task(warming))
        log.info("HostStarted", host=self.name, shards=len(self.tenure.held))

    async def stop(self) -> None:
        """End everything, for good; what was committed stands."""
        self._ended = True  # who asks from now on does not begin it anew
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if not self._started:
            return
        await self.tenure.end()
        await self._inbox.stop()
        await self._timers.stop()
        await self._upkeep.stop()
        await self.end_tasks()
        await self._committer.stop()
        await self._nudges.stop()
        await self.db.close()
        await self._waker.close()
        self._starting = None

    @property
    def _started(self) -> bool:
        return self._starting is not None and self._starting.done() and self._starting.exception() is None

    def stats(self) -> dict[str, Any]:
        """Return what `status` shows of this host."""
        started = self._started
        return {
            "host": self.name,
            "started": started,
            "shards": len(self.tenure.held),
            "retired": self.tenure.retired,
            "entities": len(self._cells),
            "waiting": self._cells.waiting,
            "studies": meters.studies_open(),
            "timers": len(self._timers) if started else 0,
            "units": self._committer.units if started else 0,
        }

    # -- shards -------------------------------------------------------------------------------
    def gained(self, slots: frozenset[Slot]) -> None:
        """Take care of timers and inbox of these from now on."""
        if self._started:
            self.spawn(self._firing.load(slots))
            self._inbox.wake()

    def lost(self) -> None:
        """Forget the entities that do not live here any more."""
        self._cells.drop(lambda key: not self.tenure.mine(key))

    async def settle(self, slots: frozenset[Slot], within_s: float) -> bool:
        """Wait until no entity of these has a message; whether that came to be in time."""
        return await self._cells.settle(lambda key: self.tenure.placement.slot(key) in slots, within_s)

    # -- what entities use --------------------------------------------------------------------
    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    async def commit(self, unit: Unit) -> None:
        """Make a unit durable, then keep its timers."""
        if tracing.on():
            await self._traced(unit)
        else:
            await self._committer.commit(unit)
        place = (unit.key.tenant_id, unit.key.entity)
        for name in unit.disarm:
            self._timers.disarm(*place, name)
        for arm in unit.arm:
            self._timers.arm(timers.Timer(*place, arm.name, arm.version, arm.due_at))

    async def _traced(self, unit: Unit) -> None:
        for hint in tracing.hints(item.id for item in unit.feed):
            self.say(tracing.CHANNEL, hint)
        with tracing.span("commit", entity=str(unit.key), events=" ".join(event.type for event in unit.events)):
            await self._committer.commit(unit)

    async def drop(self, key: Key, timer: FireTimer) -> None:
        """Delete a timer that found nothing to do."""
        async with self.db.scope([key.tenant_id]) as conn:
            await timers.drop(conn, timers.Timer(key.tenant_id, key.entity, timer.name, timer.version, timer.due_at))

    def say(self, channel: str, text: str) -> None:
        """Publish a hint."""
        self._nudges.say(channel, text)

    async def find(self, tenant_id: str, user_id: str, idem: str) -> tuple[bytes, dict[str, Any]] | None:
        """Return the answer a command got before."""
        return await self.reads.answer((tenant_id, user_id, idem))

    async def set_aside(self, key: Key, envelope: Envelope, exc: Exception) -> None:
        """Note a command that its entity fails on; images and timers are counted where they come from."""
        if not isinstance(envelope.command, ImagesArrived | FireTimer):
            await self._letters.note(key, envelope, exc)

    # -- inbox, timers, pulse -----------------------------------------------------------------
    def _changed(self, tenant_id: str) -> None:
        """Let a tenant's decider look at once: its readers, their hours or its policy have changed."""
        self.directory.forget(tenant_id)
        if self.tenure.holds(key := tenant_key(tenant_id)):
            self._tick(key)

    def _passivate(self) -> None:
        if self._cells.passivate(_IDLE_S) or not self._trimmed:
            self._trimmed = True  # once in any case: to begin takes more than what stays
            self.keep(asyncio.create_task(asyncio.to_thread(give_back)))

    def _woken(self, shard: str) -> None:
        if not shard.isdigit() or any(int(shard) == mine for _, mine in self.tenure.held):
            self._inbox.wake()

    def _tick(self, key: Key) -> asyncio.Task[None]:
        return self.keep(asyncio.create_task(self._ticked(key)))

    async def _ticked(self, key: Key) -> None:
        with suppress(ReadingRoomError):
            await self.ask(key, sealed(Tick()))
