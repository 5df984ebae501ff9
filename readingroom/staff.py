"""Which shard hosts there should be: the common ones, and those of tenants that have some of their own."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from actors.domain.placement import names
from actors.post import common
from actors.system import units
from storage import placement
from storage.faults import NOT_READY
from storage.pool import Database

if TYPE_CHECKING:
    from readingroom.settings import Settings

log = structlog.get_logger()

_PATIENCE_S = placement.LOST_S + 1.0


class Staff:
    """Reads what is wanted, and dismisses who is not once it holds nothing more. Without the database all stays."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._db: Database | None = None
        self._dedications: dict[str, int] = {}
        self._serving: list[str] = []
        self._rooms: list[tuple[float, int]] = []  # for how many common hosts there was room, and when
        self._wanted: dict[str, str] = {}

    async def wanted(self) -> dict[str, str]:
        """Return the names of the hosts that there should be, each with the one tenant that it serves or ""."""
        try:
            db = await self._open()
            async with db.scope() as conn:
                self._dedications = await placement.dedications(conn)
                self._serving = await placement.serving(conn)
        except NOT_READY as exc:
            log.warning("dedications not read", cause=type(exc).__name__)
        own = {f"{tenant_id}-{n}": tenant_id for tenant_id, hosts in self._dedications.items() for n in range(hosts)}
        if self._settings.shard_hosts:
            self._wanted = common(self._settings.shard_hosts) | own
        else:  # a machine that is lost takes its hosts with it, whatever their numbers: those that serve go on
            room = self._room(max(1, await asyncio.to_thread(units) - len(own)))
            self._wanted = dict.fromkeys(names(room, self._serving), "") | own
        return self._wanted

    def _room(self, now: int) -> int:
        """Return the most there was of late: Ray gives a machine up before it is known which hosts went with it."""
        at = monotonic()
        self._rooms = [(when, room) for when, room in self._rooms if when > at - _PATIENCE_S] + [(at, now)]
        return max(room for _, room in self._rooms)

    async def done(self) -> list[str]:
        """Ask hosts that are not wanted to hand over, and return those that have."""
        try:
            db = await self._open()
            async with db.scope() as conn:
                left = await placement.staff(conn, self._wanted)
                await placement.remove(conn, left)
        except NOT_READY as exc:
            log.warning("hosts not looked after", cause=type(exc).__name__)
            return []
        if left:
            log.info("HostsDismissed", hosts=left)
        return left

    async def close(self) -> None:
        """Leave the database."""
        if self._db is not None:
            await self._db.close()
            self._db = None

    async def _open(self) -> Database:
        if self._db is None:
            self._db = await Database(self._settings.dsn("rr_timer"), max_size=1).open()
        return self._db
