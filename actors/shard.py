"""Many entities in one process: a Ray actor costs 45 MiB and a second, a study a few KiB.

A host owns the logical shards ``shard % hosts == index``. It activates an entity at its first
message, empties the inbox, keeps the timers and gives each tenant's decider its pulse. It begins
at the first message and not before: a host that cannot reach PostgreSQL yet answers ``retry``.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from actors import alerts, meters, tracing
from actors.committer import Committer
from actors.directory import Directory
from actors.domain.commands import Assign, Claim, Envelope, FireTimer
from actors.domain.errors import BadPayload, ReadingRoomError, Retry
from actors.domain.identity import SHARDS, Key
from actors.inbox import Inbox
from actors.mailbox import Mailbox
from actors.nudges import Nudges
from actors.pulse import Pulse
from actors.radiologist.actor import RadiologistActor
from actors.reads import Reads
from actors.study.actor import StudyActor
from actors.tenant.actor import TenantActor
from actors.timers import Timers
from actors.told import FORWARD, Later, Spent, Tick, sealed
from actors.upkeep import Upkeep
from storage import inbox, timers
from storage.commit import Lane
from storage.faults import AWAY
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from actors.domain.unit import Unit
    from actors.mailbox import Entity
    from actors.refs import Refs
    from storage.inbox import Entry, Stored
    from storage.timers import Timer

log = structlog.get_logger()

_KINDS: dict[str, Callable[[Key, Any], Entity]] = {
    "study": StudyActor,
    "tenant": TenantActor,
    "radiologist": RadiologistActor,
}
_IDLE_S = 60.0  # reading an entity again takes a millisecond
_ALERT_S = 0.5  # a breach that could not be committed by then is announced from memory


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host finds the servers."""

    host_dsn: str
    timer_dsn: str
    valkey_url: str
    archive_after_s: float = 30 * 86_400.0


class ShardHost:
    """Hosts the entities of some shards, and is the world they see."""

    def __init__(self, index: int, hosts: int, place: Place, elsewhere: Refs | None = None) -> None:
        self.index, self._hosts, self._place, self._elsewhere = index, hosts, place, elsewhere
        self.shards = [s for s in range(SHARDS) if s % hosts == index]
        self.db = Database(place.host_dsn, max_size=6)
        self._waker = Database(place.timer_dsn, max_size=2)
        self.directory, self.reads = Directory(self.db), Reads(self.db)
        self._cells: dict[Key, Mailbox] = {}
        self._starting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._alerts = alerts.Alerts()
        self._upkeep = Upkeep(self.db, place.archive_after_s)

    # -- life ---------------------------------------------------------------------------------
    async def start(self) -> None:
        """Begin, once; several may wait for it.

        Raises:
            Retry: a server is away; the next call tries again.
        """
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            # what runs on is no part of the first asker's trace
            self._starting = asyncio.create_task(self._start(), context=Context())
        try:
            await asyncio.shield(self._starting)
        except AWAY as exc:
            log.warning("host cannot start", index=self.index, cause=type(exc).__name__)
            raise Retry from exc

    async def _start(self) -> None:
        try:
            await self.db.open()
            await self._waker.open()
        except AWAY:
            await self.db.close()
            raise
        self._nudges = Nudges(self._place.valkey_url)
        self._committer = Committer(Lane(self._place.host_dsn), self._nudges.say)
        self._timers = Timers(self._due, self._fire, self.now)
        meters.TIMERS_ARMED.set_function(lambda: len(self._timers))
        self._inbox = Inbox(self, self.ask)
        self._nudges.start({"inbox": self._woken})
        self._committer.start()
        self._timers.start()
        self._inbox.start()
        self.spawn(Pulse(self._waker, self._upkeep, self.directory, self._mine, self._tick, self._passivate).run())
        warming = asyncio.to_thread(import_module, "scipy.optimize")  # a second: better here than in a decision
        self._keep(asyncio.create_task(warming))
        log.info("HostStarted", index=self.index, shards=len(self.shards))

    async def stop(self) -> None:
        """End everything; what was committed stands."""
        if self._starting is None or not self._starting.done() or self._starting.exception() is not None:
            return
        await self._inbox.stop()
        await self._timers.stop()
        await self._upkeep.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.stop()
        await self._nudges.stop()
        await self.db.close()
        await self._waker.close()
        self._starting = None

    def stats(self) -> dict[str, Any]:
        """Return what `status` shows of this host."""
        started = self._starting is not None and self._starting.done() and self._starting.exception() is None
        return {
            "index": self.index,
            "started": started,
            "entities": len(self._cells),
            "timers": len(self._timers) if started else 0,
            "units": self._committer.units if started else 0,
        }

    # -- messages -----------------------------------------------------------------------------
    async def batch(self, asked: Sequence[tuple[Key, Envelope]]) -> list[dict[str, Any] | ReadingRoomError]:
        """Answer many asks; each gets its answer or its refusal."""
        return await asyncio.gather(*(self._outcome(key, envelope) for key, envelope in asked))

    async def _outcome(self, key: Key, envelope: Envelope) -> dict[str, Any] | ReadingRoomError:
        try:
            return await self.here(key, envelope)
        except ReadingRoomError as exc:
            return exc.with_traceback(None)
        except Exception:
            log.exception("an ask failed", entity=str(key))
            return Retry()

    async def here(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Ask an entity on this host; a caller who gives up does not stop the command halfway."""
        await self.start()
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Mailbox(key, _KINDS[key.kind](key, self), self)
            meters.ENTITIES[key.kind].inc()
        answer: dict[str, Any] = await asyncio.shield(self._keep(asyncio.create_task(cell.ask(envelope))))
        return await self._forward(key, *answer[FORWARD]) if FORWARD in answer else answer

    async def _forward(self, by: Key, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Ask who an entity said is to answer, now that its mailbox is free."""
        try:
            return await self.ask(key, envelope)
        except BadPayload:
            if isinstance(envelope.command, Claim | Assign):
                self.tell(by, sealed(Spent(key.name, envelope.command.grant.offer_id)))
            raise

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Ask an entity, here or on another host."""
        if self._elsewhere is None or self._mine(key):
            return await self.here(key, envelope)
        return await self._elsewhere.ask(key, envelope)

    def _mine(self, key: Key) -> bool:
        return key.shard % self._hosts == self.index

    def tell(self, key: Key, envelope: Envelope) -> None:
        """Send a message and go on."""
        self.spawn(self._tell(key, envelope))

    async def _tell(self, key: Key, envelope: Envelope) -> None:
        try:
            await self.ask(key, envelope)
        except ReadingRoomError as exc:
            log.debug("a message was refused", entity=str(key), code=exc.code)

    # -- what entities use --------------------------------------------------------------------
    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    async def commit(self, unit: Unit) -> None:
        """Make a unit durable, then keep its timers."""
        for hint in tracing.hints(item.id for item in unit.feed):
            self.say(tracing.CHANNEL, hint)
        with tracing.span("commit", entity=str(unit.key), events=" ".join(event.type for event in unit.events)):
            await self._committer.commit(unit)
        place = (unit.key.tenant_id, unit.key.entity)
        for name in unit.disarm:
            self._timers.disarm(*place, name)
        for arm in unit.arm:
            self._timers.arm(timers.Timer(*place, arm.name, arm.version, arm.due_at))

    async def drop(self, key: Key, timer: FireTimer) -> None:
        """Delete a timer that found nothing to do."""
        async with self.db.scope([key.tenant_id]) as conn:
            await timers.drop(conn, timers.Timer(key.tenant_id, key.entity, timer.name, timer.version, timer.due_at))

    def say(self, channel: str, text: str) -> None:
        """Publish a hint."""
        self._nudges.say(channel, text)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the mailboxes."""
        self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) and not isinstance(exc, ReadingRoomError | Later):
            log.error("work beside the mailboxes failed", exc_info=exc)

    async def find(self, tenant_id: str, user_id: str, idem: str) -> tuple[bytes, dict[str, Any]] | None:
        """Return the answer a command got before."""
        return await self.reads.answer((tenant_id, user_id, idem))

    # -- inbox, timers, pulse -----------------------------------------------------------------
    def _woken(self, shard: str) -> None:
        if not shard.isdigit() or int(shard) % self._hosts == self.index:
            self._inbox.wake()

    async def waiting(self) -> list[Entry]:
        """Return what the inbox holds for this host's shards."""
        async with self._waker.scope() as conn:
            return await inbox.waiting(conn, self.shards)

    async def stored(self, studies: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
        """Return how many images of each study are stored, and whose."""
        keys = list(studies)
        async with self.db.scope(sorted({tenant_id for tenant_id, _ in keys})) as conn:
            return await inbox.stored(conn, keys)

    async def _due(self, before: datetime) -> list[Timer]:
        async with self._waker.scope() as conn:
            return await timers.due(conn, self.shards, before)

    async def _fire(self, timer: Timer) -> None:
        key = Key.of(timer.tenant_id, timer.entity)
        command = FireTimer(timer.name, timer.version, timer.due_at)
        fired = self._keep(asyncio.create_task(self.here(key, Envelope(command))))
        if timer.name == alerts.BREACH:
            done, _ = await asyncio.wait([fired], timeout=_ALERT_S)
            if (not done or fired.exception() is not None) and self._alerts.due(timer):
                self.say("alert", alerts.provisional(timer))
        await fired

    def _tick(self, key: Key) -> asyncio.Task[None]:
        return self._keep(asyncio.create_task(self._tell(key, sealed(Tick()))))

    def _passivate(self) -> None:
        """Forget who has had no message for long; the journal remembers them."""
        idle = [key for key, cell in self._cells.items() if key.kind != "tenant" and cell.idle_s > _IDLE_S]
        for key in idle:
            del self._cells[key]
            meters.ENTITIES[key.kind].dec()
