"""One copy of every entity: the production actors behind production mailboxes, over the store and a lossy network."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from actors.domain.commands import Assign, Claim
from actors.domain.double import second_reads
from actors.domain.errors import BadPayload, ReadingRoomError
from actors.domain.policy import Due, Policy
from actors.domain.words import Priority
from actors.mailbox import Mailbox
from actors.radiologist.actor import RadiologistActor
from actors.study.actor import StudyActor
from actors.tenant.actor import TenantActor
from actors.told import FORWARD, Later, Spent, sealed
from storage import answers, hydrate
from storage.commit import Away, Lost
from storage.hydrate import Site
from tests.chaos.model.store import TENANT

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Coroutine, Generator
    from datetime import datetime

    from actors.domain.commands import Envelope, FireTimer, Patient
    from actors.domain.identity import Key
    from actors.domain.study import Study
    from actors.domain.unit import Unit
    from tests.chaos.model.store import Store

_ONCE = Policy(sla={p: Due(1800.0, 1350.0) for p in Priority})
_DOUBLE = [{"priority": ["STAT"], "mode": "blind"}, {"mode": "open", "clock": "last", "discordance": "manager"}]
POLICIES = (_ONCE, replace(_ONCE, second_reads=second_reads({"double": _DOUBLE})))
_KINDS: dict[str, Any] = {"study": StudyActor, "tenant": TenantActor, "radiologist": RadiologistActor}


class Killed(BaseException):
    """SIGKILL right after a commit: no tell and no reply leaves the host."""


class Pause:
    """A moment at which others may be served."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass(slots=True)
class Weather:
    """How bad a run is: the chance of each mishap, each time it may happen."""

    loss: float
    double: float
    crash: float
    split: float  # that a message goes to the second copy
    away: float  # that the database is gone, before or after it has committed
    pause: float  # that others are served in the middle of a message


@dataclass(slots=True)
class Message:
    """On its way to an entity; ``re`` is who waits for the answer, ``by`` who passed it on."""

    key: Key
    envelope: Envelope
    re: int | None = None
    by: Key | None = None


@dataclass(slots=True)
class Work:
    """A message that its entity has taken and not finished."""

    message: Message | None
    coroutine: Coroutine[Any, Any, Any]


class Host:
    """The world of one copy of every entity."""

    def __init__(self, store: Store, net: list[Message], weather: Weather, rnd: random.Random) -> None:
        self._store, self._net, self._weather, self._rnd = store, net, weather, rnd
        self.cells: dict[Key, Mailbox] = {}
        self.works: list[Work] = []

    # -- driving ------------------------------------------------------------------------------
    def busy(self, key: Key) -> bool:
        """Whether the entity has not finished its last message."""
        return any(w.message is not None and w.message.key == key for w in self.works)

    def take(self, message: Message) -> tuple[bool, Any]:
        """Hand a message over; see :meth:`go_on`."""
        cell = self.cells.get(message.key)
        if cell is None:
            cell = self.cells[message.key] = Mailbox(message.key, _KINDS[message.key.kind](message.key, self), self)
        work = Work(message, cell.ask(message.envelope))
        self.works.append(work)
        return self.go_on(work)

    def go_on(self, work: Work) -> tuple[bool, Any]:
        """Run until the next pause; return whether it is done, and its answer or refusal.

        Raises:
            Killed: the host is gone.
        """
        try:
            work.coroutine.send(None)
        except StopIteration as done:
            self.works.remove(work)
            return True, self._passed_on(work.message, done.value)
        except (ReadingRoomError, Later) as refusal:
            self.works.remove(work)
            self._spent(work.message, refusal)
            return True, refusal
        return False, None

    def die(self) -> None:
        """End with everything under way."""
        for work in self.works:
            work.coroutine.close()
        self.works.clear()

    def _passed_on(self, message: Message | None, answer: Any) -> Any:
        """As ``ShardHost.here``: who an entity said is to answer is asked once its mailbox is free."""
        if message is not None and answer and FORWARD in answer:
            key, envelope = answer[FORWARD]
            self._net.append(Message(key, envelope, message.re, message.key))
            return None
        return answer

    def _spent(self, message: Message | None, refusal: Exception) -> None:
        """As ``ShardHost._forward``: a grant whose key belongs to another command is given up."""
        if message is None or message.by is None or not isinstance(refusal, BadPayload):
            return
        command = message.envelope.command
        if isinstance(command, Claim | Assign):
            self.tell(message.by, sealed(Spent(message.key.name, command.grant.offer_id)))

    # -- what entities use --------------------------------------------------------------------
    @property
    def db(self) -> Host:
        """Reads."""
        return self

    @property
    def reads(self) -> Host:
        """Studies by key."""
        return self

    async def study(self, key: Key) -> tuple[Study, Patient | None]:
        async with self.scope([key.tenant_id]) as conn:
            return await hydrate.study(conn, key.tenant_id, key.name)  # type: ignore[arg-type]

    async def rev(self, key: Key) -> int:
        async with self.scope([key.tenant_id]) as conn:
            return (await hydrate.current_revs(conn, [(key.tenant_id, key.name)]))[0]  # type: ignore[arg-type]

    @property
    def directory(self) -> Host:
        """Names and policies."""
        return self

    @asynccontextmanager
    async def scope(self, _tenants: list[str]) -> AsyncIterator[Store]:
        """A connection, perhaps after others were served."""
        await self._others()
        yield self._store

    async def _others(self) -> None:
        if self._weather.pause and self._rnd.random() < self._weather.pause:
            await Pause()

    async def site_name(self, _tenant: str, site_id: str) -> str:
        return site_id

    async def sites(self, _tenant: str) -> dict[str, Site]:
        return {"harbor": Site("Harbor", None)}

    async def policy(self, _tenant: str) -> Policy:
        return self._store.policy

    async def policy_of(self, _tenant: str, _version: int) -> Policy:
        return self._store.policy

    async def shadow(self, _tenant: str) -> None:
        return None

    def reading_elsewhere(self, _tenant: str) -> set[str]:
        return set()

    def now(self) -> datetime:
        return self._store.now

    async def commit(self, unit: Unit) -> None:
        """Commit, or lose the connection before or after it, or die right after."""
        await self._others()
        if self._weather.away and self._rnd.random() < self._weather.away:
            if self._rnd.random() < 0.5:
                raise Away
            if self._rnd.random() < 0.5:
                self._store.commit(unit)
            raise Lost
        self._store.commit(unit)
        if self._weather.crash and self._rnd.random() < self._weather.crash:
            raise Killed

    def tell(self, key: Key, envelope: Envelope) -> None:
        self._net.append(Message(key, envelope))

    async def drop(self, key: Key, timer: FireTimer) -> None:
        async with self.scope([]) as conn:
            conn._drop(TENANT, key.entity, timer.name, timer.version, timer.due_at)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.works.append(Work(None, work))

    async def find(self, tenant_id: str, user_id: str, idem: str) -> tuple[bytes, dict[str, Any]] | None:
        async with self.scope([tenant_id]) as conn:
            return await answers.find(conn, tenant_id, user_id, idem)  # type: ignore[arg-type]

    async def set_aside(self, key: Key, envelope: Envelope, exc: Exception) -> None:
        """Nothing in the model is poison."""
        raise AssertionError(f"{key} fails on {type(envelope.command).__name__}") from exc
