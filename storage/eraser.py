"""Erases what has been kept long enough: the study's wrapped key first, then files, then rows; each step can be repeated.

Between the steps lies twice as long as any process remembers a key, and images of the study are refused meanwhile, so
that nothing is ever sealed with a key that is gone. A crash anywhere is taken up by the next sweep.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from storage import keeping
from storage.faults import AWAY
from storage.keys import NAME, REMEMBERED_S

if TYPE_CHECKING:
    from storage.objects import ObjectStore
    from storage.pool import Database

log = structlog.get_logger()

_SWEEP_S, _LOOK_S = 60.0, 6 * 3600.0


class Eraser:
    """Sweeps a step further each minute, and looks for what has expired four times a day.

    Args:
        db: as rr_keeper.
        store: where the files lie.
        wait_s: between a step and the next.
    """

    def __init__(self, db: Database, store: ObjectStore, *, wait_s: float = 2 * REMEMBERED_S) -> None:
        self._db, self._store, self._wait_s = db, store, wait_s

    async def run(self) -> None:
        """Sweep until cancelled."""
        looked = 0.0
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = asyncio.get_running_loop().time()
            try:
                await self.sweep(look=now - looked >= _LOOK_S)
            except AWAY as exc:  # OSErrors of the disk among them
                log.warning("retention put off", cause=type(exc).__name__)
                continue
            looked = now if now - looked >= _LOOK_S else looked

    async def expired(self) -> dict[str, list[keeping.Expired]]:
        """Return what would go now, by group: the dry run."""
        found = {}
        for tenant_id in await self._tenants():
            async with self._db.scope([tenant_id]) as conn:
                found[tenant_id] = await keeping.expired(conn, tenant_id, datetime.now(UTC))
        return found

    async def sweep(self, *, look: bool = True) -> int:
        """Take every erasure a step further; return how many studies are gone now that were not."""
        gone = 0
        for tenant_id in await self._tenants():
            async with self._db.scope([tenant_id]) as conn:
                due = await keeping.under_way(conn, tenant_id, self._wait_s)
            for one in due:
                gone += await self._further(tenant_id, one)
            if look:
                await self._mark(tenant_id)
        return gone

    async def _mark(self, tenant_id: str) -> None:
        async with self._db.scope([tenant_id]) as conn:
            found = await keeping.expired(conn, tenant_id, datetime.now(UTC))
        for one in found:
            async with self._db.scope([tenant_id]) as conn:
                if await keeping.mark(conn, tenant_id, one.study_uid, datetime.now(UTC)):
                    log.info("study expired", tenant_id=tenant_id, study_uid=one.study_uid, images=one.images)

    async def _further(self, tenant_id: str, one: keeping.UnderWay) -> bool:
        if not one.destroyed:
            async with self._db.scope([tenant_id]) as conn:
                if not await keeping.begin(conn, tenant_id, one.study_uid, datetime.now(UTC)):
                    log.info("study kept after all", tenant_id=tenant_id, study_uid=one.study_uid)
                    return False
            await asyncio.to_thread(self._destroy, one)
            return False
        await asyncio.to_thread(self._destroy, one)  # again: a crash may have come between
        async with self._db.scope([tenant_id]) as conn:
            await keeping.forget(conn, tenant_id, one.study_uid)
        log.info("study erased", tenant_id=tenant_id, study_uid=one.study_uid)
        return True

    def _destroy(self, one: keeping.UnderWay) -> None:
        for directory in one.keys:
            self._store.remove(f"{directory}/{NAME}")
        for path in one.paths:
            self._store.remove(path)

    async def _tenants(self) -> list[str]:
        async with self._db.scope() as conn:
            return await keeping.tenants(conn)
