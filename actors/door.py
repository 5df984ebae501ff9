"""The way into a host and out of it: messages for the entities here, and what those send, here or elsewhere."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from actors.domain.commands import Assign, Claim
from actors.domain.errors import BadPayload, Overloaded, ReadingRoomError, Retry
from actors.tasks import Tasks
from actors.told import FORWARD, Misplaced, Spent, Unfinished, sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.cells import Cells
    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from actors.router import Outcome, Router
    from actors.tenure import Everything, Tenure

log = structlog.get_logger()

_CALL_S = 0.9  # the answers of a call wait for each other so long; less than a router waits for all of them


class Door(Tasks):
    """Takes messages for what the host holds, and passes on what lives elsewhere."""

    tenure: Tenure | Everything
    _cells: Cells
    _router: Router

    @abstractmethod
    async def start(self) -> None:
        """Begin, once."""

    async def batch(self, asked: Sequence[tuple[Key, Envelope]]) -> list[Outcome]:
        """Answer many asks; each gets its answer or its refusal, and none waits long for a slow one."""
        try:
            await self.start()
        except Retry as exc:
            return [exc.with_traceback(None)] * len(asked)
        taken = [self._taken(key, envelope) for key, envelope in asked]
        if tasks := [task for task in taken if isinstance(task, asyncio.Task)]:
            await asyncio.wait(tasks, timeout=_CALL_S)
        return [_outcome(task) if isinstance(task, asyncio.Task) else task for task in taken]

    def _taken(self, key: Key, envelope: Envelope) -> asyncio.Task[dict[str, Any]] | Outcome:
        """Hand over a message; return what becomes of it, or why it was not taken."""
        try:
            return self._take(key, envelope)
        except (ReadingRoomError, Misplaced) as exc:
            return exc.with_traceback(None)

    def _take(self, key: Key, envelope: Envelope) -> asyncio.Task[dict[str, Any]]:
        """Hand over a message to an entity on this host; whoever gives up waiting does not stop it halfway.

        Raises:
            Misplaced: it does not live here, or is just moving.
            Overloaded: too much waits for it.
        """
        if not self.tenure.holds(key):
            raise Misplaced
        return self.keep(self._cells.ask(key, envelope))

    async def here(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Ask an entity on this host; a caller who gives up does not stop the command halfway.

        Raises:
            Misplaced: it does not live here, or is just moving.
        """
        await self.start()
        answer: dict[str, Any] = await asyncio.shield(self._take(key, envelope))
        return answer

    async def _follow(self, by: Key, answer: dict[str, Any]) -> dict[str, Any]:
        """Ask who an entity said is to answer, now that its mailbox is free."""
        key, envelope = answer[FORWARD]
        try:
            return await self.ask(key, envelope)
        except BadPayload:
            if isinstance(envelope.command, Claim | Assign):
                self.tell(by, sealed(Spent(key.name, envelope.command.grant.offer_id)))
            raise

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Ask an entity, here or on another host."""
        if self.tenure.holds(key):
            with suppress(Misplaced):
                return await self.here(key, envelope)
        return await self._router.ask(key, envelope)

    def tell(self, key: Key, envelope: Envelope) -> None:
        """Send a message and go on; what becomes of it is nobody's concern."""
        try:
            self._take(key, envelope)
        except Misplaced:
            self.spawn(self._send(key, envelope))
        except Overloaded:
            log.debug("a message was not taken", entity=str(key))

    async def _send(self, key: Key, envelope: Envelope) -> None:
        await self._router.ask(key, envelope)


def _outcome(task: asyncio.Task[dict[str, Any]]) -> Outcome:
    """Return what became of a message; what failed is logged by who keeps the task."""
    if not task.done():
        return Unfinished()
    if task.cancelled():
        return Retry()
    exc = task.exception()
    if exc is None:
        return task.result()
    return exc.with_traceback(None) if isinstance(exc, ReadingRoomError | Misplaced) else Retry()
