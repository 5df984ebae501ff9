"""Every statement of ingest is one that its role may prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from storage import callers, commitments, damage, ingest, performed, quiet, strays

if TYPE_CHECKING:
    from readingroom.settings import Settings

_STATEMENTS = {
    f"{module.__name__}.{name}": text
    for module in (callers, commitments, damage, ingest, performed, quiet, strays)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str)
}


@pytest.mark.postgres
@pytest.mark.parametrize("name", _STATEMENTS)
async def test_a_statement_can_be_prepared(servers: Settings, name: str) -> None:
    conn = await asyncpg.connect(servers.dsn("rr_ingest"))
    await conn.prepare(_STATEMENTS[name])
    await conn.close()
