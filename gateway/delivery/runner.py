"""Delivers signed reports until each receiver has them: signed, in order a study, retried for ever.

A receiver is a webhook; HL7 ORU, FHIR and DICOM SR take the place of :func:`post` for theirs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from contextlib import suppress
from random import random
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import structlog
from redis.exceptions import RedisError

from storage import outbox
from storage.faults import AWAY

if TYPE_CHECKING:
    from gateway.deps import Deps
    from storage.outbox import Message

log = structlog.get_logger()

_TIMEOUT_S, _LONGEST_S, _SWEEP_S = 10.0, 300.0, 1.0
_TAKEN = range(200, 300)


def pause_s(attempts: int) -> float:
    """Return how long to wait after so many attempts: 1 s doubling to 5 min, with jitter."""
    return min(_LONGEST_S, 2.0 ** min(attempts - 1, 9)) * (0.75 + random() / 2)  # noqa: S311 - not a secret


def body(message: Message) -> bytes:
    """Return what is posted."""
    return msgspec.json.encode(
        {"id": message.outbox_id, "type": message.type, "at": message.at, "report": message.report}
    )


async def post(http: aiohttp.ClientSession, message: Message) -> str | None:
    """Post one message; return what went wrong, None when it was taken."""
    text = body(message)
    signature = hmac.new(message.secret.encode(), text, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-ReadingRoom-Id": message.outbox_id,
        "X-ReadingRoom-Signature": f"sha256={signature}",
    }
    try:
        async with http.post(message.url, data=text, headers=headers, allow_redirects=False) as response:
            return None if response.status in _TAKEN else f"HTTP {response.status}"
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        return type(exc).__name__


class Delivery:
    """The deliveries of one gateway; several share the work by leases."""

    def __init__(self, deps: Deps) -> None:
        self._db, self._valkey = deps.dbs["rr_delivery"], deps.valkey
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        """End; what was taken comes due again when its lease ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as http:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SWEEP_S):
                        await self._wake.wait()
                self._wake.clear()
                try:
                    messages = await outbox.take(self._db)
                    await asyncio.gather(*(self._deliver(http, m) for m in messages))
                except AWAY as exc:
                    log.warning("outbox not read", cause=type(exc).__name__)

    async def _deliver(self, http: aiohttp.ClientSession, message: Message) -> None:
        error = await post(http, message)
        async with self._db.scope([message.tenant_id]) as conn:
            if error is None:
                await outbox.done(conn, message)
                log.info("ReportDelivered", tenant_id=message.tenant_id, outbox_id=message.outbox_id)
                self._wake.set()
            else:
                await outbox.again(conn, message, pause_s(message.attempts), error)
                log.warning("report not delivered", outbox_id=message.outbox_id, cause=error, attempt=message.attempts)

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError, OSError, TimeoutError):
                async with self._valkey.pubsub() as channel:
                    await channel.subscribe("outbox")
                    while True:
                        if await channel.get_message(ignore_subscribe_messages=True, timeout=5) is not None:
                            self._wake.set()
            await asyncio.sleep(0.5)
