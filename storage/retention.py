"""What is kept for a while only: answers a day, the feed a week (its readers then begin with a snapshot), deliveries a month.

Inputs of decisions and what a shadow decided are kept a quarter of a year, reading times half a year: so long
minutes are learned from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import letters

if TYPE_CHECKING:
    from storage.pool import Connection

DAYS = "SELECT rr.keep_feed()"
ANSWERS = "DELETE FROM rr.answer WHERE tenant_id = $1 AND at < now() - interval '24 hours'"
OUTBOX = """
DELETE FROM rr.outbox o
 WHERE o.tenant_id = $1 AND o.fanned_at < now() - interval '30 days'
   AND NOT EXISTS (SELECT 1 FROM rr.delivery d WHERE d.tenant_id = o.tenant_id AND d.outbox_id = o.outbox_id
                      AND (d.delivered_at IS NULL OR d.delivered_at > now() - interval '30 days'))
"""
DELIVERIES = """
DELETE FROM rr.delivery d
 WHERE d.tenant_id = $1 AND NOT EXISTS (SELECT 1 FROM rr.outbox o
    WHERE o.tenant_id = d.tenant_id AND o.outbox_id = d.outbox_id)
"""
DECISIONS = "DELETE FROM rr.decision WHERE tenant_id = $1 AND at < now() - interval '90 days'"
SHADOWS = "DELETE FROM rr.shadow_decision WHERE tenant_id = $1 AND at < now() - interval '90 days'"
READ_TIMES = "DELETE FROM rr.read_time WHERE tenant_id = $1 AND at < now() - interval '180 days'"


async def days(conn: Connection) -> list[str]:
    """Make the days of the feed that come, drop those a week old; return their names."""
    changed: list[str] = await conn.fetchval(DAYS)
    return changed


async def expire(conn: Connection, tenant_id: str) -> None:
    """Delete what has been kept long enough."""
    for statement in (ANSWERS, OUTBOX, DELIVERIES, DECISIONS, SHADOWS, READ_TIMES):
        await conn.execute(statement, tenant_id)
    await letters.expire(conn, tenant_id)
