"""Credentials: every one is opaque, only its SHA-256 is here, one family is one login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.credentials import digest, new_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

    from storage.pool import Connection

_ISSUE = """
INSERT INTO rr.token (token_hash, kind, family, user_id, tenant_id, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
"""

# A membership that ended, or a person who was deactivated, ends her credentials at the next look.
_WHO = """
SELECT t.kind, t.family, t.expires_at, t.created_at, t.user_id, coalesce(t.tenant_id, '') AS tenant_id,
       p.email, p.name, p.operator, m.role, m.sites
  FROM rr.token t
  LEFT JOIN rr.person p ON p.user_id = t.user_id AND p.active
  LEFT JOIN rr.membership m ON m.tenant_id = t.tenant_id AND m.user_id = t.user_id AND m.active
 WHERE t.revoked_at IS NULL AND t.expires_at > now()
   AND CASE WHEN t.kind = 'wall' THEN true
            WHEN t.tenant_id IS NULL THEN p.operator
            ELSE p.user_id IS NOT NULL AND m.role IS NOT NULL END
"""
_BY_TOKEN = _WHO + " AND t.token_hash = $1 AND t.kind IN ('access', 'api', 'wall')"
_BY_FAMILY = (
    _WHO
    + """ AND t.family = $1 AND t.kind IN ('access', 'api', 'wall')
 ORDER BY t.expires_at DESC LIMIT 1"""
)

_BY_FAMILIES = (
    _WHO.replace("SELECT", "SELECT DISTINCT ON (t.family)", 1)
    + """
   AND t.family = ANY($1) AND t.kind IN ('access', 'api', 'wall')
 ORDER BY t.family, t.expires_at DESC"""
)

_SLIDE = """
UPDATE rr.token
   SET expires_at = least(now() + make_interval(secs => $2), created_at + make_interval(secs => $3))
 WHERE token_hash = $1 AND revoked_at IS NULL
"""

_USE = """
UPDATE rr.token SET used_at = now()
 WHERE token_hash = $1 AND kind = $2 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
RETURNING family, user_id, tenant_id
"""

_REUSED = "SELECT family FROM rr.token WHERE token_hash = $1 AND kind = $2 AND used_at IS NOT NULL"

_REVOKE_FAMILY = "UPDATE rr.token SET revoked_at = now() WHERE family = $1 AND revoked_at IS NULL"

_REVOKE_BY_HASH = """
UPDATE rr.token SET revoked_at = coalesce(revoked_at, now())
 WHERE family = (SELECT family FROM rr.token WHERE token_hash = $1)
RETURNING family, user_id, tenant_id
"""

_REVOKE_PERSON = """
UPDATE rr.token SET revoked_at = now()
 WHERE user_id = $1 AND ($2::text IS NULL OR tenant_id = $2) AND revoked_at IS NULL
"""

_PURGE = "DELETE FROM rr.token WHERE expires_at < now() - interval '1 day'"


@dataclass(frozen=True, slots=True)
class Login:
    """Whose credentials these are; an operator has no tenant, a wall no person."""

    family: str
    user_id: str | None
    tenant_id: str | None


async def issue(conn: Connection, kind: str, login: Login, seconds: float) -> str:
    """Store a new credential and return it; it is never seen again."""
    token = new_token()
    await conn.execute(_ISSUE, digest(token), kind, login.family, login.user_id, login.tenant_id, seconds)
    return token


async def by_token(conn: Connection, token: str) -> asyncpg.Record | None:
    """Return who holds this access, API or wall token now, or None."""
    return await conn.fetchrow(_BY_TOKEN, digest(token))


async def by_family(conn: Connection, family: str) -> asyncpg.Record | None:
    """Return who holds this login now and until when, or None when it has ended."""
    return await conn.fetchrow(_BY_FAMILY, family)


async def by_families(conn: Connection, families: Iterable[str]) -> list[asyncpg.Record]:
    """Return :func:`by_family` of each log-in that has not ended."""
    return await conn.fetch(_BY_FAMILIES, list(families))


async def slide(conn: Connection, token: str, seconds: float, at_most: float) -> None:
    """Move a token's end to ``seconds`` from now, at most ``at_most`` after it was issued."""
    await conn.execute(_SLIDE, digest(token), seconds, at_most)


async def use(conn: Connection, kind: str, token: str) -> Login | None:
    """Spend a single-use credential; None when it is unknown, spent, revoked or over."""
    row = await conn.fetchrow(_USE, digest(token), kind)
    return None if row is None else Login(row["family"], row["user_id"], row["tenant_id"])


async def reused(conn: Connection, kind: str, token: str) -> str | None:
    """Return the family of a credential that was already spent, else None."""
    family: str | None = await conn.fetchval(_REUSED, digest(token), kind)
    return family


async def revoke_family(conn: Connection, family: str) -> None:
    """End a login with everything issued from it."""
    await conn.execute(_REVOKE_FAMILY, family)


async def revoke_token(conn: Connection, token: str) -> Login | None:
    """End the login that a token belongs to; return it, or None when there is none."""
    row = await conn.fetchrow(_REVOKE_BY_HASH, digest(token))
    return None if row is None else Login(row["family"], row["user_id"], row["tenant_id"])


async def revoke_person(conn: Connection, user_id: str, tenant_id: str | None = None) -> None:
    """End every login of a person, or those within one tenant."""
    await conn.execute(_REVOKE_PERSON, user_id, tenant_id)


async def purge(conn: Connection) -> None:
    """Forget credentials that ended more than a day ago."""
    await conn.execute(_PURGE)
