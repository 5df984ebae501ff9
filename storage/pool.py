"""Connections to PostgreSQL, one pool a role, always inside a transaction that names its tenants."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from actors.domain.identity import Principal

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Any]"

# Local to the transaction, so a pooled connection never carries one tenant into the next.
_SCOPE = "SELECT set_config('rr.tenants', $1, true), set_config('rr.sites', $2, true)"


def literal(values: Iterable[str]) -> str:
    """Return a PostgreSQL text[] literal."""
    quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    return "{" + ",".join(quoted) + "}"


class Database:
    """A pool of one role's connections."""

    def __init__(self, dsn: str, *, min_size: int = 1, max_size: int = 4) -> None:
        self._dsn, self._min, self._max = dsn, min_size, max_size
        self._pool: asyncpg.Pool[Any] | None = None

    async def open(self) -> Database:
        """Connect; raises OSError or asyncpg.PostgresError when the database is away."""
        self._pool = await asyncpg.create_pool(
            self._dsn, min_size=self._min, max_size=self._max, timeout=5, command_timeout=30
        )
        return self

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.close()

    @property
    def pool(self) -> asyncpg.Pool[Any]:
        """The open pool."""
        if self._pool is None:
            msg = "the database is not open"
            raise RuntimeError(msg)
        return self._pool

    @asynccontextmanager
    async def scope(self, tenants: Iterable[str] = (), sites: Iterable[str] | None = None) -> AsyncIterator[Connection]:
        """A transaction that sees these tenants; ``sites`` None means every site of theirs."""
        async with self.pool.acquire() as conn, conn.transaction():
            await conn.execute(_SCOPE, literal(tenants), "*" if sites is None else literal(sites))
            yield conn

    @asynccontextmanager
    async def view(self, who: Principal, *, snapshot: bool = False) -> AsyncIterator[Connection]:
        """A transaction that sees what the session may see; ``snapshot`` reads one instant."""
        isolation: Literal["repeatable_read", "read_committed"] = "repeatable_read" if snapshot else "read_committed"
        async with self.pool.acquire() as conn, conn.transaction(isolation=isolation):
            sites = "*" if who.all_sites else literal(sorted(who.sites))
            await conn.execute(_SCOPE, literal([who.tenant_id] if who.tenant_id else []), sites)
            yield conn
