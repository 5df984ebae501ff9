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


async def named(conn: Connection, tenant_id: str, sop_uids: Sequence[str]) -> set[str]:
    """Return the paths of all that is stored of these instances, also of what is kept apart."""
    return {row["path"] for row in await conn.fetch(NAMED, tenant_id, list(sop_uids))}
