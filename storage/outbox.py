"""Signed reports under way: one row a message and receiver, taken with a lease (role rr_delivery)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.instant import instant
from storage.second_reads import READINGS, signatures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.pool import Database

LEASE_S = 30
A_RECEIVER = 4  # messages taken for one receiver at a time, so that a dead one does not fill every place

FAN_OUT = """
WITH fresh AS (
  SELECT tenant_id, outbox_id FROM rr.outbox WHERE fanned_at IS NULL ORDER BY seq LIMIT 500 FOR UPDATE SKIP LOCKED),
told AS (
  UPDATE rr.outbox o SET fanned_at = now() FROM fresh
   WHERE o.tenant_id = fresh.tenant_id AND o.outbox_id = fresh.outbox_id
  RETURNING o.tenant_id, o.outbox_id, o.study_uid, o.site_id, o.seq)
INSERT INTO rr.delivery (tenant_id, outbox_id, webhook_id, study_uid, seq)
SELECT told.tenant_id, told.outbox_id, w.webhook_id, told.study_uid, told.seq
  FROM told JOIN rr.webhook w ON w.tenant_id = told.tenant_id AND (w.site_id IS NULL OR w.site_id = told.site_id)
ON CONFLICT DO NOTHING
"""
# A later message of a study waits for the earlier one to the same receiver. The lease is `next_at`:
# who dies with a message in hand gives it back when that comes.
CLAIM = """
WITH due AS (
  SELECT d.tenant_id, d.outbox_id, w.webhook_id, w.url, w.secret
    FROM rr.webhook w CROSS JOIN LATERAL (
      SELECT d.tenant_id, d.outbox_id, d.next_at FROM rr.delivery d
       WHERE d.tenant_id = w.tenant_id AND d.webhook_id = w.webhook_id AND d.delivered_at IS NULL AND d.next_at <= now()
         AND NOT EXISTS (SELECT 1 FROM rr.delivery e WHERE e.tenant_id = d.tenant_id AND e.webhook_id = d.webhook_id
                            AND e.study_uid = d.study_uid AND e.seq < d.seq AND e.delivered_at IS NULL)
       ORDER BY d.next_at, d.seq LIMIT $3 FOR UPDATE SKIP LOCKED) d
   WHERE w.tenant_id || '/' || w.webhook_id <> ALL ($1::text[])
   ORDER BY d.next_at LIMIT $2)
UPDATE rr.delivery d SET next_at = now() + make_interval(secs => $4), attempts = attempts + 1
  FROM due JOIN rr.outbox o ON o.tenant_id = due.tenant_id AND o.outbox_id = due.outbox_id
 WHERE d.tenant_id = due.tenant_id AND d.outbox_id = due.outbox_id AND d.webhook_id = due.webhook_id
RETURNING d.tenant_id, d.outbox_id, d.webhook_id, d.attempts, d.study_uid, o.type, o.report_id, o.version, o.at,
  due.url, due.secret
"""
REPORT = f"""
SELECT v.status, v.sections, v.by, v.at, r.signed_by, r.signed_at, r.addenda, {READINGS} AS readings
  FROM rr.report r
  JOIN rr.report_version v ON v.tenant_id = r.tenant_id AND v.report_id = r.report_id AND v.version = $3
 WHERE r.tenant_id = $1 AND r.report_id = $2
"""  # noqa: S608 - constants only
# Only who still holds the lease may say how it went; that it was taken is true whoever says it.
DONE = """
UPDATE rr.delivery SET delivered_at = now(), last_error = NULL
 WHERE tenant_id = $1 AND outbox_id = $2 AND webhook_id = $3 AND delivered_at IS NULL
"""
AGAIN = """
UPDATE rr.delivery SET next_at = now() + make_interval(secs => $5), last_error = $6
 WHERE tenant_id = $1 AND outbox_id = $2 AND webhook_id = $3 AND attempts = $4 AND delivered_at IS NULL
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

    @property
    def receiver(self) -> str:
        """The receiver among those of all tenants."""
        return f"{self.tenant_id}/{self.webhook_id}"


async def take(db: Database, room: int, busy: Sequence[str] = ()) -> list[Message]:
    """Fan out what is new and return at most ``room`` messages that are due, none for ``busy`` receivers."""
    async with db.scope() as conn:
        await conn.execute(FAN_OUT)
        rows = await conn.fetch(CLAIM, list(busy), room, A_RECEIVER, float(LEASE_S))
    messages = [await _message(db, row) for row in rows]
    return [message for message in messages if message is not None]


async def _message(db: Database, row: Any) -> Message | None:
    """Return the message with its report; one whose report is gone is left to wait for its lease."""
    async with db.scope([row["tenant_id"]]) as conn:
        found = await conn.fetchrow(REPORT, row["tenant_id"], row["report_id"], row["version"])
    if found is None:
        return None
    place = (row["tenant_id"], row["outbox_id"], row["webhook_id"], row["attempts"])
    return Message(*place, row["type"], instant(row["at"]), row["url"], row["secret"], _report(row, found))


def _report(row: Any, found: Any) -> dict[str, Any]:
    """Return the report as it stood at the message's version, however late it is sent."""
    addendum = row["type"] == "report_addendum"
    at = instant(found["at"])
    signed = {
        "report_id": row["report_id"],
        "status": found["status"],
        "signed_by": found["signed_by"] if addendum else found["by"],
        "signed_at": found["signed_at"] if addendum else found["at"],
    }
    return {
        **signed,
        "study_uid": row["study_uid"],
        "version": row["version"],
        "sections": msgspec.json.decode(found["sections"]),
        "signed_at": instant(signed["signed_at"]),
        "addenda": [one for one in msgspec.json.decode(found["addenda"]) if one["at"] <= at],
        "signatures": [one for one in signatures(signed | {"readings": found["readings"]}) if one["at"] <= at],
    }


async def done(db: Database, message: Message) -> None:
    """The receiver has it."""
    async with db.scope([message.tenant_id]) as conn:
        await conn.execute(DONE, message.tenant_id, message.outbox_id, message.webhook_id)


async def again(db: Database, message: Message, wait_s: float, error: str) -> None:
    """Try once more later; the error is a class or a status, never what the receiver said."""
    async with db.scope([message.tenant_id]) as conn:
        await conn.execute(
            AGAIN, message.tenant_id, message.outbox_id, message.webhook_id, message.attempts, wait_s, error
        )
