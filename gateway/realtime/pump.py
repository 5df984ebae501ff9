"""Reads each tenant's feed by position and hands every event to the hub.

Valkey's nudge is a hint; a sweep each second finds what it missed. When either server dies nothing
is lost: the position stands still until the feed can be read again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from gateway import meters
from gateway.realtime.steady import every
from storage import feed
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.realtime.hub import Hub
    from storage.pool import Database

log = structlog.get_logger()

SWEEP_S = 1.0
_READ_S = 5.0
_BREATH = 2_000  # deliveries after which other tasks get a turn


@dataclass(slots=True)
class _Tenant:
    """How far a tenant's feed was handed out."""

    pos: int
    epoch: str
    owners: dict[str, str] = field(default_factory=dict)  # study -> who was offered or has it
    reading: bool = False
    again: bool = False


class Pump:
    """The feeds of the tenants that have sockets here.

    Args:
        db: as rr_app.
        hub: who is told.
        restored: is called with a tenant whose feed went back to an earlier point.
    """

    def __init__(self, db: Database, hub: Hub, restored: Callable[[str], None]) -> None:
        self._db, self._hub, self._restored = db, hub, restored
        self._tenants: dict[str, _Tenant] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to sweep."""
        self._keep(asyncio.create_task(every(lambda: SWEEP_S, self._look), name="feed-sweep"))

    async def stop(self) -> None:
        """Read no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def follow(self, tenant_id: str) -> str:
        """Hand out a tenant's feed from its newest event on, if not done yet; return its epoch."""
        known = self._tenants.get(tenant_id)
        if known is None:
            async with asyncio.timeout(_READ_S), self._db.scope([tenant_id]) as conn:
                owners = await feed.owners(conn, tenant_id)
                head = (await feed.heads(conn, [tenant_id])).get(tenant_id, feed.Head())
            known = self._tenants.setdefault(tenant_id, _Tenant(head.pos, head.epoch, owners))
        return known.epoch

    def owner(self, tenant_id: str, study_uid: str) -> str | None:
        """Return who was offered or has the study, as far as it is known here."""
        tenant = self._tenants.get(tenant_id)
        return None if tenant is None else tenant.owners.get(study_uid)

    def nudge(self, text: str) -> None:
        """Hear ``TENANT POS``: there may be something new."""
        tenant_id, _, pos = text.partition(" ")
        tenant = self._tenants.get(tenant_id)
        if tenant is not None and not (pos.isdigit() and int(pos) <= tenant.pos):
            self._keep(asyncio.create_task(self._read(tenant_id, tenant)))

    async def _read(self, tenant_id: str, tenant: _Tenant) -> None:
        """Hand out what is new; one reader a tenant, who looks once more when told meanwhile."""
        if tenant.reading:
            tenant.again = True
            return
        tenant.reading = True
        try:
            more = True
            while more:
                tenant.again = False
                async with asyncio.timeout(_READ_S), self._db.scope([tenant_id], generic=True) as conn:
                    events = await feed.after(conn, tenant_id, tenant.pos)
                await self._hand_out(tenant_id, tenant, events)
                more = len(events) >= feed.PAGE or tenant.again
        except AWAY as exc:
            log.warning("feed_not_read", tenant_id=tenant_id, cause=type(exc).__name__)
        finally:
            tenant.reading = False

    async def _hand_out(self, tenant_id: str, tenant: _Tenant, events: list[feed.Event]) -> None:
        delivered = 0
        for event in events:
            tenant.pos = event.pos
            if event.stream.startswith("user:"):
                _note_owner(tenant.owners, event)
            sockets = self._hub.emit(tenant_id, event)
            delivered += sockets
            if sockets:
                meters.EMITTED.inc(sockets)
                meters.EMIT_LAG.observe((datetime.now(UTC) - event.at).total_seconds())
            if delivered > _BREATH:
                delivered = 0
                await asyncio.sleep(0)

    async def _look(self) -> None:
        """Forget tenants without sockets; find what no nudge told of, and feeds that were restored."""
        here = self._hub.tenants()
        for tenant_id in [name for name, known in self._tenants.items() if name not in here and not known.reading]:
            del self._tenants[tenant_id]
        if not self._tenants:
            return
        looked_at = list(self._tenants.items())  # more may be followed meanwhile: of those nothing was asked
        async with asyncio.timeout(_READ_S), self._db.scope([tenant_id for tenant_id, _ in looked_at]) as conn:
            heads = await feed.heads(conn, [tenant_id for tenant_id, _ in looked_at])
        for tenant_id, tenant in looked_at:
            head = heads.get(tenant_id, feed.Head())
            if tenant.epoch and head.epoch != tenant.epoch:
                log.warning("feed_restored", tenant_id=tenant_id)
                tenant.pos, tenant.epoch = head.pos, head.epoch
                self._restored(tenant_id)
            tenant.epoch = head.epoch
            if head.pos > tenant.pos:
                await self._read(tenant_id, tenant)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _note_owner(owners: dict[str, str], event: feed.Event) -> None:
    """Remember whose study it is now: a breach while the database is away is told to her too."""
    changed = feed.row_change(event)
    if changed is None:
        return
    study_uid, stays = changed
    user_id = event.stream.removeprefix("user:")
    if stays:
        owners[study_uid] = user_id
    elif owners.get(study_uid) == user_id:
        del owners[study_uid]
