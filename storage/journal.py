"""The journal: every event of every entity, append-only; ``storage.commit`` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.unit import Recorded

if TYPE_CHECKING:
    from storage.pool import Connection

READ = """
SELECT entity, version, type, body, at, by, idem
  FROM rr.journal
 WHERE tenant_id = $1 AND entity = $2 AND version > $3
 ORDER BY version
"""
LAST = """
SELECT version, body
  FROM rr.journal
 WHERE tenant_id = $1 AND entity = $2
 ORDER BY version DESC
 LIMIT 1
"""


async def read(conn: Connection, tenant_id: str, entity: str, after: int = 0) -> list[Recorded]:
    """Return the events of an entity after a version, oldest first, each as it was written."""
    rows = await conn.fetch(READ, tenant_id, entity, after)
    return [Recorded(**{**row, "body": msgspec.json.decode(row["body"])}) for row in rows]


async def last(conn: Connection, tenant_id: str, entity: str) -> tuple[int, dict[str, Any]]:
    """Return version and body of an entity's newest event; (0, {}) when it has none."""
    row = await conn.fetchrow(LAST, tenant_id, entity)
    return (0, {}) if row is None else (row["version"], msgspec.json.decode(row["body"]))
