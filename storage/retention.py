"""What is kept for a while only: answers a day, the feed a week, whose readers then begin with a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.pool import Connection

# The newest event of a tenant stays, so that positions are seen to go on.
FEED = """
DELETE FROM rr.feed f
 WHERE f.tenant_id = $1 AND f.at < now() - interval '7 days'
   AND f.pos < (SELECT pos FROM rr.tenant_head h WHERE h.tenant_id = $1)
"""
ANSWERS = "DELETE FROM rr.answer WHERE tenant_id = $1 AND at < now() - interval '24 hours'"


async def expire(conn: Connection, tenant_id: str) -> None:
    """Delete what has been kept long enough."""
    await conn.execute(FEED, tenant_id)
    await conn.execute(ANSWERS, tenant_id)
