"""What an order names: its site, its study, the physician who asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

    from storage.pool import Connection

_SITES = "SELECT site_id, name, issuer FROM rr.site WHERE tenant_id = $1 ORDER BY site_id"

_STUDY = """
SELECT study_uid FROM rr.orders
 WHERE tenant_id = $1 AND site_id = $2 AND accession_number = $3
"""

# She belongs to the site, or she would not see the report she asked for.
_REFERRING = """
SELECT m.user_id FROM rr.membership m JOIN rr.person p USING (user_id)
 WHERE m.tenant_id = $1 AND m.role = 'referring_physician' AND m.active AND p.active
   AND $2 = ANY(m.sites) AND (m.user_id = $3 OR p.email = lower($3))
"""

_MEMBER = "SELECT true FROM rr.membership WHERE tenant_id = $1 AND user_id = $2 AND active"


async def sites(conn: Connection, tenant_id: str) -> list[asyncpg.Record]:
    """Return ``site_id, name, issuer`` of the sites in view."""
    return list(await conn.fetch(_SITES, tenant_id))


async def study_of(conn: Connection, tenant_id: str, site_id: str, accession_number: str) -> str | None:
    """Return the study that an order belongs to now, None when there is no such order in view."""
    study_uid: str | None = await conn.fetchval(_STUDY, tenant_id, site_id, accession_number)
    return study_uid


async def referring(conn: Connection, tenant_id: str, site_id: str, named: str) -> str | None:
    """Return the user id of a referring physician of the site, named by id or e-mail address."""
    user_id: str | None = await conn.fetchval(_REFERRING, tenant_id, site_id, named)
    return user_id


async def is_member(conn: Connection, tenant_id: str, user_id: str) -> bool:
    """Return whether somebody belongs to the group now."""
    return bool(await conn.fetchval(_MEMBER, tenant_id, user_id))
