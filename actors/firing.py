"""How a host's timers are loaded and told: with the breach alert that does not wait, and a limit to failing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from actors import alerts
from actors.domain.commands import Envelope, FireTimer
from actors.domain.errors import Failed
from actors.domain.identity import Key
from actors.timers import HORIZON, Timers
from storage import timers
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Any

    from actors.domain.placement import Slot
    from actors.letters import DeadLetters
    from actors.tenure import Everything, Tenure
    from storage.pool import Database
    from storage.timers import Timer

log = structlog.get_logger()

_ALERT_S = 0.5  # a breach that could not be committed by then is announced from memory
_TRIES = 3
_AGAIN_S = 0.5


class Teller(Protocol):
    """The host whose entities are told."""

    def now(self) -> datetime: ...

    def say(self, channel: str, text: str) -> None: ...

    def keep(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]: ...

    async def here(self, key: Key, envelope: Envelope) -> dict[str, Any]: ...


class Firing:
    """The timers of the shards that a host holds.

    Args:
        host: whose entities are told.
        tenure: which shards it holds.
        waker: role rr_timer.
        letters: where a timer goes that its entity fails on.
    """

    def __init__(self, host: Teller, tenure: Tenure | Everything, waker: Database, letters: DeadLetters) -> None:
        self._host, self._tenure, self._waker, self._letters = host, tenure, waker, letters
        self._alerts = alerts.Alerts()
        self._failed: dict[Timer, int] = {}
        self.timers = Timers(self._due, self._fire, host.now)

    async def load(self, slots: Iterable[Slot]) -> None:
        """Arm the timers of shards that have just come; those of the start are loaded by the timers themselves."""
        while held := frozenset(slots) & self._tenure.held:
            try:
                async with self._waker.scope() as conn:
                    stored = await timers.due(conn, held, self._tenure.placement.apart, self._host.now() + HORIZON)
            except AWAY as exc:
                log.warning("timers not loaded", cause=type(exc).__name__)
                await asyncio.sleep(_AGAIN_S)
                continue
            for timer in stored:
                self.timers.arm(timer)
            return

    async def _due(self, before: datetime) -> list[Timer]:
        async with self._waker.scope() as conn:
            return await timers.due(conn, self._tenure.takes, self._tenure.placement.apart, before)

    async def _fire(self, timer: Timer) -> None:
        key = Key.of(timer.tenant_id, timer.entity)
        if not self._tenure.mine(key):
            return  # it fires where its entity lives now
        command = FireTimer(timer.name, timer.version, timer.due_at)
        fired = self._host.keep(asyncio.create_task(self._host.here(key, Envelope(command))))
        if timer.name == alerts.BREACH:
            done, _ = await asyncio.wait([fired], timeout=_ALERT_S)
            if (not done or fired.exception() is not None) and self._alerts.due(timer):
                self._host.say("alert", alerts.provisional(timer))
        try:
            await fired
        except Failed as exc:
            self._failed[timer] = self._failed.get(timer, 0) + 1
            if self._failed[timer] < _TRIES:
                raise
            await self._letters.stop(timer, exc, self._failed.pop(timer))
        else:
            self._failed.pop(timer, None)
