"""What entities read when they come into memory or doubt it: questions of one moment are one query.

A transaction costs four round trips, whatever it reads. While one is under way the next questions gather; a lone one
goes out at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from storage import answers, hydrate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from actors.domain.commands import Patient
    from actors.domain.identity import Key
    from actors.domain.study import Study
    from storage.pool import Database

_K = TypeVar("_K")
_V = TypeVar("_V")

_MOST = 200  # questions in a query


class Together(Generic[_K, _V]):
    """Asks one question after another, each on behalf of all who wait.

    Args:
        ask: returns the answers in the order of the keys.
    """

    def __init__(self, ask: Callable[[Sequence[_K]], Awaitable[Sequence[_V]]]) -> None:
        self._ask = ask
        self._waiting: deque[tuple[_K, asyncio.Future[_V]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, key: _K) -> _V:
        """Return the answer; raises what the query raises."""
        answer: asyncio.Future[_V] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            asked = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
            asked = [(key, answer) for key, answer in asked if not answer.done()]
            if not asked:
                continue
            try:
                answers = await self._ask([key for key, _ in asked])
            except BaseException as exc:
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(exc) if isinstance(exc, Exception) else answer.cancel()
                if not isinstance(exc, Exception):
                    raise
                continue
            for (_, answer), found in zip(asked, answers, strict=True):
                if not answer.done():
                    answer.set_result(found)


class Reads:
    """Studies, their journal versions, and answers given before, by key (role rr_host)."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.study = Together(self._studies)
        self.answer = Together(self._answers)
        self.rev = Together(self._revs)

    async def _studies(self, keys: Sequence[Key]) -> list[tuple[Study, Patient | None]]:
        async with self._db.scope({key.tenant_id for key in keys}) as conn:
            return await hydrate.studies(conn, [(key.tenant_id, key.name) for key in keys])

    async def _answers(self, keys: Sequence[tuple[str, str, str]]) -> list[tuple[bytes, dict[str, Any]] | None]:
        async with self._db.scope({tenant_id for tenant_id, _, _ in keys}) as conn:
            return await answers.given(conn, keys)

    async def _revs(self, keys: Sequence[Key]) -> list[int]:
        async with self._db.scope({key.tenant_id for key in keys}) as conn:
            return await hydrate.current_revs(conn, [(key.tenant_id, key.name) for key in keys])
