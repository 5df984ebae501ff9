"""What our processes are put together from: the schema's gate, databases by role, Valkey, what they say of themselves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from storage.faults import NOT_READY
from storage.pool import Database

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from readingroom.settings import Settings

log = structlog.get_logger()

GATE = "READINGROOM_GATE"  # names a file that is there once the schema is up to date; the supervisor sets it
_PAUSE_S, _LONGEST_S = 0.1, 2.0


async def schema(settings: Settings) -> None:
    """Wait until the supervisor has brought the schema up to date; without one, assume that somebody did."""
    gate = os.environ.get(GATE)
    while gate and not await asyncio.to_thread(Path(gate).exists):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(_PAUSE_S)
    log.debug("schema is ready", data=str(settings.data))


async def database(settings: Settings, role: str, most: int) -> Database:
    """Return an open pool; waits for the database."""
    pool, pause_s = Database(settings.dsn(role), max_size=most), _PAUSE_S
    while True:
        try:
            return await pool.open()
        except NOT_READY as exc:
            log.warning("waiting for the database", role=role, cause=type(exc).__name__)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_S)


def valkey(settings: Settings) -> Redis:
    """Return a client whose calls fail fast and whose subscriptions wait."""
    from redis.asyncio import Redis  # noqa: PLC0415 - the keeper needs none

    client: Redis = Redis.from_url(settings.valkey_url, socket_connect_timeout=1, socket_timeout=None)
    return client


def say(settings: Settings, name: str, **what: object) -> None:
    """Write what a process says of itself where the supervisor looks."""
    fresh = settings.run / f"{name}.json.new"
    fresh.write_text(json.dumps({"pid": os.getpid(), "at": time.time(), **what}))
    fresh.replace(settings.run / f"{name}.json")


async def beat(settings: Settings, name: str) -> None:
    """Say each second that the event loop comes round: whoever accepts connections for it may be the kernel alone."""
    while True:
        with suppress(OSError):  # a full disk is no reason to stop
            say(settings, name)
        await asyncio.sleep(1)


def until_told() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
