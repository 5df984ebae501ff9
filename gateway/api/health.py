"""``/healthz``, ``/readyz``, ``/metrics``: for whoever runs the server."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from redis.exceptions import RedisError

from actors.domain.commands import Envelope, StartReading
from actors.domain.errors import Expired, Forbidden, ReadingRoomError, Retry
from actors.domain.identity import study_key
from actors.domain.permissions import check
from gateway import schema
from gateway.api.route import Route, json
from gateway.auth import session
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from gateway.api.route import Call

_PATIENCE_S = 2.0
_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
_SILENT: tuple[type[BaseException], ...] = (*AWAY, RedisError, ReadingRoomError)


async def alive(_: Call) -> dict[str, str]:
    """Say that this process runs."""
    return {"status": "alive"}


async def _answers(asked: Awaitable[Any]) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await asked
    except _SILENT:
        return False
    return True


async def _database(call: Call) -> None:
    async with call.deps.app_db.scope() as conn:
        await conn.execute("SELECT 1")


async def _actors(call: Call) -> None:
    """Ask for something that is refused without effect: a refusal is an answer."""
    envelope = Envelope(StartReading(), deadline=time.time() + _PATIENCE_S)
    try:
        await call.deps.refs.ask(study_key("readyz", "0"), envelope)
    except (Retry, Expired):
        raise
    except ReadingRoomError:
        return


async def ready(call: Call) -> web.Response:
    """Say which of the parts that a request needs answer; 503 while one does not."""
    deps = call.deps
    asked = {"database": _database(call), "valkey": deps.valkey.ping(), "actors": _actors(call)}
    found = await asyncio.gather(*(_answers(question) for question in asked.values()))
    parts = dict(zip(asked, found, strict=True))
    whole = all(found)
    return json({"status": "ready" if whole else "not_ready", "parts": parts}, 200 if whole else 503)


def _loopback(request: web.Request) -> bool:
    """Whether the caller is this machine itself, and not a proxy on it that speaks for another."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return not request.remote  # a Unix socket


async def metrics(call: Call) -> web.Response:
    """Give the figures of all processes to loopback and to operators."""
    if not _loopback(call.request):
        found = await session(call.request)
        if found.wall:
            raise Forbidden
        check(found.who, "metrics")
    text = await call.deps.exposition.everybody(call.deps.valkey)
    return web.Response(text=text, headers={"Content-Type": _TEXT_FORMAT})


ROUTES = (
    Route("GET", "/healthz", alive, schema.Health, public=True),
    Route("GET", "/readyz", ready, schema.Ready, public=True),
    Route("GET", "/metrics", metrics, None, call="metrics", public=True),
)
