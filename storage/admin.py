"""Groups, sites and people as an administrator sets them (role rr_admin). Each change is audited.

Everything may be said twice: the second time changes what differs and answers the same id.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uuid_utils import uuid7

from actors.domain.errors import BadPayload, NotFound
from actors.domain.profile import USUAL, Profile, profile
from actors.domain.roster import zone
from actors.domain.words import SITE_BOUND, Role
from storage import access, readers
from storage.credentials import hash_password, new_token

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from storage.pool import Connection

PLATFORM = "*"  # audits what belongs to no group
MAIN = "main"

_TENANT = "SELECT tenant_id FROM rr.tenant WHERE tenant_id = $1 OR name = $1 ORDER BY tenant_id <> $1 LIMIT 1"
_TENANT_NAMED = "SELECT tenant_id FROM rr.tenant WHERE name = $1"
_TENANT_FREE = "SELECT NOT EXISTS (SELECT 1 FROM rr.tenant WHERE tenant_id = $1)"
_TENANT_ADD = "INSERT INTO rr.tenant (tenant_id, name, time_zone) VALUES ($1, $2, $3)"
_TENANT_HEAD = "INSERT INTO rr.tenant_head (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING"
_TENANT_ZONE = "UPDATE rr.tenant SET time_zone = $2 WHERE tenant_id = $1"

_SITE = """
SELECT site_id FROM rr.site WHERE tenant_id = $1 AND (site_id = $2 OR name = $2) ORDER BY site_id <> $2 LIMIT 1
"""
_SITE_NAMED = "SELECT site_id FROM rr.site WHERE tenant_id = $1 AND name = $2"
_SITE_FREE = "SELECT NOT EXISTS (SELECT 1 FROM rr.site WHERE tenant_id = $1 AND site_id = $2)"
_SITE_ADD = "INSERT INTO rr.site (tenant_id, site_id, name, jurisdiction, issuer) VALUES ($1, $2, $3, $4, $5)"
_SITE_SET = """
UPDATE rr.site SET jurisdiction = coalesce($3, jurisdiction), privileged = coalesce($4, privileged)
 WHERE tenant_id = $1 AND site_id = $2
"""

_PERSON = "SELECT user_id FROM rr.person WHERE email = lower($1)"
_PERSON_ADD = """
INSERT INTO rr.person (user_id, email, name, password_hash, operator) VALUES ($1, lower($2), $3, $4, $5)
ON CONFLICT (email) DO NOTHING RETURNING user_id
"""
_PERSON_SET = """
UPDATE rr.person SET name = coalesce($2, name), password_hash = coalesce($3, password_hash),
       operator = operator OR $4, active = true
 WHERE user_id = $1
"""
_MEMBERSHIP = """
INSERT INTO rr.membership (tenant_id, user_id, role, sites) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, sites = excluded.sites, active = true
"""
_GROUPS = "SELECT tenant_id FROM rr.membership WHERE user_id = $1 AND active ORDER BY tenant_id"
_DEACTIVATE = "UPDATE rr.person SET active = false WHERE user_id = $1"
_LEAVE = "UPDATE rr.membership SET active = false WHERE tenant_id = $1 AND user_id = $2 RETURNING user_id"

_SHIFT = """
INSERT INTO rr.shift (tenant_id, user_id, starts_at, ends_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, user_id, kind, starts_at) DO UPDATE SET ends_at = excluded.ends_at
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to add, in a group or (an operator) in none."""

    email: str
    role: Role
    tenant_id: str | None = None
    name: str | None = None
    password: str | None = None
    sites: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Reader:
    """What a radiologist may read; None leaves it as it is."""

    licences: list[str] | None = None
    subspecialties: list[str] | None = None
    modalities: list[str] | None = None
    capacity: int | None = None


def slug(name: str) -> str:
    """Return a short id made from a name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].rstrip("-") or uuid7().hex[-12:]


def _named(name: str, field: str = "name") -> str:
    name = name.strip()
    if not name or len(name) > 64 or not name.isprintable():  # noqa: PLR2004 - DICOM's LO, PS3.5 6.2
        raise BadPayload(f"{field}: expected 1 to 64 printable characters.", {"field": field})
    return name


async def tenant(conn: Connection, named: str) -> str:
    """Return the id of a group, named by id or name.

    Raises:
        NotFound: there is none.
    """
    found: str | None = await conn.fetchval(_TENANT, named)
    if found is None:
        raise NotFound(f"There is no tenant {named!r}.")
    return found


async def site(conn: Connection, tenant_id: str, named: str) -> str:
    """Return the id of a site of a group, named by id or name.

    Raises:
        NotFound: there is none.
    """
    found: str | None = await conn.fetchval(_SITE, tenant_id, named)
    if found is None:
        raise NotFound(f"Tenant {tenant_id} has no site {named!r}.")
    return found


async def person(conn: Connection, email: str) -> str:
    """Return the id of a person.

    Raises:
        NotFound: there is none.
    """
    found: str | None = await conn.fetchval(_PERSON, email.strip())
    if found is None:
        raise NotFound(f"There is no user {email!r}.")
    return found


async def groups(conn: Connection, user_id: str) -> list[str]:
    """Return the groups that a person belongs to."""
    return [r["tenant_id"] for r in await conn.fetch(_GROUPS, user_id)]


async def add_tenant(conn: Connection, name: str, time_zone: str | None = None) -> str:
    """Add a group with its site ``main``; return its id.

    Raises:
        BadPayload: no such time zone.
    """
    name = _named(name)
    if time_zone is not None:
        zone(time_zone)
    tenant_id: str | None = await conn.fetchval(_TENANT_NAMED, name)
    if tenant_id is None:
        tenant_id = slug(name)
        if not await conn.fetchval(_TENANT_FREE, tenant_id):
            tenant_id = f"{tenant_id}-{uuid7().hex[-6:]}"
        await conn.execute(_TENANT_ADD, tenant_id, name, time_zone or "UTC")
        await conn.execute(_TENANT_HEAD, tenant_id)
        await access.record(conn, tenant_id, None, "tenant_added", tenant_id)
        await add_site(conn, tenant_id, MAIN)
    elif time_zone is not None:
        await conn.execute(_TENANT_ZONE, tenant_id, time_zone)
        await access.record(conn, tenant_id, None, "tenant_changed", tenant_id)
    return tenant_id


async def add_site(  # noqa: PLR0913 - a row
    conn: Connection,
    tenant_id: str,
    name: str,
    *,
    jurisdiction: str | None = None,
    issuer: str | None = None,
    privileged: bool | None = None,
) -> str:
    """Add a hospital to a group; return its id. ``issuer`` is of patient ids that arrive without one.

    Its readers need a licence for its ``jurisdiction``, and a privilege of it when it is ``privileged``.
    """
    name = _named(name)
    site_id: str | None = await conn.fetchval(_SITE_NAMED, tenant_id, name)
    if site_id is None:
        site_id = slug(name)
        if not await conn.fetchval(_SITE_FREE, tenant_id, site_id):
            site_id = f"{site_id}-{uuid7().hex[-6:]}"
        issuer = _named(issuer, "issuer") if issuer else site_id
        await conn.execute(_SITE_ADD, tenant_id, site_id, name, jurisdiction, issuer)
        await access.record(conn, tenant_id, None, "site_added", site_id)
        if privileged:
            await conn.execute(_SITE_SET, tenant_id, site_id, None, privileged)
    elif jurisdiction is not None or privileged is not None:
        await conn.execute(_SITE_SET, tenant_id, site_id, jurisdiction, privileged)
        await access.record(conn, tenant_id, None, "site_changed", site_id)
    return site_id


async def add_person(conn: Connection, who: Person) -> tuple[str, str | None]:
    """Add a person, or a membership to one who is known; return her id and a password that was made for her.

    Raises:
        BadPayload: no e-mail address; a role that needs a group without one.
        NotFound: no such site.
    """
    email = who.email.strip()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email) or not email.isprintable():
        raise BadPayload(f"{who.email!r} is not an e-mail address.", {"field": "email"})
    if who.role is not Role.OPERATOR and who.tenant_id is None:
        raise BadPayload(f"A {who.role} belongs to a tenant: name it.", {"field": "tenant"})
    if who.password == "":
        raise BadPayload("The password is empty.", {"field": "password"})
    operator = who.role is Role.OPERATOR
    user_id: str | None = await conn.fetchval(_PERSON, email)
    made = None
    if user_id is None:
        made = new_token(12) if who.password is None else None
        hashed = hash_password(who.password or made or "")
        shown = _named(who.name or email.partition("@")[0])
        user_id = await conn.fetchval(_PERSON_ADD, str(uuid7()), email, shown, hashed, operator)
        if user_id is None:  # somebody else has just added her
            return await add_person(conn, who)
    else:
        hashed_or_none = hash_password(who.password) if who.password is not None else None
        name = None if who.name is None else _named(who.name)
        await conn.execute(_PERSON_SET, user_id, name, hashed_or_none, operator)
    if who.tenant_id is not None and not operator:
        named = who.sites or ([MAIN] if who.role in SITE_BOUND else [])
        sites = sorted({await site(conn, who.tenant_id, s) for s in named})
        await conn.execute(_MEMBERSHIP, who.tenant_id, user_id, str(who.role), sites)
    await access.record(conn, who.tenant_id or PLATFORM, None, "user_added", user_id)
    return user_id, made


async def deactivate(conn: Connection, user_id: str, tenant_id: str | None = None) -> None:
    """End what a person may do: in one group, or everywhere.

    Raises:
        NotFound: she does not belong to the group.
    """
    if tenant_id is None:
        await conn.execute(_DEACTIVATE, user_id)
        for group in await groups(conn, user_id) or [PLATFORM]:
            await access.record(conn, group, None, "user_deactivated", user_id)
        return
    if await conn.fetchval(_LEAVE, tenant_id, user_id) is None:
        raise NotFound("She does not belong to this tenant.")
    await access.record(conn, tenant_id, None, "user_deactivated", user_id)


async def add_shift(conn: Connection, tenant_id: str, user_id: str, starts_at: datetime, ends_at: datetime) -> None:
    """Put a reader on the roster.

    Raises:
        BadPayload: it ends before it begins.
    """
    if ends_at <= starts_at:
        raise BadPayload("A shift ends after it begins.", {"field": "to"})
    await conn.execute(_SHIFT, tenant_id, user_id, starts_at, ends_at)
    await access.record(conn, tenant_id, None, "shift_added", user_id)


async def set_reader(conn: Connection, tenant_id: str, user_id: str, what: Reader) -> None:
    """Say what a radiologist may read, and how much at a time.

    Raises:
        NotFound: she does not read for this group.
    """
    now = await readers.one(conn, tenant_id, user_id)
    said = {name: now[name] for name in Profile().body()}
    if what.licences is not None:
        said["licences"] = [{"jurisdiction": one} for one in what.licences]
    for name, words in (("subspecialties", what.subspecialties), ("modalities", what.modalities)):
        if words is not None:
            said[name] = dict.fromkeys(words, USUAL)
    if what.capacity is not None:
        said["capacity"] = what.capacity
    await readers.put(conn, tenant_id, user_id, profile(said), None, None)
