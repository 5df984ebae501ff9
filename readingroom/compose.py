"""Wires a gateway: databases by role, Valkey, the way to the actors, the application on two ports."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import structlog
import uvloop
from aiohttp import web

from actors import tracing
from actors.system import System
from gateway.app import build
from gateway.deps import Deps
from readingroom.parts import database, say, schema, until_told, valkey

if TYPE_CHECKING:
    from readingroom.settings import Settings

log = structlog.get_logger()

_POOLS = {"rr_app": 8, "rr_login": 3, "rr_ingest": 3, "rr_delivery": 2}  # connections, by role
_DRAIN_S, _BACKLOG = 1.0, 1024


async def _gateway(settings: Settings, index: int) -> None:
    stop = until_told()
    tracing.start(f"gateway-{index}")
    system = System(settings)
    await system.start()  # attaches while the database comes up, and goes on trying
    await schema(settings)
    pools = await asyncio.gather(*(database(settings, role, most) for role, most in _POOLS.items()))
    client = valkey(settings)
    app = build(Deps(settings, system, dict(zip(_POOLS, pools, strict=True)), client, f"gateway-{index}"))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_S)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port, reuse_port=True, backlog=_BACKLOG).start()
    own = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, own).start()
    say(settings, f"gateway-{index}", url=f"http://127.0.0.1:{own.getsockname()[1]}")
    log.info("GatewayStarted", index=index, port=settings.port)
    await stop.wait()
    await runner.cleanup()
    await system.stop()
    await client.aclose()
    await asyncio.gather(*(pool.close() for pool in pools))


def gateway(settings: Settings, index: int) -> None:
    """Be a gateway's process."""
    uvloop.run(_gateway(settings, index))
