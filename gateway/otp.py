"""One-time codes of an authenticator (RFC 6238), each accepted once."""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import pyotp
from redis.exceptions import RedisError

if TYPE_CHECKING:
    import redis.asyncio

_SPENT_S = 120


class OneTimeCodes:
    """Checks codes and remembers those spent, in Valkey and, when that is away, here."""

    def __init__(self, valkey: redis.asyncio.Redis) -> None:
        self._valkey = valkey
        self._spent: dict[str, float] = {}

    async def spend(self, user_id: str, secret: str, code: str) -> bool:
        """Return whether the code is right, now or one step ago, and was not used before (5.2)."""
        if not pyotp.TOTP(secret).verify(code.replace(" ", ""), valid_window=1):
            return False
        now = time.monotonic()
        self._spent = {k: end for k, end in self._spent.items() if end > now}
        key = f"otp:{sha256(f'{user_id}/{code}'.encode()).hexdigest()}"
        if key in self._spent:
            return False
        self._spent[key] = now + _SPENT_S
        try:
            async with asyncio.timeout(0.5):
                return bool(await self._valkey.set(key, "1", nx=True, ex=_SPENT_S))
        except (RedisError, OSError, TimeoutError):
            return True
