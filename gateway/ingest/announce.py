"""Nudges whoever reads the inbox; a lost nudge costs a second, never an image."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis

CHANNEL = "inbox"
_PAUSE_S = 0.02  # under bulk one nudge a shard and pause says as much as one an image

log = structlog.get_logger()


class Announcer:
    """Publishes shard numbers without making anybody wait: at once, and after that what has come in a pause.

    Made in a running loop.
    """

    def __init__(self, valkey: Redis) -> None:
        self._valkey, self._loop = valkey, asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._told: set[int] = set()  # by other threads
        self._waiting: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __call__(self, shards: Iterable[int]) -> None:
        """Publish soon; from the loop's thread."""
        if self._closed:
            return
        self._waiting.update(shards)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._publish())

    def soon(self, shards: Iterable[int]) -> None:
        """Publish soon; from any thread."""
        with self._lock:
            asleep = not self._told
            self._told.update(shards)
        if asleep:
            self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        """Take over what other threads told, if this is not the pause of a publication, which will."""
        if self._task is None or self._task.done():
            self(self._taken())

    def _taken(self) -> set[int]:
        with self._lock:
            told, self._told = self._told, set()
        return told

    async def _publish(self) -> None:
        while self._waiting:
            shards, self._waiting = self._waiting, set()
            try:
                async with asyncio.timeout(2), self._valkey.pipeline(transaction=False) as together:
                    for shard in sorted(shards):
                        together.publish(CHANNEL, str(shard))
                    await together.execute()
            except (RedisError, OSError) as exc:
                log.warning("inbox not announced", cause=type(exc).__name__)
            await asyncio.sleep(_PAUSE_S)
            self._waiting |= self._taken()

    async def close(self) -> None:
        """Wait for what is under way, and publish no more: whoever still tells must not use what is closed after this."""
        self._closed = True
        if self._task is not None:
            await self._task
