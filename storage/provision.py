"""What administrators set up: tenants, sites, people, AE titles, tokens, webhooks (role rr_admin). Each call is idempotent."""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from uuid_utils import uuid7

from actors.domain.errors import BadPayload, NotFound
from actors.domain.words import SITE_BOUND, Role, spelled
from storage.credentials import digest, hash_password, new_token

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from storage.pool import Connection

_TENANT = "SELECT tenant_id FROM rr.tenant WHERE tenant_id = $1 OR name = $1"
_SITE = "SELECT site_id FROM rr.site WHERE tenant_id = $1 AND (site_id = $2 OR name = $2)"
_ADD_TENANT = "INSERT INTO rr.tenant (tenant_id, name, time_zone) VALUES ($1, $2, $3)"
_ADD_SITE = "INSERT INTO rr.site (tenant_id, site_id, name, jurisdiction, issuer) VALUES ($1, $2, $3, $4, $5)"
_PERSON = "SELECT user_id FROM rr.person WHERE email = $1"
_ADD_PERSON = "INSERT INTO rr.person (user_id, email, name, password_hash, operator) VALUES ($1, $2, $3, $4, $5)"
_ADD_MEMBER = """
INSERT INTO rr.membership (tenant_id, user_id, role, sites, licences, subspecialties, modalities, capacity)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, sites = excluded.sites, active = true
"""
_CALLERS = "SELECT tenant_id, site_id, aet, called_aet, source::text AS source, host, port FROM rr.ae WHERE aet = $1"
_ADD_AE = """
INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, called_aet, source, host, port)
VALUES ($1, $2, $3, $4, $5, $6::text::cidr, $7, $8)
"""
_ADD_CREDENTIAL = """
INSERT INTO rr.token (token_hash, kind, family, user_id, tenant_id, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 hour')
"""
_MEMBERSHIPS = (
    "SELECT m.tenant_id FROM rr.membership m JOIN rr.person p USING (user_id) WHERE p.email = $1 AND m.active"
)
_REVOKE = "UPDATE rr.token SET revoked_at = now() WHERE token_hash = $1 RETURNING family"
_ADD_HOOK = "INSERT INTO rr.webhook (tenant_id, webhook_id, site_id, url, secret) VALUES ($1, $2, $3, $4, $5)"
_ADD_SHIFT = (
    "INSERT INTO rr.shift (tenant_id, user_id, starts_at, ends_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
)
_ADD_POLICY = """
INSERT INTO rr.policy (tenant_id, version, body)
SELECT $1, coalesce(max(version), 0) + 1, $2 FROM rr.policy WHERE tenant_id = $1
"""
_AUDIT = "INSERT INTO rr.access (tenant_id, act, subject) VALUES ($1, $2, $3)"
COUNTS = """
SELECT (SELECT count(*) FROM rr.study WHERE open) AS studies_open,
       (SELECT count(*) FROM rr.inference_job WHERE status = 'queued') AS queued,
       (SELECT count(*) FROM rr.inference_job WHERE status = 'running') AS running,
       (SELECT count(*) FROM rr.inference_job WHERE status = 'parked') AS parked
"""


@dataclass(frozen=True, slots=True)
class Skills:
    """What a reader may read; empty demands nothing of her."""

    licences: Sequence[str] = ()
    subspecialties: Sequence[str] = ()
    modalities: Sequence[str] = ()
    capacity: int | None = None


def slug(name: str) -> str:
    """Return an id made from a name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48] or secrets.token_hex(4)


async def _done(conn: Connection, tenant_id: str, act: str, subject: str) -> None:
    await conn.execute(_AUDIT, tenant_id, act, subject)


async def find_tenant(conn: Connection, named: str) -> str:
    """Return a tenant's id by id or name.

    Raises:
        NotFound
    """
    found: str | None = await conn.fetchval(_TENANT, named)
    if found is None:
        raise NotFound(f"There is no tenant {named!r}.", {"field": "tenant"})
    return found


async def find_site(conn: Connection, tenant_id: str, named: str) -> str:
    """Return a site's id by id or name.

    Raises:
        NotFound
    """
    found: str | None = await conn.fetchval(_SITE, tenant_id, named)
    if found is None:
        raise NotFound(f"The tenant has no site {named!r}.", {"field": "site"})
    return found


async def add_tenant(conn: Connection, name: str, time_zone: str = "UTC") -> str:
    """Return the tenant's id; it gets the site ``main``."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise BadPayload(f"{time_zone!r} is no time zone, e.g. Europe/Madrid.", {"field": "time-zone"}) from None
    known: str | None = await conn.fetchval(_TENANT, name)
    if known is not None:
        return known
    tenant_id = slug(name)
    await conn.execute(_ADD_TENANT, tenant_id, name, time_zone)
    await add_site(conn, tenant_id, "main")
    await _done(conn, tenant_id, "tenant_added", tenant_id)
    return tenant_id


async def add_site(conn: Connection, tenant_id: str, name: str, jurisdiction: str | None = None) -> str:
    """Return the site's id."""
    known: str | None = await conn.fetchval(_SITE, tenant_id, name)
    if known is not None:
        return known
    site_id = slug(name)
    await conn.execute(_ADD_SITE, tenant_id, site_id, name, jurisdiction, f"{tenant_id}.{site_id}")
    await _done(conn, tenant_id, "site_added", site_id)
    return site_id


async def add_user(  # noqa: PLR0913 - a person
    conn: Connection,
    tenant_id: str | None,
    role: str,
    email: str,
    *,
    name: str = "",
    password: str | None = None,
    sites: Sequence[str] = (),
    skills: Skills | None = None,
) -> tuple[str, str | None]:
    """Return the user's id, and the password when one was made up.

    Raises:
        BadPayload: no such role, or a site-bound role without a site.
    """
    role = spelled(role)
    if role not in {r.value for r in Role}:
        raise BadPayload(f"role is one of {', '.join(r.value for r in Role)}.", {"field": "role"})
    if tenant_id is None and role != Role.OPERATOR:
        raise BadPayload("Name the tenant.", {"field": "tenant"})
    if "@" not in email:
        raise BadPayload("That is no e-mail address.", {"field": "email"})
    user_id: str | None = await conn.fetchval(_PERSON, email.lower())
    made = None
    if user_id is None:
        made = None if password else secrets.token_urlsafe(12)
        user_id = str(uuid7())
        hashed = hash_password(password or made or "")
        await conn.execute(_ADD_PERSON, user_id, email.lower(), name or email, hashed, role == Role.OPERATOR)
    if tenant_id is not None and role != Role.OPERATOR:
        bound = list(sites) if sites or role not in SITE_BOUND else ["main"]
        s = skills or Skills()
        await conn.execute(
            _ADD_MEMBER, tenant_id, user_id, role, bound, list(s.licences), list(s.subspecialties),
            list(s.modalities), s.capacity,
        )  # fmt: skip
        await _done(conn, tenant_id, "user_added", user_id)
    return user_id, made


def _overlap(a: Any, aet: str, called: str | None, source: str | None) -> bool:
    same_called = a["called_aet"] is None or called is None or a["called_aet"] == called
    if a["aet"] != aet or not same_called:
        return False
    if a["source"] is None or source is None:
        return True
    one, other = ip_network(a["source"]), ip_network(source)
    return one.version == other.version and one.overlaps(other)


async def add_ae(  # noqa: PLR0913, PLR0917 - a caller
    conn: Connection,
    tenant_id: str,
    site_id: str,
    aet: str,
    host: str,
    port: int,
    *,
    called: str | None = None,
    source: str | None = None,
) -> str:
    """Return the AE's id.

    Raises:
        BadPayload: two sites could claim the same caller.
    """
    try:
        source = str(ip_network(source)) if source else None
    except ValueError:
        raise BadPayload(f"{source!r} is no address range, e.g. 10.1.0.0/16.", {"field": "from"}) from None
    for known in await conn.fetch(_CALLERS, aet):
        if _overlap(known, aet, called, source):
            if (known["tenant_id"], known["site_id"]) == (tenant_id, site_id):
                return aet
            raise BadPayload(
                f"{aet} could be two sites' caller. Tell them apart by --called or --from.", {"field": "aet"}
            )
    ae_id = str(uuid7())
    await conn.execute(_ADD_AE, tenant_id, site_id, ae_id, aet, called, source, host, port)
    await _done(conn, tenant_id, "ae_added", aet)
    return ae_id


async def add_token(conn: Connection, email: str, tenant: str | None, hours: float) -> str:
    """Return an API token of a person.

    Raises:
        NotFound: no such person or membership.
        BadPayload: several groups and none named.
    """
    user_id: str | None = await conn.fetchval(_PERSON, email.lower())
    if user_id is None:
        raise NotFound(f"There is nobody with the address {email}.", {"field": "user"})
    groups = [r["tenant_id"] for r in await conn.fetch(_MEMBERSHIPS, email.lower())]
    if tenant is not None:
        groups = [g for g in groups if g == await find_tenant(conn, tenant)]
        if not groups:
            raise NotFound("She does not belong to that tenant.", {"field": "tenant"})
    if len(groups) > 1:
        raise BadPayload("She belongs to several tenants: name one.", {"field": "tenant"})
    return await _token(conn, "api", user_id, groups[0] if groups else None, hours)


async def add_wall(conn: Connection, tenant_id: str, hours: float) -> str:
    """Return a read-only token for a screen on a wall."""
    return await _token(conn, "wall", None, tenant_id, hours)


async def _token(conn: Connection, kind: str, user_id: str | None, tenant_id: str | None, hours: float) -> str:
    token = new_token()
    await conn.execute(_ADD_CREDENTIAL, digest(token), kind, str(uuid7()), user_id, tenant_id, hours)
    if tenant_id is not None:
        await _done(conn, tenant_id, "token_added", user_id or "wall")
    return token


async def revoke_token(conn: Connection, token: str) -> str:
    """End a token and return its family.

    Raises:
        NotFound
    """
    family: str | None = await conn.fetchval(_REVOKE, digest(token))
    if family is None:
        raise NotFound("There is no such token.", {"field": "token"})
    return family


async def add_webhook(
    conn: Connection, tenant_id: str, url: str, site_id: str | None, secret: str | None
) -> tuple[str, str]:
    """Return the webhook's id and the secret its messages are signed with.

    Raises:
        BadPayload: no http address.
    """
    if not re.match(r"https?://[^\s/]+", url):
        raise BadPayload("url begins with https:// or http://.", {"field": "url"})
    webhook_id, key = str(uuid7()), secret or secrets.token_urlsafe(32)
    await conn.execute(_ADD_HOOK, tenant_id, webhook_id, site_id, url, key)
    await _done(conn, tenant_id, "webhook_added", webhook_id)
    return webhook_id, key


async def add_shift(conn: Connection, tenant_id: str, user_id: str, starts_at: datetime, ends_at: datetime) -> None:
    """Put a reader on the roster."""
    await conn.execute(_ADD_SHIFT, tenant_id, user_id, starts_at, ends_at)


async def set_policy(conn: Connection, tenant_id: str, body: dict[str, Any]) -> None:
    """Set the tenant's policy from now on."""
    await conn.execute(_ADD_POLICY, tenant_id, msgspec.json.encode(body).decode())
    await _done(conn, tenant_id, "policy_set", "")


async def counts(conn: Connection) -> dict[str, int]:
    """Return what ``status`` counts over all tenants."""
    return dict(await conn.fetchrow(COUNTS) or {})
