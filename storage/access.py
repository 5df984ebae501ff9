"""Audited acts that are not events: log-ins, study openings, changes by administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.pool import Connection

_RECORD = "INSERT INTO rr.access (tenant_id, user_id, act, subject) VALUES ($1, $2, $3, $4)"


async def record(conn: Connection, tenant_id: str, user_id: str | None, act: str, subject: str = "") -> None:
    """Record who did what to what; ``subject`` is an id, never a name."""
    await conn.execute(_RECORD, tenant_id, user_id, act, subject)
