"""Durable idempotency: what a command answered, kept for a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.pool import Connection

FIND = "SELECT digest, answer FROM rr.answer WHERE tenant_id = $1 AND user_id = $2 AND idem = $3"

KNOWN = "SELECT idem FROM rr.answer WHERE tenant_id = $1 AND user_id = $2 AND idem = ANY($3::text[])"


async def known(conn: Connection, tenant_id: str, user_id: str, idems: Iterable[str]) -> set[str]:
    """Return which of these keys have been answered."""
    return {r["idem"] for r in await conn.fetch(KNOWN, tenant_id, user_id, list(idems))}


async def find(conn: Connection, tenant_id: str, user_id: str, idem: str) -> tuple[bytes, dict[str, Any]] | None:
    """Return the digest of the command that used this key, and its answer; None when the key is new."""
    row = await conn.fetchrow(FIND, tenant_id, user_id, idem)
    return None if row is None else (row["digest"], msgspec.json.decode(row["answer"]))
