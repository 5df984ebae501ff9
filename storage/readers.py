"""Readers as managers set them: profiles with versions (roles rr_app and rr_admin). Each change is audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.errors import BadPayload, NotFound, StaleVersion
from actors.domain.profile import Profile, Term, profile
from storage import access
from storage.staff import profile_of

if TYPE_CHECKING:
    from storage.pool import Connection

_ROW = """
SELECT m.user_id, p.name, p.email, m.role, m.profile, m.capacity, m.profile_version
  FROM rr.membership m JOIN rr.person p USING (user_id)
 WHERE m.tenant_id = $1 AND m.active AND p.active AND m.role IN ('radiologist', 'resident')
"""
PAGE = _ROW + " AND m.user_id > $2 ORDER BY m.user_id LIMIT $3"
ONE = _ROW + " AND m.user_id = $2"
BY_EMAIL = _ROW + " AND p.email = ANY($2::text[])"
SITES = "SELECT site_id, name FROM rr.site WHERE tenant_id = $1"
PUT = """
UPDATE rr.membership SET profile = $3::jsonb, capacity = $4, profile_version = profile_version + 1
 WHERE tenant_id = $1 AND user_id = $2
RETURNING profile_version
"""
# Writers of one group's readers, shifts and absences take turns until their transactions end.
TURN = "SELECT pg_advisory_xact_lock(hashtextextended('roster/' || $1, 0))"


def shown(row: Any) -> dict[str, Any]:
    """Return a reader as REST shows her."""
    return {
        "radiologist_id": row["user_id"],
        "name": row["name"],
        "email": row["email"],
        "role": row["role"],
        **profile(profile_of(row)).body(),
        "version": row["profile_version"],
    }


async def turn(conn: Connection, tenant_id: str) -> None:
    """Wait until nobody else changes the group's roster."""
    await conn.execute(TURN, tenant_id)


async def page(conn: Connection, tenant_id: str, after: str, limit: int) -> list[dict[str, Any]]:
    """Return at most ``limit`` readers after a user id, by user id."""
    return [shown(r) for r in await conn.fetch(PAGE, tenant_id, after, limit)]


async def one(conn: Connection, tenant_id: str, user_id: str) -> dict[str, Any]:
    """Return a reader.

    Raises:
        NotFound: she does not read for this group.
    """
    row = await conn.fetchrow(ONE, tenant_id, user_id)
    if row is None:
        raise NotFound("She does not read for this group.")
    return shown(row)


async def by_email(conn: Connection, tenant_id: str, emails: list[str]) -> dict[str, dict[str, Any]]:
    """Return the readers of these addresses, by address."""
    return {r["email"]: shown(r) for r in await conn.fetch(BY_EMAIL, tenant_id, [e.lower() for e in emails])}


async def sites(conn: Connection, tenant_id: str) -> dict[str, str]:
    """Return the ids of the group's sites, by id and by name."""
    rows = await conn.fetch(SITES, tenant_id)
    return {r["name"]: r["site_id"] for r in rows} | {r["site_id"]: r["site_id"] for r in rows}


def placed(said: Profile, known: dict[str, str]) -> Profile:
    """Return the profile with the ids of its sites.

    Raises:
        BadPayload: the group has no such site.
    """
    privileges = []
    for n, term in enumerate(said.privileges):
        if term.of not in known:
            field = f"privileges[{n}].site"
            some = ", ".join(sorted(set(known.values()))[:10])
            raise BadPayload(f"{field}: there is no site {term.of!r}; this group has {some}.", {"field": field})
        privileges.append(Term(known[term.of], term.valid_from, term.valid_to))
    return Profile(
        said.licences, tuple(privileges), said.subspecialties, said.modalities, said.capacity, said.conflicts
    )


async def put(  # noqa: PLR0913, PLR0917 - who, whose, what, upon which version
    conn: Connection, tenant_id: str, user_id: str, said: Profile, version: int | None, by: str | None
) -> dict[str, Any]:
    """Set a reader's profile; return the reader. ``version`` None is whatever it is now.

    Raises:
        NotFound: she does not read for this group.
        StaleVersion: with the reader as she is now.
        BadPayload: naming the field.
    """
    await turn(conn, tenant_id)
    now = await one(conn, tenant_id, user_id)
    if version is not None and version != now["version"]:
        raise StaleVersion("Somebody has changed this reader since you saw her.", {"row": now})
    wanted = placed(said, await sites(conn, tenant_id))
    if wanted == profile({name: now[name] for name in Profile().body()}):
        return now
    body = wanted.body()
    capacity = body.pop("capacity")
    await conn.execute(PUT, tenant_id, user_id, msgspec.json.encode(body).decode(), capacity)
    after = await one(conn, tenant_id, user_id)
    await access.changed(conn, tenant_id, by, "reader_set", user_id, now, after)
    return after
