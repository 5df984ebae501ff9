"""The hospital's end of a webhook: takes signed reports, refuses whatever is not signed with the secret."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any, Self

from aiohttp import web

from readingroom.demo.world import Hook

_PATH = "/reports"


class Receiver:
    """Listens on a loopback port; ``reports`` holds the final ones by study, ``forged`` counts the refused."""

    def __init__(self) -> None:
        self.reports: dict[str, dict[str, Any]] = {}
        self.forged = 0
        self.hook = Hook("", secrets.token_urlsafe(16))
        app = web.Application()
        app.router.add_post(_PATH, self._take)
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.hook = Hook(f"http://127.0.0.1:{port}{_PATH}", self.hook.secret)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        text = await request.read()
        wanted = "sha256=" + hmac.new(self.hook.secret.encode(), text, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, request.headers.get("X-ReadingRoom-Signature", "")):
            self.forged += 1
            return web.Response(status=401)
        message = json.loads(text)
        if message["type"] == "report_final":
            self.reports[message["report"]["study_uid"]] = message["report"]
        return web.Response()
