"""Alembic's entry: runs the SQL files over one asyncpg connection, each in a transaction of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from sqlalchemy import Connection


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True, version_table="schema_version")
    with context.begin_transaction():
        context.run_migrations()


async def _upgrade(dsn: str) -> None:
    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(dsn)

    engine = create_async_engine("postgresql+asyncpg://", poolclass=pool.NullPool, async_creator=connect)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


asyncio.run(_upgrade(context.config.attributes["dsn"]))
