"""Where entities live, as a process outside the hosts knows it: read when something was not where it should be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from actors.domain.placement import Placement
from storage import placement
from storage.faults import NOT_READY
from storage.pool import Database

if TYPE_CHECKING:
    from actors.domain.identity import Key

log = structlog.get_logger()

_PAUSE_S = 0.05  # between two looks
_READ_S = 3.0


class Whereabouts:
    """The placement as last read. Nothing waits for a look but who found nobody.

    Args:
        dsn: a role that reads the placement.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._db: Database | None = None
        self._placement = Placement()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def owner(self, key: Key) -> str | None:
        """Return the host of an entity, None while none is known."""
        return self._placement.owner(key)

    def doubt(self) -> None:
        """Look again, beside whatever goes on."""
        if not self._closed and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._db is not None:
            await self._db.close()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_READ_S):
                if self._db is None:
                    self._db = await Database(self._dsn, max_size=1).open()
                async with self._db.scope() as conn:
                    self._placement = await placement.read(conn)
        except NOT_READY as exc:  # what was known stands
            log.warning("placement not read", cause=type(exc).__name__)
        await asyncio.sleep(_PAUSE_S)
