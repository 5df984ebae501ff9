"""The wiring of each process: databases by role, Valkey, the way to the actors, the application."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop
from aiohttp import web
from redis.asyncio import Redis

from actors.system import System
from gateway.app import build
from gateway.deps import Deps
from gateway.ingest import listener
from readingroom.supervisor import GATE
from storage.faults import AWAY
from storage.pool import Database

if TYPE_CHECKING:
    from readingroom.settings import Settings

log = structlog.get_logger()

_POOLS = {"rr_app": 8, "rr_login": 3, "rr_ingest": 3, "rr_delivery": 2}
_PAUSE_S = 0.1


async def schema(settings: Settings) -> None:
    """Wait until the supervisor has brought the schema up to date; without one, assume that somebody did."""
    gate = os.environ.get(GATE)
    while gate and not await asyncio.to_thread(Path(gate).exists):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(_PAUSE_S)
    log.debug("schema is ready", data=str(settings.data))


async def database(settings: Settings, role: str, most: int) -> Database:
    """Return an open pool; waits for the database."""
    pool = Database(settings.dsn(role), max_size=most)
    while True:
        try:
            return await pool.open()
        except AWAY as exc:
            log.warning("waiting for the database", role=role, cause=type(exc).__name__)
            await asyncio.sleep(_PAUSE_S * 3)


def valkey(settings: Settings) -> Redis:
    """Return a client whose calls fail fast and whose subscriptions wait."""
    client: Redis = Redis.from_url(settings.valkey_url, socket_connect_timeout=1, socket_timeout=None)
    return client


def say(settings: Settings, name: str, **what: object) -> None:
    """Write what a process says of itself where the supervisor looks."""
    fresh = settings.run / f"{name}.json.new"
    fresh.write_text(json.dumps({"pid": os.getpid(), "at": time.time(), **what}))
    fresh.replace(settings.run / f"{name}.json")


def until_told() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _gateway(settings: Settings, index: int) -> None:
    stop = until_told()
    await schema(settings)
    dbs = {role: await database(settings, role, most) for role, most in _POOLS.items()}
    system = System(settings)
    await system.start()
    client = valkey(settings)
    app = build(Deps(settings, system, dbs, client))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port, reuse_port=True, backlog=1024).start()
    own = web.TCPSite(runner, "127.0.0.1", 0)
    await own.start()
    port = own._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # noqa: SLF001 - aiohttp has no other way
    say(settings, f"gateway-{index}", url=f"http://127.0.0.1:{port}")
    log.info("GatewayStarted", index=index, port=settings.port)
    await stop.wait()
    await runner.cleanup()
    await system.stop()
    await client.aclose()
    for pool in dbs.values():
        await pool.close()


def gateway(settings: Settings, index: int) -> None:
    """Be a gateway's process."""
    uvloop.run(_gateway(settings, index))


async def _dicom(settings: Settings) -> None:
    await schema(settings)
    await listener.serve(settings)


def dicom(settings: Settings) -> None:
    """Be a DICOM listener's process."""
    uvloop.run(_dicom(settings))
