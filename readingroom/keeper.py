"""Keeps the shard hosts and inference workers alive on Ray, and says each second how they are."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from actors.domain.scaling import Wish, needed, wish
from actors.system import ask_for, connect, end_hosts, ensure_hosts
from inference.pool import begin_all, ensure_workers
from readingroom import probes
from readingroom.parts import say, schema, until_told
from readingroom.staff import Staff

if TYPE_CHECKING:
    from readingroom.settings import Settings

log = structlog.get_logger()

_BEAT_S, _ROUND_S = 1.0, 30.0


class Keeper:
    """One round looks after everything; a head that was replaced is attached to anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._staff = Staff(settings)
        self._attached = ""
        self._healthy: bool | None = None
        self._wish, self._asked = Wish(), False

    async def round(self) -> bool:
        """Make what is missing, ask everyone, and return whether all serve."""
        where = self._settings.ray
        host, _, port = where.rpartition(":")
        await probes.tcp(host, int(port))  # Ray itself would wait a minute for a head that is not there
        if where != self._attached:
            await asyncio.to_thread(connect, self._settings)
            self._attached, self._asked = where, False  # a new head may not remember what was asked
            log.info("KeeperAttached")
        hosts = asyncio.to_thread(ensure_hosts, self._settings, await self._staff.wanted())
        serving, begun = await asyncio.gather(hosts, self._workers())
        await asyncio.to_thread(end_hosts, await self._staff.done())
        if self._settings.autoscale:
            await self._scale(serving)
        return all(state.get("started") for state in serving) and all(begun)

    async def _scale(self, serving: list[dict[str, Any]]) -> None:
        """Ask for as much room as the hosts say that they need."""
        studies, waiting = (sum(state.get(name, 0) for state in serving) for name in ("studies", "waiting"))
        before, self._wish = self._wish, wish(self._wish, needed(studies, waiting, len(serving)), monotonic())
        if before.hosts != self._wish.hosts or not self._asked:
            await asyncio.to_thread(ask_for, self._wish.hosts)
            self._asked = True
            log.info("HostsAskedFor", hosts=self._wish.hosts, studies=studies, waiting=waiting)

    async def _workers(self) -> list[bool]:
        workers: list[Any] = await asyncio.to_thread(ensure_workers, self._settings, self._settings.inference_workers)
        return await begin_all(workers)

    async def run(self) -> None:
        """Keep, until cancelled."""
        while True:
            healthy, cause = False, ""
            try:
                async with asyncio.timeout(_ROUND_S):
                    healthy = await self.round()
            except Exception as exc:  # noqa: BLE001 - Ray's losses have many names; the next round begins anew
                self._attached, cause = "", type(exc).__name__
            if healthy != self._healthy:
                log.info("ActorsServe" if healthy else "ActorsAway", cause=cause)
                self._healthy = healthy
            say(self._settings, "actors", healthy=healthy)
            await asyncio.sleep(_BEAT_S if healthy else _BEAT_S / 4)


async def _keep(settings: Settings) -> None:
    stop = until_told()
    await schema(settings)
    keeping = asyncio.create_task(Keeper(settings).run())
    await stop.wait()
    keeping.cancel()
    os._exit(0)  # Ray's threads would abort the process when the head ends with us


def keep(settings: Settings) -> None:
    """Be the keeper's process."""
    asyncio.run(_keep(settings))
