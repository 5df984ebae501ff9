"""The pulse of a host: once a second each decider is told to look, and upkeep begins when it is due."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from actors.domain.identity import tenant_key
from storage import heads
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.directory import Directory
    from actors.domain.identity import Key
    from actors.upkeep import Upkeep
    from storage.pool import Database

log = structlog.get_logger()

_EACH_S = 1.0
_PASSIVATE_S = 15.0


class Pulse:
    """Wakes the deciders of a host's tenants.

    Args:
        waker: role rr_timer, which sees the names of all tenants.
        upkeep: what is done for a tenant now and then.
        directory: shared by the entities; the pulse keeps it informed of who reads where.
        mine: whether an entity lives on this host.
        tick: tells one tenant's decider.
        passivate: lets idle entities go.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of a host
        self,
        waker: Database,
        upkeep: Upkeep,
        directory: Directory,
        mine: Callable[[Key], bool],
        tick: Callable[[Key], asyncio.Task[None]],
        passivate: Callable[[], None],
    ) -> None:
        self._waker, self._upkeep, self._directory = waker, upkeep, directory
        self._mine, self._tick, self._passivate = mine, tick, passivate
        self._ticking: dict[Key, asyncio.Task[None]] = {}
        self._passivated_at = monotonic()

    async def run(self) -> None:
        """Beat for as long as the host lives."""
        while True:
            try:
                await self._beat()
            except AWAY as exc:
                log.warning("tenants not read", cause=type(exc).__name__)
            if monotonic() - self._passivated_at > _PASSIVATE_S:
                self._passivated_at = monotonic()
                self._passivate()
            await asyncio.sleep(_EACH_S)

    async def _beat(self) -> None:
        async with self._waker.scope() as conn:
            tenants = await heads.tenants(conn)
        await self._directory.look_around(list(tenants))
        mine = [key for key in map(tenant_key, tenants) if self._mine(key)]
        for key in mine:
            last = self._ticking.get(key)
            if last is None or last.done():
                self._ticking[key] = self._tick(key)
        self._upkeep.look([key.tenant_id for key in mine])
