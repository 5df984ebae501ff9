"""The lanes to the journal: each takes whatever waits, commits it in one round trip, wakes who asked."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import structlog

from actors import meters
from storage.commit import Away, Deposed, Fenced, Late, Lost, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.domain.unit import Unit

log = structlog.get_logger()

_BATCH = 25
_PAUSE_S = (0.05, 0.1, 0.2, 0.5, 1.0)  # between attempts to reach the database


class Commits(Protocol):
    """Where batches become durable; ``storage.commit.Lane`` is the real one."""

    async def commit(self, units: Sequence[Unit]) -> dict[str, int]: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class _Waiting:
    unit: Unit
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Committer:
    """Commits units in batches, and says so on the channels that others listen to.

    An entity waits for its commit before its next message, so no two batches under way have units of the same one.

    Args:
        lanes: the connections; while the database is at one batch, the next is packed and sent on another.
        say: publishes a hint (channel, text) and returns at once.
    """

    def __init__(self, lanes: Sequence[Commits], say: Callable[[str, str], None]) -> None:
        self._lanes, self._say = lanes, say
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._failures = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.batches = self.units = 0

    def start(self) -> None:
        """Begin to take units."""
        self._tasks = [asyncio.create_task(self._run(lane)) for lane in self._lanes]

    async def stop(self) -> None:
        """Commit no more; whatever waits is refused."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        _fail(self._queue, Away())
        self._queue.clear()
        for lane in self._lanes:
            await lane.close()

    async def commit(self, unit: Unit) -> None:
        """Return when the unit is durable.

        Raises:
            Fenced, Deposed, Late, Refused, Away: nothing of it happened.
            Lost: it may have happened.
        """
        waiting = _Waiting(unit)
        self._queue.append(waiting)
        self._wake.set()
        await waiting.done

    async def _run(self, lane: Commits) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                try:
                    await self._commit(lane, batch)
                except BaseException:
                    _fail(batch, Lost())  # stopped in the middle
                    raise
                if self._failures:
                    await asyncio.sleep(_PAUSE_S[min(self._failures, len(_PAUSE_S)) - 1])

    async def _commit(self, lane: Commits, batch: list[_Waiting]) -> None:
        began = perf_counter()
        try:
            grown = await lane.commit([w.unit for w in batch])
        except (Away, Lost) as exc:
            self._failures += 1
            meters.APPEND_FAILED.labels(type(exc).__name__).inc()
            _fail(batch, exc)
            return
        except Exception as exc:  # one bad unit must not stop the lane
            self._failures = 0
            meters.APPEND_FAILED.labels(type(exc).__name__).inc()
            if len(batch) > 1:
                for waiting in batch:  # each for itself: only the stale one is refused
                    await self._commit(lane, [waiting])
            else:
                if not isinstance(exc, Fenced | Deposed | Late | Refused):
                    log.exception("cannot pack", entity=batch[0].unit.key.entity)
                _fail(batch, exc)
            return
        self._failures = 0
        self.batches += 1
        self.units += len(batch)
        meters.APPEND.observe(perf_counter() - began)
        meters.APPEND_UNITS.observe(len(batch))
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_result(None)
        self._nudge(batch, grown)

    def _nudge(self, batch: list[_Waiting], grown: dict[str, int]) -> None:
        for tenant_id, pos in grown.items():
            self._say("feed", f"{tenant_id} {pos}")
        if any(w.unit.jobs for w in batch):
            self._say("jobs", "1")
        if any(w.unit.outbox for w in batch):
            self._say("outbox", "1")


def _fail(batch: Sequence[_Waiting] | deque[_Waiting], exc: Exception) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(exc)
