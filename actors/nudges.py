"""Hints between processes over Valkey: a lost one costs latency, never an event."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

_KEPT = 10_000  # hints waiting to go out; beyond it the oldest are dropped
_AWAY = (RedisError, OSError, TimeoutError)
_PAUSE_S = 0.2


async def hear(client: Redis, channels: dict[str, Callable[[str], None]]) -> None:
    """Hand each line that arrives on the channels to their functions, for ever, across restarts of the server.

    The client's ``socket_timeout`` must be None: a subscription waits.
    """
    while True:
        with suppress(*_AWAY):
            async with client.pubsub() as heard:
                await heard.subscribe(*channels)
                async for message in heard.listen():
                    if message["type"] == "message":
                        for line in _text(message["data"]).splitlines():
                            channels[_text(message["channel"])](line)
        await asyncio.sleep(_PAUSE_S)


def _text(said: bytes | str) -> str:
    return said.decode() if isinstance(said, bytes) else said


class Nudges:
    """Publishes without ever making a commit wait, and listens across restarts of the server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, channels: dict[str, Callable[[str], None]] | None = None) -> None:
        """Begin to publish, and to hand what arrives on ``channels`` to their functions."""
        self._tasks.append(asyncio.create_task(self._publish()))
        if channels:
            self._tasks.append(asyncio.create_task(self._listen(channels)))

    async def stop(self) -> None:
        """End both directions; hints that still wait are dropped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def say(self, channel: str, text: str) -> None:
        """Publish soon."""
        self._waiting.append((channel, text))
        self._wake.set()

    async def _publish(self) -> None:
        client: Redis = Redis.from_url(self._url, socket_timeout=1, socket_connect_timeout=1)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                said: dict[str, dict[str, None]] = {}  # channel → lines, each once
                for channel, text in self._waiting:
                    said.setdefault(channel, {})[text] = None
                self._waiting.clear()
                try:
                    async with client.pipeline(transaction=False) as pipe:
                        for channel, lines in said.items():
                            pipe.publish(channel, "\n".join(lines))
                        await pipe.execute()
                except _AWAY:
                    await asyncio.sleep(_PAUSE_S)
        finally:
            with suppress(*_AWAY):
                await client.aclose()

    async def _listen(self, channels: dict[str, Callable[[str], None]]) -> None:
        client: Redis = Redis.from_url(self._url, socket_timeout=None, socket_connect_timeout=1)
        try:
            await hear(client, channels)
        finally:
            with suppress(*_AWAY):
                await client.aclose()
