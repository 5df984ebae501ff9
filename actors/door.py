"""The way into a host and out of it: messages for the entities here, and what those send, here or elsewhere."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from actors.domain.commands import Assign, Claim
from actors.domain.errors import BadPayload, ReadingRoomError, Retry
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
        tasks = [self.keep(asyncio.create_task(self._outcome(key, envelope))) for key, envelope in asked]
        await asyncio.wait(tasks, timeout=_CALL_S)
        return [task.result() if task.done() else Unfinished() for task in tasks]

    async def _outcome(self, key: Key, envelope: Envelope) -> Outcome:
        try:
            return await self.here(key, envelope)
        except (ReadingRoomError, Misplaced) as exc:
            return exc.with_traceback(None)
        except Exception:
            log.exception("an ask failed", entity=str(key))
            return Retry()

    async def here(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Ask an entity on this host; a caller who gives up does not stop the command halfway.

        Raises:
            Misplaced: it does not live here, or is just moving.
        """
        await self.start()
        if not self.tenure.holds(key):
            raise Misplaced
        answer: dict[str, Any] = await asyncio.shield(self.keep(self._cells.ask(key, envelope)))
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
        if self.tenure.holds(key):
            with suppress(Misplaced):
                return await self.here(key, envelope)
        return await self._router.ask(key, envelope)

    def tell(self, key: Key, envelope: Envelope) -> None:
        """Send a message and go on."""
        self.spawn(self._tell(key, envelope))

    async def _tell(self, key: Key, envelope: Envelope) -> None:
        try:
            await self.ask(key, envelope)
        except ReadingRoomError as exc:
            log.debug("a message was refused", entity=str(key), code=exc.code)
