"""Routes of the viewer: pages, the host's files at ``/``, our modules under ``/rr-ext/``.

Pages are named one by one, so that a missing script is a 404 and never a page. Files whose name
carries their hash are immutable; all others are asked for again each time (ETag, 304).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from gateway.auth import COOKIE
from gateway.viewer.config import config_script
from gateway.viewer.pages import BOARD, LOGIN, MISSING, STAFF

if TYPE_CHECKING:
    from gateway.deps import Deps

BUILT = Path(__file__).resolve().parent.joinpath("dist").resolve()

_HASHED = re.compile(r"(^|[.\-])[0-9A-Za-z_]{8,}\.(js|mjs|css|wasm|woff2)$")
_HASHED_PLACES = re.compile(r"\.bundle\.|^[0-9a-f]{16}\.|^chunks/")
_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".woff2": "font/woff2"}

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# OHIF sets style attributes and compiles its codecs from WebAssembly; its workers start from blobs.
VIEWER_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' blob: data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_ROOT_FILE = r"/{name:[A-Za-z0-9_-][A-Za-z0-9._-]*\.[a-z0-9]+}"


def routes(deps: Deps) -> list[web.RouteDef]:
    """Return the viewer's routes; what they serve is the same for everybody and needs nothing of ``deps``."""
    del deps
    return [
        web.get("/login", _login),
        web.get("/board", _board),
        web.get("/staff", _staff),
        web.get("/", _viewer),
        web.get("/reading-room", _viewer),
        web.get("/reading-room/{source}", _viewer),
        web.get("/notfoundstudy", _viewer),
        web.get("/notfoundserver", _viewer),
        web.get("/app-config.js", _config),
        web.get("/rr-ext/{name:.+}", _module),
        web.get("/assets/{name:.+}", _asset),
        web.get(_ROOT_FILE, _host_file),
    ]


def _html(text: str, policy: str, status: int = 200) -> web.Response:
    headers = {**_EVERYWHERE, "Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return web.Response(text=text, content_type="text/html", headers=headers, status=status)


def _file(root: Path, name: str) -> web.FileResponse:
    path = (root / name).resolve()
    if not path.is_relative_to(root) or path.suffix in {".gz", ".stamp"} or not path.is_file():
        raise web.HTTPNotFound(text="There is no such file.", headers={"Cache-Control": "no-store"})
    hashed = _HASHED.search(name) and _HASHED_PLACES.search(name)
    headers = {
        **_EVERYWHERE,
        "Content-Security-Policy": VIEWER_POLICY,
        "Cache-Control": "public, max-age=31536000, immutable" if hashed else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if path.suffix in _TYPES:
        headers["Content-Type"] = _TYPES[path.suffix]
    return web.FileResponse(path, headers=headers)


async def _login(_: web.Request) -> web.StreamResponse:
    return _html(LOGIN, PAGE_POLICY)


def _without_session(request: web.Request) -> None:
    """Send a browser without a cookie to the log-in; whether the cookie still holds, the first call tells."""
    if COOKIE not in request.cookies:
        raise web.HTTPSeeOther(f"/login?next={quote(request.path_qs, safe='')}", headers={"Cache-Control": "no-store"})


async def _board(_: web.Request) -> web.StreamResponse:
    # Not redirected: a wall shows it with a token of its own, and the page sends people to the log-in.
    return _html(BOARD, PAGE_POLICY)


async def _staff(request: web.Request) -> web.StreamResponse:
    _without_session(request)
    return _html(STAFF, PAGE_POLICY)


async def _viewer(request: web.Request) -> web.StreamResponse:
    _without_session(request)
    if not (BUILT / "host" / "index.html").is_file():
        return _html(MISSING, PAGE_POLICY, status=503)
    return _file(BUILT / "host", "index.html")


async def _config(_: web.Request) -> web.StreamResponse:
    return web.Response(
        text=config_script(), content_type="text/javascript", headers={**_EVERYWHERE, "Cache-Control": "no-store"}
    )


async def _module(request: web.Request) -> web.StreamResponse:
    return _file(BUILT / "rr-ext", request.match_info["name"])


async def _asset(request: web.Request) -> web.StreamResponse:
    return _file(BUILT / "host" / "assets", request.match_info["name"])


async def _host_file(request: web.Request) -> web.StreamResponse:
    return _file(BUILT / "host", request.match_info["name"])
