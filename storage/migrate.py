"""Brings a database to the newest schema: roles first, then alembic's migrations."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from alembic import command
from alembic.config import Config

_HERE = Path(__file__).parent / "migrations"

_ROLE = """
DO $$ BEGIN
  CREATE ROLE {role} LOGIN NOBYPASSRLS NOSUPERUSER NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""


async def _connect(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    """Return a connection; waits for a server that is still starting."""
    end = asyncio.get_running_loop().time() + 30
    while True:
        try:
            return await asyncpg.connect(dsn, timeout=5)
        except (OSError, asyncpg.PostgresError):
            if asyncio.get_running_loop().time() > end:
                raise
            await asyncio.sleep(0.05)


async def _roles(admin_dsn: str, roles: tuple[str, ...], password: str) -> None:
    parts = urlsplit(admin_dsn)
    name = parts.path.lstrip("/")
    conn = await _connect(urlunsplit(parts._replace(path="/postgres")))
    try:
        if not await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await conn.execute(f'CREATE DATABASE "{name}"')
        for role in roles:
            await conn.execute(_ROLE.format(role=role))
            quoted = await conn.fetchval("SELECT quote_literal($1::text)", password)
            await conn.execute(f"ALTER ROLE {role} PASSWORD {quoted}")
    finally:
        await conn.close()


def migrate(admin_dsn: str, roles: tuple[str, ...], password: str) -> None:
    """Create the database and its roles if need be, then apply every migration not yet applied."""
    asyncio.run(_roles(admin_dsn, roles, password))
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["dsn"] = admin_dsn
    command.upgrade(config, "head")
