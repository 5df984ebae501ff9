"""Row-level security holds even when a statement forgets its WHERE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from actors.domain.identity import Principal
from actors.domain.words import Role
from readingroom.settings import ROLES
from storage.pool import Database

if TYPE_CHECKING:
    from readingroom.settings import Settings

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'rr' ORDER BY 1"
_UNGUARDED = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'rr' AND c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
 ORDER BY 1
"""


async def test_only_logins_and_people_stand_outside_row_security(fresh: Settings) -> None:
    conn = await asyncpg.connect(fresh.admin_dsn)
    rows = await conn.fetch(_UNGUARDED)
    await conn.close()
    assert [r["relname"] for r in rows] == ["person", "token"]


async def test_no_role_bypasses_row_security(fresh: Settings) -> None:
    conn = await asyncpg.connect(fresh.admin_dsn)
    rows = await conn.fetch("SELECT rolname, rolbypassrls, rolsuper FROM pg_roles WHERE rolname = ANY($1)", list(ROLES))
    await conn.close()
    assert len(rows) == len(ROLES)
    assert not any(r["rolbypassrls"] or r["rolsuper"] for r in rows)


@pytest.mark.parametrize("role", ["rr_host", "rr_app", "rr_ingest"])
async def test_nothing_is_seen_without_a_tenant(fresh: Settings, role: str) -> None:
    admin = await asyncpg.connect(fresh.admin_dsn)
    await admin.execute("INSERT INTO rr.tenant VALUES ('t', 'T')")
    await admin.execute("INSERT INTO rr.patient VALUES ('t', 'p', 'i', 'm', 'X^Y')")
    await admin.close()
    db = await Database(fresh.dsn(role)).open()
    async with db.scope() as conn:
        assert await conn.fetch("SELECT * FROM rr.patient") == []
    async with db.scope(["t"]) as conn:
        assert len(await conn.fetch("SELECT * FROM rr.patient")) == 1
    async with db.scope(["u"]) as conn:
        assert await conn.fetch("SELECT * FROM rr.patient") == []
    await db.close()


async def test_a_read_that_nobody_waits_for_leaves_nothing_behind(fresh: Settings) -> None:
    db = await Database(fresh.dsn("rr_app"), max_size=1).open()
    who = Principal("u", "t", Role.RADIOLOGIST)
    async with db.view(who, only_read=True) as conn:
        assert await conn.fetchval("SELECT rr.tenants()") == ["t"]
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with db.view(who, only_read=True) as conn:
            await conn.fetchval("SELECT 1 / 0")
    async with db.pool.acquire() as conn:  # the only one there is
        assert not conn.is_in_transaction()
        assert await conn.fetchval("SELECT rr.tenants()") is None
    await db.close()
