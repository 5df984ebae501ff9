"""Which stored files rows refer to (role rr_ingest)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.pool import Connection

NAMED = """
SELECT path FROM rr.instance WHERE tenant_id = $1 AND sop_uid = ANY($2::text[])
UNION ALL
SELECT path FROM rr.kept_apart WHERE tenant_id = $1 AND sop_uid = ANY($2::text[])
"""
# Copies under way are nobody's yet, and what was copied is kept for a while (storage.tiering).
MOVING = "SELECT move_id, old_paths FROM rr.tier_move WHERE tenant_id = $1"


async def moving(conn: Connection, tenant_id: str) -> tuple[set[str], set[str]]:
    """Return the moves between tiers that are under way, and what they leave behind for a while."""
    rows = await conn.fetch(MOVING, tenant_id)
    return {row["move_id"] for row in rows}, {path for row in rows for path in row["old_paths"]}


async def named(conn: Connection, tenant_id: str, sop_uids: Sequence[str]) -> set[str]:
    """Return the paths of all that is stored of these instances, also of what is kept apart."""
    return {row["path"] for row in await conn.fetch(NAMED, tenant_id, list(sop_uids))}
