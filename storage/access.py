"""Audited acts that are not events: log-ins, study openings, changes by administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from storage.pool import Connection

_RECORD = "INSERT INTO rr.access (tenant_id, user_id, act, subject) VALUES ($1, $2, $3, $4)"
CHANGED = "INSERT INTO rr.access (tenant_id, user_id, act, subject, change) VALUES ($1, $2, $3, $4, $5::jsonb)"
_UNTOLD = frozenset({"name", "email", "role", "reason"})  # who somebody is, and why she is away, is nobody's here


async def record(conn: Connection, tenant_id: str, user_id: str | None, act: str, subject: str = "") -> None:
    """Record who did what to what; ``subject`` is an id, never a name."""
    await conn.execute(_RECORD, tenant_id, user_id, act, subject)


async def changed(  # noqa: PLR0913, PLR0917 - a row
    conn: Connection, tenant_id: str, user_id: str | None, act: str, subject: str, before: Any, after: Any
) -> None:
    """Record who changed what, as it was and as it is now, as REST shows both; None where there was or is nothing."""
    change = msgspec.json.encode({"before": _told(before), "after": _told(after)}).decode()
    await conn.execute(CHANGED, tenant_id, user_id, act, subject, change)


def _told(shown: Any) -> Any:
    return {k: v for k, v in shown.items() if k not in _UNTOLD} if isinstance(shown, dict) else shown
