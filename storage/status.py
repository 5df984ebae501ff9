"""What ``readingroom admin status`` counts over all tenants (role rr_admin)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import jobs

if TYPE_CHECKING:
    from storage.pool import Connection

OPEN = "SELECT count(*) FROM rr.study WHERE open"


async def counts(conn: Connection) -> dict[str, int]:
    """Return how many studies are open, and how many jobs are queued, running and parked."""
    return {"studies_open": int(await conn.fetchval(OPEN))} | await jobs.counts(conn)
