"""Policies: each change is a new version, the newest holds for later studies and offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from actors.domain.errors import Retry
from actors.domain.policy import policy

if TYPE_CHECKING:
    from storage.pool import Connection

_READ = "SELECT body FROM rr.policy WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1"

_WRITE = """
INSERT INTO rr.policy (tenant_id, version, body, by)
SELECT $1, coalesce(max(version), 0) + 1, $2::jsonb, $3 FROM rr.policy WHERE tenant_id = $1
RETURNING version
"""


async def read(conn: Connection, tenant_id: str) -> dict[str, Any]:
    """Return the tenant's policy; the defaults when it never set one."""
    body = await conn.fetchval(_READ, tenant_id)
    return policy(msgspec.json.decode(body) if body else {}).body()


async def write(conn: Connection, tenant_id: str, body: dict[str, Any], by: str | None) -> int:
    """Set the policy; return its version.

    Raises:
        Retry: somebody else set it in the same instant.
    """
    try:
        version: int = await conn.fetchval(_WRITE, tenant_id, msgspec.json.encode(body).decode(), by)
    except asyncpg.UniqueViolationError:
        raise Retry from None
    return version
