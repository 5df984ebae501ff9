"""How often is too often: counted in Valkey for all gateways, here when that is away."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from actors.domain.errors import Overloaded

if TYPE_CHECKING:
    from limits.aio.storage import Storage

LOGINS = RateLimitItemPerMinute(10, namespace="login")
TICKETS = RateLimitItemPerMinute(60, namespace="ticket")


def _url(valkey_url: str) -> str:
    return f"async+redis+{valkey_url}" if valkey_url.startswith("unix:") else f"async+{valkey_url}"


class Limiter:
    """Counts acts within fixed windows of a minute."""

    def __init__(self, valkey_url: str) -> None:
        self._pool = ConnectionPool.from_url(valkey_url, socket_timeout=0.5, socket_connect_timeout=0.5)
        self._shared = RedisStorage(
            _url(valkey_url),
            implementation="redispy",
            key_prefix="rr-limit",
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._own = MemoryStorage()

    async def take(self, limit: RateLimitItem, *whose: str) -> None:
        """Count one act.

        Raises:
            Overloaded: it is one too many; ``retry_after_s`` says when the next may be tried.
        """
        try:
            async with asyncio.timeout(1):
                await self._take(self._shared, limit, whose)
        except (RedisError, OSError, TimeoutError):
            await self._take(self._own, limit, whose)

    async def _take(self, storage: Storage, limit: RateLimitItem, whose: tuple[str, ...]) -> None:
        window = FixedWindowRateLimiter(storage)
        if not await window.hit(limit, *whose):
            reset, _ = await window.get_window_stats(limit, *whose)
            raise Overloaded("Too many attempts. Wait a moment.", {"retry_after_s": max(1, int(reset - time.time()))})

    async def close(self) -> None:
        """Let go of the connections."""
        with suppress(RedisError, OSError):
            await self._pool.disconnect()


LIMITER = web.AppKey("limiter", Limiter)
