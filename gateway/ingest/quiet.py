"""Tells the inbox when nothing has come for a study for a while: it may be complete.

The mark stands in the database, so a study goes quiet once, also when listeners die or several sweep.
A study of an open association is held back: a slow modality pauses between images.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from storage import quiet
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ingest.held import Held
    from storage.pool import Database

QUIET_S = 10.0
_SWEEP_S = 1.0
_HOLD_S = 3.0

log = structlog.get_logger()


class QuietSweeper:
    """Sweeps each second.

    Args:
        db: as rr_ingest.
        held: studies of this process's open associations.
        announce: told the shards whose inbox has grown.
        quiet_s: how long nothing must have come.
    """

    def __init__(
        self, db: Database, held: Held, announce: Callable[[set[int]], None], quiet_s: float = QUIET_S
    ) -> None:
        self._db, self._held, self._announce, self._quiet_s = db, held, announce, quiet_s

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                self._announce(await self.sweep())
            except AWAY as exc:
                log.warning("quiet studies not swept", cause=type(exc).__name__)
            await asyncio.sleep(min(_SWEEP_S, self._quiet_s))

    async def sweep(self) -> set[int]:
        """Tell the inbox once; return the shards told."""
        async with self._db.scope() as conn:
            tenants = await quiet.tenants(conn)
        async with self._db.scope(tenants) as conn:
            await quiet.hold(conn, self._held.older_than(self._quiet_s / 2), _HOLD_S)
            return await quiet.tell_quiet(conn, self._quiet_s)
