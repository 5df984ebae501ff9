"""Connections to PostgreSQL, one pool a role, always inside a transaction that names its tenants."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from storage.faults import AWAY
from storage.looking import Looking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from actors.domain.identity import Principal

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Any]"

# Local to the transaction, so a pooled connection never carries one tenant into the next. One round trip begins and
# scopes; a simple query takes no parameters, hence the quotes.
_BEGIN = "BEGIN ISOLATION LEVEL {}; SELECT set_config('rr.tenants', {}, true), set_config('rr.sites', {}, true){}"
_GENERIC = ", set_config('plan_cache_mode', 'force_generic_plan', true)"


def literal(values: Iterable[str]) -> str:
    """Return a PostgreSQL text[] literal."""
    quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    return "{" + ",".join(quoted) + "}"


def scope_of(who: Principal) -> tuple[str, str]:
    """Return what ``rr.tenants`` and ``rr.sites`` are for a session."""
    tenants = literal([who.tenant_id] if who.tenant_id else [])
    return tenants, "*" if who.all_sites else literal(sorted(who.sites))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _begin(tenants: str, sites: str, isolation: str = "READ COMMITTED", *, generic: bool = False) -> str:
    return _BEGIN.format(isolation, _quoted(tenants), _quoted(sites), _GENERIC if generic else "")


async def _keep(_: Any) -> None:
    """Reset nothing: whatever a transaction set ended with it, and asyncpg rolls an open one back by itself."""


class Database:
    """A pool of one role's connections."""

    def __init__(self, dsn: str, *, min_size: int = 1, max_size: int = 4) -> None:
        self._dsn, self._min, self._max = dsn, min_size, max_size
        self._pool: asyncpg.Pool[Any] | None = None
        self.looking = Looking(dsn, max_size)
        self._ending: set[asyncio.Task[None]] = set()  # transactions that nobody waits for

    async def open(self) -> Database:
        """Connect; raises OSError or asyncpg.PostgresError when the database is away."""
        self._pool = await asyncpg.create_pool(
            self._dsn, min_size=self._min, max_size=self._max, timeout=5, command_timeout=30, reset=_keep
        )
        return self

    async def close(self) -> None:
        """Close every connection."""
        await self.looking.close()
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
    async def scope(
        self, tenants: Iterable[str] = (), sites: Iterable[str] | None = None, *, generic: bool = False
    ) -> AsyncIterator[Connection]:
        """A transaction that sees these tenants; ``sites`` None means every site of theirs, ``generic`` as :meth:`view`."""
        names = "*" if sites is None else literal(sites)
        async with self._transaction(_begin(literal(tenants), names, generic=generic)) as conn:
            yield conn

    @asynccontextmanager
    async def view(
        self, who: Principal, *, snapshot: bool = False, generic: bool = False, only_read: bool = False
    ) -> AsyncIterator[Connection]:
        """A transaction that sees what the session may see.

        Args:
            who: whose view it is.
            snapshot: read one instant throughout.
            generic: plan each statement once, whatever its parameters; for statements put together from what is asked,
                where planning would take longer than finding.
            only_read: nothing is written, so that nobody waits for its end.
        """
        tenants, sites = scope_of(who)
        isolation = "REPEATABLE READ" if snapshot else "READ COMMITTED"
        begin = _begin(tenants, sites, isolation, generic=generic)
        async with self._read(begin) if only_read else self._transaction(begin) as conn:
            yield conn

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncIterator[Connection]:
        async with self.pool.acquire() as conn:
            await conn.execute(begin)
            try:
                yield conn
            except BaseException:
                with suppress(*AWAY):  # gone with its connection
                    await conn.execute("ROLLBACK")
                raise
            await conn.execute("COMMIT")

    @asynccontextmanager
    async def _read(self, begin: str) -> AsyncIterator[Connection]:
        conn = await self.pool.acquire()
        try:
            await conn.execute(begin)
            yield conn
        finally:
            ending = asyncio.create_task(self._end(conn))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _end(self, conn: Connection) -> None:
        try:
            with suppress(*AWAY):  # gone with its connection
                await conn.execute("ROLLBACK")
        finally:
            await self.pool.release(conn)
