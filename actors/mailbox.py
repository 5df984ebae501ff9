"""One message at a time to one entity: first come, first served, and what every command has in common.

A command past its deadline is not tried. One that was answered before gets that answer. A stale
copy forgets, reads again and decides again; it must not say no either, so a refusal is checked
against the journal before it is sent. A message on which the entity fails is tried once more with
fresh memory, then set aside: the next one is served.
"""

from __future__ import annotations

import asyncio
import hashlib
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog

from actors import meters, tracing
from actors.domain.errors import BadPayload, Expired, Failed, ReadingRoomError, Retry
from actors.told import Forwarded, Later
from storage.commit import Away, Deposed, Fenced, Late, Lost, Refused
from storage.faults import AWAY

if TYPE_CHECKING:
    from actors.domain.commands import Envelope
    from actors.domain.identity import Key

log = structlog.get_logger()

_TRIES = 4


class Entity(Protocol):
    """What lives behind a mailbox."""

    async def handle(self, envelope: Envelope) -> dict[str, Any]:
        """Decide, commit, evolve, tell; return the answer."""
        ...

    async def current(self) -> bool:
        """Whether memory is as new as the journal."""
        ...

    def forget(self) -> None:
        """Read everything again before the next message."""
        ...


class Answers(Protocol):
    """Answers given before."""

    async def find(self, tenant_id: str, user_id: str, idem: str) -> tuple[bytes, dict[str, Any]] | None: ...


class Office(Answers, Protocol):
    """What a mailbox needs of its host."""

    async def set_aside(self, key: Key, envelope: Envelope, exc: Exception) -> None:
        """Keep a note of a message that the entity fails on."""
        ...


def digest(envelope: Envelope) -> bytes:
    """Return the fingerprint of a command: the same key with another one is a mistake."""
    if isinstance(envelope, Forwarded):
        return envelope.digest
    body = msgspec.json.encode(envelope.command, order="deterministic")
    return hashlib.sha256(type(envelope.command).__name__.encode() + b"\n" + body).digest()


async def answered(answers: Answers, key: Key, envelope: Envelope) -> dict[str, Any] | None:
    """Return the answer that this very command got before, None when it is new.

    Raises:
        BadPayload: the key was used for another command.
    """
    if envelope.idem is None:
        return None
    user_id = envelope.by.user_id if envelope.by else ""
    found = await answers.find(key.tenant_id, user_id, envelope.idem)
    if found is None:
        return None
    if found[0] != digest(envelope):
        raise BadPayload("This idempotency key was used for another command.", {"field": "idem"})
    return found[1]


class Mailbox:
    """The mailbox of one entity."""

    __slots__ = ("_answers", "_touched", "_turn", "_waiting", "entity", "key")

    def __init__(self, key: Key, entity: Entity, answers: Office) -> None:
        self.key, self.entity, self._answers = key, entity, answers
        self._turn: asyncio.Lock | None = None  # FIFO: first asked, first served; only while somebody asks
        self._waiting = 0
        self._touched = monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the last message was done; 0 while there is one."""
        return 0.0 if self._waiting else monotonic() - self._touched

    async def ask(self, envelope: Envelope) -> dict[str, Any]:
        """Hand over one message and return its answer.

        Raises:
            ReadingRoomError: the refusal.
        """
        self._waiting += 1
        asked = began = monotonic()
        try:
            self._turn = self._turn or asyncio.Lock()
            async with self._turn:
                began = monotonic()
                if not tracing.on():
                    return await self._handle(envelope)
                with tracing.span(type(envelope.command).__name__, envelope.trace, entity=str(self.key)):
                    return await self._handle(envelope)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._turn = None
            self._touched = monotonic()
            meters.MAILBOX_WAIT[self.key.kind].observe(began - asked)
            meters.MAILBOX_HANDLE[self.key.kind].observe(self._touched - began)

    async def _handle(self, envelope: Envelope) -> dict[str, Any]:
        failed = False
        for _ in range(_TRIES):
            if envelope.deadline is not None and time() > envelope.deadline:
                raise Expired
            try:
                return await self.entity.handle(envelope)
            except Later:
                raise
            except Exception as exc:
                if _poisonous(exc):
                    self.entity.forget()
                    if failed:
                        await self._answers.set_aside(self.key, envelope, exc)
                        raise Failed from exc
                    failed = True
                    continue
                known = await self._after(envelope, exc)
                if known is not None:
                    return known
        raise Retry

    async def _after(self, envelope: Envelope, exc: Exception) -> dict[str, Any] | None:
        """Return the answer it got before, None to decide again, or raise what the caller is told."""
        if not isinstance(exc, ReadingRoomError):
            self.entity.forget()
        try:
            if isinstance(exc, Fenced | Lost):
                return await answered(self._answers, self.key, envelope)
            if isinstance(exc, ReadingRoomError):
                known = await answered(self._answers, self.key, envelope)
                if known is None and (isinstance(exc, Retry) or await self.entity.current()):
                    raise exc
                self.entity.forget()
                return known
        except AWAY as away:
            raise Retry from away
        if isinstance(exc, Late):
            raise Expired from exc
        log.warning("cannot commit", entity=str(self.key), cause=type(exc).__name__)
        raise Retry from exc


def _poisonous(exc: Exception) -> bool:
    """Whether it is the message or the entity, and not the database or another owner."""
    if isinstance(exc, Refused):
        return exc.for_good
    return not isinstance(exc, (ReadingRoomError, Fenced, Late, Lost, Away, Deposed, *AWAY))
