"""People and what they are where: what a log-in reads (role rr_login)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

    from storage.pool import Connection

_BY_EMAIL = """
SELECT user_id, email, name, password_hash, totp_secret, operator
  FROM rr.person WHERE email = lower($1) AND active
"""

_BY_ID = "SELECT user_id, email, name, operator FROM rr.person WHERE user_id = $1 AND active"

_MEMBERSHIPS = """
SELECT m.tenant_id, t.name, m.role
  FROM rr.membership m JOIN rr.tenant t USING (tenant_id)
 WHERE m.user_id = $1 AND m.active
 ORDER BY t.name
"""

# Tenant-wide roles have every site; the others those of their membership.
_SITES = """
SELECT site_id AS id, name FROM rr.site
 WHERE tenant_id = $1 AND ($2::text[] IS NULL OR site_id = ANY($2))
 ORDER BY name
"""


async def by_email(conn: Connection, email: str) -> asyncpg.Record | None:
    """Return the active person of an e-mail address, with her secrets."""
    return await conn.fetchrow(_BY_EMAIL, email.strip())


async def by_id(conn: Connection, user_id: str) -> asyncpg.Record | None:
    """Return an active person."""
    return await conn.fetchrow(_BY_ID, user_id)


async def memberships(conn: Connection, user_id: str) -> list[dict[str, str]]:
    """Return ``{tenant_id, name, role}`` of each group the person belongs to now."""
    return [dict(r) for r in await conn.fetch(_MEMBERSHIPS, user_id)]


async def sites(conn: Connection, tenant_id: str, only: list[str] | None) -> list[dict[str, str]]:
    """Return ``{id, name}`` of the tenant's sites, or of ``only`` those."""
    return [dict(r) for r in await conn.fetch(_SITES, tenant_id, only)]
