"""The entities of a host in memory: activated by their first message, let go when idle or when their shard moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from actors import meters
from actors.domain.errors import Overloaded
from actors.told import FORWARD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.domain.commands import Command, Envelope
    from actors.domain.identity import Key
    from actors.mailbox import Mailbox

_MESSAGES = 20_000  # of a host
_EACH = 1_000  # of an entity
_RESIDENT = 10_000  # entities in memory; beyond it those go first that had no message for longest
_LOOKED_AT = 10  # at most, to find one that may go


async def _as_it_is(_: Key, answer: dict[str, Any]) -> dict[str, Any]:
    return answer


class Cells:
    """Mailboxes by key, and which of them have a message.

    Args:
        make: a mailbox for a key.
        follow: asks whom an entity's answer names instead of one, once its mailbox is free.
    """

    def __init__(
        self,
        make: Callable[[Key], Mailbox],
        follow: Callable[[Key, dict[str, Any]], Awaitable[dict[str, Any]]] = _as_it_is,
    ) -> None:
        self._make, self._follow = make, follow
        self._cells: dict[Key, Mailbox] = {}
        self._busy: Counter[Key] = Counter()
        self._asked: dict[tuple[Key, str, str | None], tuple[Command, asyncio.Task[dict[str, Any]]]] = {}
        self._messages = 0
        self._freed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def waiting(self) -> int:
        """How many messages are here and not yet answered."""
        return self._messages

    def ask(self, key: Key, envelope: Envelope) -> asyncio.Task[dict[str, Any]]:
        """Hand over a message now, and return what becomes of it; one that is asked again joins the first.

        Raises:
            Overloaded: too many wait for the entity, or for the host.
        """
        known = (key, envelope.by.user_id if envelope.by else "", envelope.idem)
        asked = self._asked.get(known)
        if asked is not None and asked[0] == envelope.command:
            return asked[1]
        if self._messages >= _MESSAGES or self._busy[key] >= _EACH:
            raise Overloaded
        cell = self._cells.get(key)
        if cell is None:
            self._make_room()
            cell = self._make(key)
            meters.ENTITIES[key.kind].inc()
        else:
            del self._cells[key]  # the dictionary's order is that of the last messages
        self._cells[key] = cell
        self._busy[key] += 1
        self._messages += 1
        task = asyncio.create_task(self._serve(key, cell, envelope))
        if envelope.idem is not None and asked is None:
            self._asked[known] = (envelope.command, task)
            task.add_done_callback(lambda _: self._asked.pop(known))
        return task

    async def _serve(self, key: Key, cell: Mailbox, envelope: Envelope) -> dict[str, Any]:
        try:
            answer = await cell.ask(envelope)
        finally:
            self._done(key)
        return await self._follow(key, answer) if FORWARD in answer else answer

    def _done(self, key: Key) -> None:
        self._messages -= 1
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]
            self._freed.set()

    async def settle(self, which: Callable[[Key], bool], within_s: float) -> bool:
        """Wait until none of these has a message; return whether that came to be in time."""
        try:
            async with asyncio.timeout(within_s):
                while any(which(key) for key in self._busy):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            return False
        return True

    def _make_room(self) -> None:
        """Let the longest idle one go when there are too many; of those looked at, who is in use counts as new."""
        for _ in range(_LOOKED_AT if len(self._cells) >= _RESIDENT else 0):
            oldest = next(iter(self._cells))
            cell = self._cells.pop(oldest)
            if oldest.kind != "tenant" and oldest not in self._busy:
                meters.ENTITIES[oldest.kind].dec()
                return
            self._cells[oldest] = cell

    def drop(self, which: Callable[[Key], bool]) -> int:
        """Forget these entities; the journal remembers them. Return how many."""
        gone = [key for key in self._cells if which(key)]
        for key in gone:
            del self._cells[key]
            meters.ENTITIES[key.kind].dec()
        return len(gone)

    def passivate(self, idle_s: float) -> int:
        """Forget who has had no message for so long; return how many. A tenant's decider stays: its pulse goes on."""
        return self.drop(lambda key: key.kind != "tenant" and self._cells[key].idle_s > idle_s)
