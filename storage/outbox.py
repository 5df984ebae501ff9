"""Signed reports under way: one row a message and receiver, taken with a lease (role rr_delivery)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.instant import instant

if TYPE_CHECKING:
    from storage.pool import Connection, Database

FAN_OUT = """
INSERT INTO rr.delivery (tenant_id, outbox_id, webhook_id, study_uid, seq)
SELECT o.tenant_id, o.outbox_id, w.webhook_id, o.study_uid, o.seq
  FROM rr.outbox o
  JOIN rr.webhook w ON w.tenant_id = o.tenant_id AND (w.site_id IS NULL OR w.site_id = o.site_id)
 WHERE o.at > now() - interval '1 day'
   AND NOT EXISTS (SELECT 1 FROM rr.delivery d WHERE d.tenant_id = o.tenant_id AND d.outbox_id = o.outbox_id
                      AND d.webhook_id = w.webhook_id)
ON CONFLICT DO NOTHING
"""
CLAIM = """
WITH due AS (
  SELECT d.tenant_id, d.outbox_id, d.webhook_id FROM rr.delivery d
   WHERE d.delivered_at IS NULL AND d.next_at <= now()
     AND NOT EXISTS (SELECT 1 FROM rr.delivery e WHERE e.tenant_id = d.tenant_id AND e.webhook_id = d.webhook_id
                        AND e.study_uid = d.study_uid AND e.seq < d.seq AND e.delivered_at IS NULL)
   ORDER BY d.next_at LIMIT 20 FOR UPDATE SKIP LOCKED)
UPDATE rr.delivery d SET next_at = now() + interval '30 s', attempts = attempts + 1
  FROM due JOIN rr.outbox o ON o.tenant_id = due.tenant_id AND o.outbox_id = due.outbox_id
  JOIN rr.webhook w ON w.tenant_id = due.tenant_id AND w.webhook_id = due.webhook_id
 WHERE d.tenant_id = due.tenant_id AND d.outbox_id = due.outbox_id AND d.webhook_id = due.webhook_id
RETURNING d.tenant_id, d.outbox_id, d.webhook_id, d.attempts, o.type, o.report_id, o.version, o.at, w.url, w.secret
"""
REPORT = """
SELECT r.report_id, r.study_uid, v.status, v.version, v.sections, r.signed_by, r.signed_at, r.addenda
  FROM rr.report r
  JOIN rr.report_version v ON v.tenant_id = r.tenant_id AND v.report_id = r.report_id AND v.version = $3
 WHERE r.tenant_id = $1 AND r.report_id = $2
"""
DONE = """
UPDATE rr.delivery SET delivered_at = now(), last_error = NULL
 WHERE tenant_id = $1 AND outbox_id = $2 AND webhook_id = $3
"""
AGAIN = """
UPDATE rr.delivery SET next_at = now() + $4 * interval '1 s', last_error = $5
 WHERE tenant_id = $1 AND outbox_id = $2 AND webhook_id = $3 AND delivered_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One report for one receiver, taken for half a minute."""

    tenant_id: str
    outbox_id: str
    webhook_id: str
    attempts: int
    type: str
    at: str
    url: str
    secret: str
    report: dict[str, Any]


async def take(db: Database) -> list[Message]:
    """Fan out what is new and return what is due; a later report of a study waits for the earlier."""
    async with db.scope() as conn:
        await conn.execute(FAN_OUT)
        rows = await conn.fetch(CLAIM)
    return [await _message(db, row) for row in rows]


async def _message(db: Database, row: Any) -> Message:
    async with db.scope([row["tenant_id"]]) as conn:
        report: Any = await conn.fetchrow(REPORT, row["tenant_id"], row["report_id"], row["version"])
    shown = {
        "report_id": report["report_id"],
        "study_uid": report["study_uid"],
        "status": report["status"],
        "version": report["version"],
        "sections": msgspec.json.decode(report["sections"]),
        "signed_by": report["signed_by"],
        "signed_at": instant(report["signed_at"]),
        "addenda": msgspec.json.decode(report["addenda"]),
    }
    place = (row["tenant_id"], row["outbox_id"], row["webhook_id"], row["attempts"])
    return Message(*place, row["type"], instant(row["at"]), row["url"], row["secret"], shown)


async def done(conn: Connection, message: Message) -> None:
    """The receiver has it."""
    await conn.execute(DONE, message.tenant_id, message.outbox_id, message.webhook_id)


async def again(conn: Connection, message: Message, wait_s: float, error: str) -> None:
    """Try once more later."""
    await conn.execute(AGAIN, message.tenant_id, message.outbox_id, message.webhook_id, wait_s, error)
