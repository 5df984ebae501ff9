"""What a tenant's journals say of an instant (roles rr_host and rr_app, in one snapshot)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.commands import Patient
from actors.domain.instant import instant
from actors.domain.past import Board
from actors.domain.unit import Recorded
from storage import hydrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import datetime

    from storage.pool import Connection

UNTIL = """
SELECT entity, version, type, body, at, by, idem
  FROM rr.journal
 WHERE tenant_id = $1 AND at <= $2 AND (entity LIKE 'study/%' OR entity LIKE 'radiologist/%')
 ORDER BY entity, version
"""
KNOWN = "SELECT count(*) FROM rr.journal WHERE tenant_id = $1 AND entity = 'study/' || $2"
PATIENTS = """
SELECT patient_id, name, mrn, issuer, birth_date, sex FROM rr.patient
 WHERE tenant_id = $1 AND patient_id = ANY($2::text[])
"""
MIDNIGHT = """
SELECT date_trunc('day', $2::timestamptz AT TIME ZONE t.time_zone) AT TIME ZONE t.time_zone
  FROM rr.tenant t WHERE t.tenant_id = $1
"""
_AT_ONCE = 1_000


async def until(conn: Connection, tenant_id: str, at: datetime) -> AsyncIterator[Recorded]:
    """Yield what happened to studies and readers by an instant, entity by entity, oldest first."""
    async for row in conn.cursor(UNTIL, tenant_id, at, prefetch=_AT_ONCE):
        yield Recorded(**{**row, "body": msgspec.json.decode(row["body"])})


async def known(conn: Connection, tenant_id: str, study_uid: str) -> int:
    """Return how many events the journal has of a study."""
    return int(await conn.fetchval(KNOWN, tenant_id, study_uid))


async def patients(conn: Connection, tenant_id: str, ids: Iterable[str]) -> dict[str, Patient]:
    """Return the demographics of these patients."""
    return {r["patient_id"]: Patient(**r) for r in await conn.fetch(PATIENTS, tenant_id, list(set(ids)))}


async def midnight(conn: Connection, tenant_id: str, at: datetime) -> datetime:
    """Return when the day of an instant began where the tenant is."""
    began: datetime = await conn.fetchval(MIDNIGHT, tenant_id, at)
    return began


async def board(conn: Connection, tenant_id: str, at: datetime) -> dict[str, Any]:
    """Return the tenant's open studies, counters and readers as they were at an instant, with today's demographics."""
    found = Board(await midnight(conn, tenant_id, at))
    async for recorded in until(conn, tenant_id, at):
        found.add(recorded)
    known = await patients(conn, tenant_id, (s.patient_id for s in found.studies.values() if s.open))
    sites = {site_id: site.name for site_id, site in (await hydrate.sites(conn, tenant_id)).items()}
    return {
        "tenant_id": tenant_id,
        "at": instant(at),
        "rows": found.rows(known, sites),
        "counters": found.counters(),
        "readers": found.readers(),
    }
