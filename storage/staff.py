"""Readers with their profiles and hours, as the decider reads them (role rr_host)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.profile import profile
from actors.domain.roster import Kind, Shift, Span
from actors.domain.staff import Member
from actors.domain.words import Presence, Role

if TYPE_CHECKING:
    from storage.pool import Connection

ROSTER_REV = "SELECT rev FROM rr.roster_head WHERE tenant_id = $1"
MEMBERS = """
SELECT m.user_id, p.name, m.role, m.profile, m.capacity, coalesce(r.state, 'off') AS state, coalesce(r.shown, '') AS shown
  FROM rr.membership m
  JOIN rr.person p ON p.user_id = m.user_id
  LEFT JOIN rr.reader r ON r.tenant_id = m.tenant_id AND r.user_id = m.user_id
 WHERE m.tenant_id = $1 AND m.active AND p.active AND m.role IN ('radiologist', 'resident')
   AND ($2::text IS NULL OR m.user_id = $2)
"""
# What matters within the next days, and of each reader the last shift, which says that she works by the roster.
SHIFTS = """
SELECT user_id, starts_at, ends_at, kind, breaks FROM rr.shift
 WHERE tenant_id = $1 AND ends_at > now() - interval '1 day' AND starts_at < now() + interval '3 days'
   AND ($2::text IS NULL OR user_id = $2)
UNION
SELECT s.user_id, s.starts_at, s.ends_at, s.kind, s.breaks
  FROM rr.membership m, LATERAL (SELECT * FROM rr.shift t WHERE t.tenant_id = m.tenant_id AND t.user_id = m.user_id
    AND t.kind = 'duty' ORDER BY t.starts_at DESC LIMIT 1) AS s
 WHERE m.tenant_id = $1 AND ($2::text IS NULL OR m.user_id = $2)
"""
ABSENCES = """
SELECT user_id, starts_at, ends_at FROM rr.absence
 WHERE tenant_id = $1 AND ends_at > now() AND starts_at < now() + interval '30 days'
   AND ($2::text IS NULL OR user_id = $2)
"""
SHOWN = """
UPDATE rr.reader r SET shown = x.shown
  FROM unnest($2::text[], $3::text[]) AS x(user_id, shown)
 WHERE r.tenant_id = $1 AND r.user_id = x.user_id
"""


async def rev(conn: Connection, tenant_id: str) -> int:
    """Return the number that grows with every change of readers, shifts and absences."""
    return await conn.fetchval(ROSTER_REV, tenant_id) or 0


def breaks(text: str) -> tuple[Span, ...]:
    """Return the breaks of a shift as the database holds them."""
    spans = msgspec.json.decode(text, type=list[dict[str, datetime]])
    return tuple(Span(one["starts_at"], one["ends_at"]) for one in spans)


def profile_of(row: Any) -> dict[str, Any]:
    """Return the profile's document of a membership row."""
    body: dict[str, Any] = msgspec.json.decode(row["profile"])
    return body | {"capacity": row["capacity"]}


async def members(
    conn: Connection, tenant_id: str, only: str | None = None
) -> tuple[dict[str, Member], dict[str, str]]:
    """Return the readers of a group, or ``only`` one, and what the feed last told of each."""
    shifts: dict[str, list[Shift]] = {}
    for r in await conn.fetch(SHIFTS, tenant_id, only):
        one = Shift(r["starts_at"], r["ends_at"], Kind(r["kind"]), breaks(r["breaks"]))
        shifts.setdefault(r["user_id"], []).append(one)
    absences: dict[str, list[Span]] = {}
    for r in await conn.fetch(ABSENCES, tenant_id, only):
        absences.setdefault(r["user_id"], []).append(Span(r["starts_at"], r["ends_at"]))
    found, shown = {}, {}
    for r in await conn.fetch(MEMBERS, tenant_id, only):
        who = r["user_id"]
        found[who] = Member(
            who,
            r["name"],
            Role(r["role"]),
            Presence(r["state"]),
            profile(profile_of(r)),
            shifts.get(who, ()),
            absences.get(who, ()),
        )
        shown[who] = r["shown"]
    return found, shown


async def told(conn: Connection, tenant_id: str, shown: dict[str, str]) -> None:
    """Keep what the feed has told of readers."""
    await conn.execute(SHOWN, tenant_id, list(shown), list(shown.values()))
