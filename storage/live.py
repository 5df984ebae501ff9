"""What a forecast begins with: open studies, readers with their hours, sites, the policy, and what came of late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.study import load
from storage import hydrate, policies, staff

if TYPE_CHECKING:
    from actors.domain.staff import Member
    from actors.domain.study import Study
    from storage.hydrate import Site
    from storage.pool import Connection

DAYS = 28  # of arrivals that are looked back upon
OPEN = "SELECT doc FROM rr.study WHERE tenant_id = $1 AND open AND doc->>'moved_to' IS NULL ORDER BY study_uid"
PAST = """
SELECT extract(epoch FROM d.first_image_at)::float8 AS at_s, s.site_id, s.priority,
       coalesce(s.doc->>'modality', '') AS modality, coalesce(s.doc->>'body_part', '') AS body_part,
       coalesce(s.doc->>'procedure', '') AS procedure, coalesce(s.doc->>'setting', '') AS setting
  FROM rr.dicom_study d
  JOIN rr.study s USING (tenant_id, study_uid)
 WHERE d.tenant_id = $1 AND d.first_image_at > now() - make_interval(days => $2)
 ORDER BY d.first_image_at DESC LIMIT 20000
"""
AGE = """
SELECT least($2::float8, greatest(1, extract(epoch FROM now() - min(first_image_at)) / 86400))
  FROM rr.dicom_study WHERE tenant_id = $1
"""


async def open_studies(conn: Connection, tenant_id: str) -> list[Study]:
    """Return every open study."""
    return [load(msgspec.json.decode(r["doc"])) for r in await conn.fetch(OPEN, tenant_id)]


async def past(conn: Connection, tenant_id: str) -> tuple[list[dict[str, Any]], float]:
    """Return what came of late, and on how many days it is looked back: at least one, at most ``DAYS``."""
    rows = [dict(r) for r in await conn.fetch(PAST, tenant_id, DAYS)]
    return rows, float(await conn.fetchval(AGE, tenant_id, DAYS) or 1.0)


async def group(conn: Connection, tenant_id: str) -> tuple[list[Member], dict[str, Site], str, dict[str, Any]]:
    """Return readers, sites, time zone and the body of the policy in force."""
    members, _ = await staff.members(conn, tenant_id)
    sites = await hydrate.sites(conn, tenant_id)
    zone = await hydrate.time_zone(conn, tenant_id)
    return sorted(members.values(), key=lambda m: m.user_id), sites, zone, await policies.read(conn, tenant_id)
