"""Delivers signed reports until each receiver has them: in order a study, retried for ever.

Several gateways share the work by leases in the database; one that dies gives back what it had.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from random import random
from time import perf_counter
from typing import TYPE_CHECKING

import structlog

from actors.nudges import hear
from gateway import meters
from gateway.delivery.webhook import Webhook
from storage import outbox
from storage.faults import AWAY

if TYPE_CHECKING:
    from gateway.delivery.sender import Sender
    from gateway.deps import Deps
    from storage.outbox import Message

log = structlog.get_logger()

_LONGEST_S, _SWEEP_S = 300.0, 1.0
_AT_ONCE = 64
_A_RECEIVER = 8


def pause_s(attempts: int) -> float:
    """Return how long to wait after so many attempts: 1 s doubling to 5 min, with jitter."""
    return min(_LONGEST_S, 2.0 ** min(attempts - 1, 9) * (0.75 + random() / 2))  # noqa: S311 - not a secret


class Delivery:
    """The deliveries of one gateway.

    Args:
        deps: of the gateway's process.
        sender: of webhooks; other receivers get senders of their own.
    """

    def __init__(self, deps: Deps, sender: Sender | None = None) -> None:
        self._db, self._valkey = deps.dbs["rr_delivery"], deps.valkey
        self._sender: Sender = sender or Webhook()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy = Counter[str]()

    async def start(self) -> None:
        """Begin."""
        await self._sender.open()
        self._tasks = [
            asyncio.create_task(self._run()),
            asyncio.create_task(hear(self._valkey, {"outbox": lambda _: self._wake.set()})),
        ]

    async def stop(self) -> None:
        """End; what was under way comes due again when its lease ends."""
        tasks = [*self._tasks, *self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._sweep()
            except AWAY as exc:
                log.warning("outbox_not_read", cause=type(exc).__name__)
            except Exception as exc:  # noqa: BLE001 - one bad row must not end all deliveries
                log.error("outbox_not_read", cause=type(exc).__name__)  # noqa: TRY400 - a trace may hold a row

    async def _sweep(self) -> None:
        room = _AT_ONCE - len(self._under_way)
        if room <= 0:
            return  # each that ends wakes us
        busy = [receiver for receiver, count in self._busy.items() if count >= _A_RECEIVER]
        for message in await outbox.take(self._db, room, busy):
            self._busy[message.receiver] += 1
            task = asyncio.create_task(self._deliver(message))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(self, message: Message) -> None:
        began, outcome = perf_counter(), "unknown"
        try:
            error = await self._sender.send(message)
            outcome = "delivered" if error is None else "refused"
            if error is None:
                await outbox.done(self._db, message)
                log.info("ReportDelivered", tenant_id=message.tenant_id, outbox_id=message.outbox_id)
            else:
                await outbox.again(self._db, message, pause_s(message.attempts), error)
                log.warning("report_refused", outbox_id=message.outbox_id, cause=error, attempt=message.attempts)
        except Exception as exc:  # noqa: BLE001 - its lease ends, and it is tried again
            log.warning("delivery_unknown", outbox_id=message.outbox_id, cause=type(exc).__name__)
        finally:
            meters.DELIVERIES.labels(outcome).inc()
            meters.DELIVERY_SECONDS.observe(perf_counter() - began)
            self._busy[message.receiver] -= 1
            self._busy += Counter()  # forgets who is at zero
            self._wake.set()
