"""Statements about shards and dead letters are such as their role may prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from storage import letters, placement, shards

if TYPE_CHECKING:
    from readingroom.settings import Settings

_BY_ADMIN = {"LIST", "TAKE", "IMAGES_AGAIN", "TIMER_AGAIN"}
_STATEMENTS = {
    f"{module.__name__}.{name}": ("rr_admin" if name in _BY_ADMIN else role, text)
    for module, role in ((letters, "rr_host"), (placement, "rr_timer"), (shards, "rr_admin"))
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str) and name != "PLATFORM"
}


@pytest.mark.postgres
@pytest.mark.parametrize("name", _STATEMENTS)
async def test_a_statement_can_be_prepared(servers: Settings, name: str) -> None:
    role, text = _STATEMENTS[name]
    conn = await asyncpg.connect(servers.dsn(role))
    await conn.prepare(text)
    await conn.close()


@pytest.mark.postgres
@pytest.mark.parametrize("role", ["rr_timer", "rr_app", "rr_infer", "rr_admin"])
async def test_whoever_routes_reads_the_placement(servers: Settings, role: str) -> None:
    conn = await asyncpg.connect(servers.dsn(role))
    await conn.prepare(placement.READ)
    await conn.close()
