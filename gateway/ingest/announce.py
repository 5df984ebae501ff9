"""Nudges whoever reads the inbox; a lost nudge costs a second, never an image."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis

CHANNEL = "inbox"

log = structlog.get_logger()


class Announcer:
    """Publishes shard numbers without making anybody wait."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey
        self._waiting: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def __call__(self, shards: Iterable[int]) -> None:
        """Publish soon; from the loop's thread."""
        self._waiting.update(shards)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while self._waiting:
            shards, self._waiting = self._waiting, set()
            try:
                async with asyncio.timeout(2):
                    for shard in sorted(shards):
                        await self._valkey.publish(CHANNEL, str(shard))
            except (RedisError, OSError) as exc:
                log.warning("inbox not announced", cause=type(exc).__name__)

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._task is not None:
            await self._task
