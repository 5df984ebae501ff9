"""Statements that look into a session's view in one round trip: each says itself whose tenants it sees.

A statement sent by itself is a transaction of its own, and ``set_config`` that is local ends with it. All that is looked
for hangs on the row of :data:`SCOPE` (by ``LATERAL``, and by :data:`GATE` inside), so nothing is read before it is there;
what would be read earlier would find no tenant named and so no row, as connections carry none.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

SCOPE = (
    "WITH scope AS MATERIALIZED ("
    "SELECT set_config('rr.tenants', {}, true) AS tenants, set_config('rr.sites', {}, true) AS sites)"
)
GATE = "AND scope.tenants IS NOT NULL AND scope.sites IS NOT NULL"
_TIMEOUT_S = 30
# Planning a search takes longer than finding, whatever its parameters: once is enough.
_SESSION = {"plan_cache_mode": "force_generic_plan"}


class Looking:
    """A few connections of one role; the one used last is used next, as its plans are warm.

    Args:
        dsn: of the role.
        most: connections at a time; they are made when first needed.
    """

    def __init__(self, dsn: str, most: int) -> None:
        self._dsn, self._room = dsn, asyncio.Semaphore(most)
        self._idle: list[asyncpg.Connection[Any]] = []
        self._closed = False

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Return the rows of a statement.

        Raises:
            OSError, asyncpg.PostgresError: the database is away, or refuses it.
        """
        async with self._room:
            if self._closed:
                raise asyncpg.InterfaceError("the database is closed")
            conn = await self._connection()
            try:
                return await conn.fetch(sql, *args, timeout=_TIMEOUT_S)
            except (asyncio.CancelledError, TimeoutError):
                conn.terminate()  # what it does now is nobody's
                raise
            finally:
                if self._closed:
                    conn.terminate()
                elif not conn.is_closed():
                    self._idle.append(conn)

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _connection(self) -> asyncpg.Connection[Any]:
        while self._idle:
            conn = self._idle.pop()
            if not conn.is_closed():
                return conn
        return await asyncpg.connect(self._dsn, timeout=5, server_settings=_SESSION)
