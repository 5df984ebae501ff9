"""A report posted as JSON to a URL, signed with the secret that the receiver shares with us."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import aiohttp
import msgspec

if TYPE_CHECKING:
    from storage.outbox import Message

TIMEOUT_S = 10.0
_TAKEN = range(200, 300)


def body(message: Message) -> bytes:
    """Return what is posted."""
    return msgspec.json.encode(
        {"id": message.outbox_id, "type": message.type, "at": message.at, "report": message.report}
    )


def signature(secret: str, text: bytes) -> str:
    """Return the value of ``X-ReadingRoom-Signature``."""
    return "sha256=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


class Webhook:
    """The sender of webhooks; redirects are not followed, as a report goes where it was told to go."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session; no proxy of the environment is used, no cookie is kept."""
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Close the session."""
        if self._http is not None:
            await self._http.close()

    async def send(self, message: Message) -> str | None:
        """Post a message; return what went wrong, None when it was taken."""
        if self._http is None:
            raise RuntimeError("the sender is not open")
        text = body(message)
        headers = {
            "Content-Type": "application/json",
            "X-ReadingRoom-Id": message.outbox_id,
            "X-ReadingRoom-Signature": signature(message.secret, text),
        }
        try:
            async with self._http.post(message.url, data=text, headers=headers, allow_redirects=False) as response:
                return None if response.status in _TAKEN else f"HTTP {response.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:  # ValueError: no URL at all
            return type(exc).__name__
