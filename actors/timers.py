"""The durable timers of a host: the next quarter of an hour in memory, the rest in PostgreSQL."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from actors import meters
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from storage.timers import Timer

log = structlog.get_logger()

HORIZON = timedelta(minutes=15)
_RELOAD_S = 300.0
_AGAIN_S = 0.5  # after a fire that found the database away
_AT_ONCE = 200

_Name: TypeAlias = tuple[str, str, str]


class _Armed:
    """Timers by tenant and name, then by entity: a key of its own for each of 100,000 would weigh as much as they do."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], dict[str, Timer]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def put(self, timer: Timer) -> None:
        self._of.setdefault((timer.tenant_id, timer.name), {})[timer.entity] = timer

    def get(self, timer: Timer) -> Timer | None:
        """Return the timer of the same entity and name."""
        return self._of.get((timer.tenant_id, timer.name), {}).get(timer.entity)

    def drop(self, tenant_id: str, entity: str, name: str) -> None:
        self._of.get((tenant_id, name), {}).pop(entity, None)


def _name(timer: Timer) -> _Name:
    return timer.tenant_id, timer.entity, timer.name


class Timers:
    """Fires each timer once it is due, until it has been fired.

    Args:
        load: returns the stored timers that come due before an instant.
        fire: tells the entity; raising means that it must be told again.
        now: the clock.
    """

    def __init__(
        self,
        load: Callable[[datetime], Awaitable[list[Timer]]],
        fire: Callable[[Timer], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._load, self._fire, self._now = load, fire, now
        self._armed = _Armed()
        self._firing: set[_Name] = set()
        self._heap: list[tuple[datetime, Timer]] = []
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._armed)

    def start(self) -> None:
        """Load, then fire whatever is due, for as long as the host lives."""
        self._spawn(self._reload())
        self._spawn(self._run())

    async def stop(self) -> None:
        """Fire no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, timer: Timer) -> None:
        """Take a timer that was just committed; one of the same name is replaced."""
        if timer.due_at < self._now() + HORIZON:
            self._armed.put(timer)
            self._push(timer.due_at, timer)
        else:
            self.disarm(*_name(timer))

    def disarm(self, tenant_id: str, entity: str, name: str) -> None:
        """Forget a timer."""
        self._armed.drop(tenant_id, entity, name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _push(self, at: datetime, timer: Timer) -> None:
        heapq.heappush(self._heap, (at, timer))
        if self._heap[0][1] is timer:
            self._wake.set()

    async def _reload(self) -> None:
        while True:
            try:
                for timer in await self._load(self._now() + HORIZON):
                    if _name(timer) not in self._firing and self._armed.get(timer) != timer:
                        self.arm(timer)
            except AWAY as exc:
                log.warning("timers not loaded", cause=type(exc).__name__)
                await asyncio.sleep(_AGAIN_S)
                continue
            await asyncio.sleep(_RELOAD_S)

    async def _run(self) -> None:
        while True:
            wait_s = (self._heap[0][0] - self._now()).total_seconds() if self._heap else None
            if wait_s is None or wait_s > 0 or len(self._firing) >= _AT_ONCE:
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s if wait_s is None or wait_s > 0 else _AGAIN_S):
                        await self._wake.wait()
                continue
            _, timer = heapq.heappop(self._heap)
            if self._armed.get(timer) == timer:
                self.disarm(*_name(timer))
                self._firing.add(_name(timer))
                meters.TIMER_LATE.observe((self._now() - timer.due_at).total_seconds())
                self._spawn(self._tell(timer))

    async def _tell(self, timer: Timer) -> None:
        try:
            await self._fire(timer)
        except Exception as exc:  # noqa: BLE001 - whatever it was, the timer must fire
            log.warning("timer fires again", entity=timer.entity, name=timer.name, cause=type(exc).__name__)
            if self._armed.get(timer) is None:
                self._armed.put(timer)
                self._push(self._now() + timedelta(seconds=_AGAIN_S), timer)
        finally:
            self._firing.discard(_name(timer))
            self._wake.set()
