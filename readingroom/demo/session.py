"""A person's HTTP session: log-in, refresh, tickets, and calls of the REST interface."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

_UNAUTHENTICATED, _REFUSED = 401, 400
_BEGIN = frozenset({"/api/auth/login", "/api/auth/refresh"})


class SessionEnded(Exception):
    """Log in again: the argument is the server's code."""


class Session:
    """Logs in with e-mail and password, or holds a bearer token."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        self.base_url, self.token = base_url.rstrip("/"), token
        self.me: dict[str, Any] = {}
        self._refresh = ""
        self._http: aiohttp.ClientSession | None = None
        self._renewing = asyncio.Lock()

    async def login(self, email: str, password: str, tenant: str | None) -> None:
        """Begin a session.

        Raises:
            SessionEnded: the log-in is refused.
        """
        body = {"email": email, "password": password} | ({"tenant": tenant} if tenant else {})
        self._take(await self.checked("POST", "/api/auth/login", body))

    async def rest(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Call the REST interface as this person, refreshing the session when need be; return status and body."""
        used = self.token
        status, answer = await self._call(method, path, body, headers)
        if status == _UNAUTHENTICATED and self._refresh and path not in _BEGIN:
            await self._renew(used)
            return await self._call(method, path, body, headers)
        return status, answer

    async def _renew(self, used: str | None) -> None:
        """Refresh the session, unless another call has done so meanwhile: a refresh token is good for once."""
        async with self._renewing:
            if self.token == used:
                self._take(await self.checked("POST", "/api/auth/refresh", {"refresh_token": self._refresh}))

    async def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}"} | headers
        async with self._http.request(method, self.base_url + path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def checked(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST interface and return the body.

        Raises:
            SessionEnded: the session is over.
            ConnectionError: any other refusal, with its code.
        """
        status, answer = await self.rest(method, path, body)
        if status == _UNAUTHENTICATED:
            raise SessionEnded(answer.get("code", "unauthenticated"))
        if status >= _REFUSED:
            code = answer.get("code", "") if isinstance(answer, dict) else ""
            raise ConnectionError(f"{path}: {status} {code}")
        return answer

    async def ticket(self) -> str:
        """Return a ticket for one socket, refreshing the session when need be.

        Raises:
            SessionEnded: it cannot be refreshed.
        """
        answer = await self.checked("POST", "/api/auth/socket-ticket")
        return str(answer["ticket"])

    async def close(self) -> None:
        """Close the connections; the session on the server goes on."""
        if self._http is not None:
            await self._http.close()

    def _take(self, answer: dict[str, Any]) -> None:
        self.token, self._refresh, self.me = answer["access_token"], answer["refresh_token"], answer["user"]
