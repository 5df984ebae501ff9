"""Loops that outlive whatever goes wrong in one of their turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()

GONE: tuple[type[BaseException], ...] = (RedisError, *AWAY)
"""PostgreSQL or Valkey is away."""


async def every(seconds: Callable[[], float], act: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again; what fails is logged and done in the next turn."""
    while True:
        await asyncio.sleep(seconds())
        try:
            await act()
        except GONE as exc:
            log.warning("turn_missed", of=act.__qualname__, cause=type(exc).__name__)
        except Exception as exc:
            told = not hasattr(exc, "sqlstate")  # SQL's words may hold data of a patient
            log.exception("turn_failed", of=act.__qualname__, cause=type(exc).__name__, exc_info=told)
