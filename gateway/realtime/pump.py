"""Reads each tenant's feed by position and hands every event to the sockets of its stream.

Valkey's nudge is a hint; a sweep each second finds what it missed. Nothing is lost when either dies.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from storage import feed
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.realtime.connection import Connection
    from storage.feed import Event
    from storage.pool import Database

log = structlog.get_logger()

SWEEP_S = 1.0
_PAGE = 500


class Pump:
    """The feeds of the tenants that have sockets here."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pos: dict[str, int] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.sockets: dict[tuple[str, str], set[Connection]] = {}

    async def follow(self, tenant_id: str) -> None:
        """Begin to read a tenant's feed, from its newest event on."""
        if tenant_id in self._tasks:
            return
        async with self._db.scope([tenant_id]) as conn:
            pos = await feed.position(conn, tenant_id)
        if tenant_id not in self._tasks:
            self._pos[tenant_id], self._wake[tenant_id] = pos, asyncio.Event()
            self._tasks[tenant_id] = asyncio.create_task(self._run(tenant_id), name=f"feed-{tenant_id}")

    async def stop(self) -> None:
        """Read no more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def nudge(self, tenant_id: str) -> None:
        """There is something new."""
        if tenant_id in self._wake:
            self._wake[tenant_id].set()

    def join(self, connection: Connection, streams: Iterable[str]) -> None:
        """Hand a stream's events to a socket from now on."""
        for stream in streams:
            self.sockets.setdefault((connection.tenant_id, stream), set()).add(connection)

    def leave(self, connection: Connection, streams: Iterable[str]) -> None:
        """Hand it no more of them."""
        for stream in streams:
            room = self.sockets.get((connection.tenant_id, stream))
            if room is not None:
                room.discard(connection)
                if not room:
                    del self.sockets[connection.tenant_id, stream]

    async def _run(self, tenant_id: str) -> None:
        wake = self._wake[tenant_id]
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await wake.wait()
            wake.clear()
            try:
                await self._read(tenant_id)
            except AWAY as exc:
                log.warning("feed not read", tenant_id=tenant_id, cause=type(exc).__name__)
                await asyncio.sleep(SWEEP_S / 2)

    async def _read(self, tenant_id: str) -> None:
        while True:
            async with self._db.scope([tenant_id]) as conn:
                events = await feed.after(conn, tenant_id, self._pos[tenant_id])
            for event in events:
                await self._hand_out(tenant_id, event)
                self._pos[tenant_id] = event.pos
            if len(events) < _PAGE:
                return

    async def _hand_out(self, tenant_id: str, event: Event) -> None:
        for connection in list(self.sockets.get((tenant_id, event.stream), ())):
            await connection.deliver(event)
