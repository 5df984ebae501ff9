"""What a host does now and then for its tenants: snapshots of another release made anew, what has been kept long let go."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from storage import archive, hydrate, retention
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.pool import Database

log = structlog.get_logger()

_EACH_S = 3600.0


class Upkeep:
    """Begins with the first look and goes on each hour, beside whatever else the host does."""

    def __init__(self, db: Database, archive_after_s: float) -> None:
        self._db, self._archive_after_s = db, archive_after_s
        self._done_at: dict[str, float] = {}  # tenant -> when
        self._task: asyncio.Task[None] | None = None

    def look(self, tenants: Sequence[str]) -> None:
        """Take up what is due for these tenants, unless the last round still runs."""
        due = [t for t in tenants if monotonic() - self._done_at.get(t, -_EACH_S) >= _EACH_S]
        if due and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._round(due))

    async def stop(self) -> None:
        """End; what was not done is done by the next host."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _round(self, tenants: Sequence[str]) -> None:
        try:
            await self._days()
            for tenant_id in tenants:
                await self._keep(tenant_id)
                self._done_at[tenant_id] = monotonic()
        except AWAY as exc:
            log.warning("upkeep put off", cause=type(exc).__name__)
        except Exception:
            log.exception("upkeep failed")
            self._done_at |= dict.fromkeys(tenants, monotonic())

    async def _keep(self, tenant_id: str) -> None:
        made = 1
        while made:
            async with self._db.scope([tenant_id]) as conn:
                made = await hydrate.refresh(conn, tenant_id)
            if made:
                log.info("SnapshotsMadeAnew", tenant_id=tenant_id, studies=made)
        async with self._db.scope([tenant_id]) as conn:
            await retention.expire(conn, tenant_id)
        put_away = 1
        while put_away:
            async with self._db.scope([tenant_id]) as conn:
                put_away = await archive.put_away(conn, tenant_id, self._archive_after_s)
            if put_away:
                log.info("StudiesArchived", tenant_id=tenant_id, studies=put_away)

    async def _days(self) -> None:
        async with self._db.scope() as conn:
            changed = await retention.days(conn)
        if changed:
            log.info("FeedDaysChanged", days=changed)
