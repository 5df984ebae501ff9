"""A connection that is kept between transactions, where handing it back each time would cost a round trip."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg

from storage.faults import AWAY
from storage.ingest import Away

if TYPE_CHECKING:
    from storage.pool import Connection, Database

_CANNOT_CONNECT: tuple[type[BaseException], ...] = (*AWAY, asyncpg.PostgresError)


class Kept:
    """One connection of a pool, opened when first needed and again after it was lost.

    For one task at a time. Statements carry their own scope, as nothing resets the connection between them.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._conn: Connection | None = None

    async def connection(self) -> Connection:
        """Return the connection.

        Raises:
            Away: the database is.
        """
        if self._conn is not None and not _usable(self._conn):
            await self.release()
        if self._conn is None:
            try:
                self._conn = await self._db.pool.acquire(timeout=5)
            except _CANNOT_CONNECT as exc:
                raise Away(type(exc).__name__) from exc
        return self._conn

    async def release(self) -> None:
        """Give the connection back, whatever state it is in."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(*AWAY):
                await self._db.pool.release(conn)


def _usable(conn: Connection) -> bool:
    try:
        return not conn.is_closed()
    except asyncpg.InterfaceError:  # lost, and taken back by the pool
        return False
