"""The gateway as one aiohttp application: REST, DICOMweb, the viewer, the live socket, deliveries."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from actors import tracing
from actors.domain.errors import NotFound
from gateway import meters
from gateway.api.route import serve
from gateway.api.table import ROUTES
from gateway.auth import SESSIONS
from gateway.delivery.runner import Delivery
from gateway.deps import DEPS
from gateway.dicomweb.routes import routes as dicomweb_routes
from gateway.headers import HARDENED
from gateway.ingest import stow
from gateway.limit import LIMITER, Limiter
from gateway.problems import refuse
from gateway.realtime.server import attach
from gateway.viewer import routes as viewer_routes
from storage import sessions
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractContextManager

    from gateway.deps import Deps

BODY_MOST = 2**20  # of a JSON body; STOW-RS streams and has a limit of its own
_PURGE_S = 600

log = structlog.get_logger()


def build(deps: Deps) -> web.Application:
    """Return the application; starting it starts the socket, the deliveries and the listener of rights."""
    app = web.Application(middlewares=[_observe, refuse], client_max_size=BODY_MOST)
    app[DEPS], app[SESSIONS], app[LIMITER] = deps, deps.sessions, Limiter(deps.settings.valkey_url)
    app.on_response_prepare.append(_harden)
    app.cleanup_ctx.append(_background)
    app.add_routes([web.route(r.method, r.path, serve(r)) for r in ROUTES])
    stow.attach(app, deps)
    app.add_routes(dicomweb_routes(deps))
    attach(app, deps)
    app.router.add_route("*", "/api/{tail:.*}", _nowhere)
    app.add_routes(viewer_routes(deps))
    return app


async def _nowhere(_: web.Request) -> web.Response:
    raise NotFound("There is no such call. /api/docs lists them.")


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HARDENED.items():
        response.headers.setdefault(name, value)
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def _observe(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Count and log each call by its path template: no query string, no id of a patient."""
    began, status = time.perf_counter(), 499
    try:
        with _traced(request):
            response = await handler(request)
        status = response.status
    except web.HTTPException as redirect:
        status = redirect.status
        raise
    else:
        return response
    finally:
        resource = request.match_info.route.resource
        route, seconds = resource.canonical if resource is not None else "-", time.perf_counter() - began
        meters.REQUESTS.labels(request.method, route, str(status)).inc()
        meters.REQUEST_SECONDS.labels(route).observe(seconds)
        log.debug("http", method=request.method, route=route, status=status, ms=round(seconds * 1000, 1))


def _traced(request: web.Request) -> AbstractContextManager[None]:
    """A trace a call; sockets have one a command, and nobody follows what only asks how we are."""
    resource = request.match_info.route.resource
    if resource is None or not request.path.startswith(("/api/", "/dicom-web/")):
        return nullcontext()
    return tracing.span(f"{request.method} {resource.canonical}", root=True)


async def _background(app: web.Application) -> AsyncIterator[None]:
    deps = app[DEPS]
    await deps.sessions.start()
    if deps.process:
        deps.exposition.start()
    delivery = Delivery(deps)
    await delivery.start()
    purging = asyncio.create_task(_purge(deps), name="purge-tokens")
    yield
    await delivery.stop()
    purging.cancel()
    with suppress(asyncio.CancelledError):
        await purging
    await deps.sessions.stop()
    await deps.exposition.stop()
    await app[LIMITER].close()


async def _purge(deps: Deps) -> None:
    """Forget credentials that ended long ago."""
    while True:
        with suppress(*AWAY):
            async with deps.dbs["rr_login"].scope() as conn:
                await sessions.purge(conn)
        await asyncio.sleep(_PURGE_S)
