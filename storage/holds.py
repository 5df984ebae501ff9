"""How long a group keeps what it has, and legal holds (role rr_admin)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from uuid_utils import uuid7

from actors.domain.errors import BadPayload, NotFound
from storage import access

if TYPE_CHECKING:
    from storage.pool import Connection

_POLICY = "SELECT years, modalities, until_age FROM rr.retention WHERE tenant_id = $1"
_SET = """
INSERT INTO rr.retention (tenant_id, years, modalities, until_age) VALUES ($1, $2, $3::jsonb, $4)
ON CONFLICT (tenant_id) DO UPDATE SET years = excluded.years, modalities = excluded.modalities, until_age = excluded.until_age,
  at = now()
"""
_FOREVER = "DELETE FROM rr.retention WHERE tenant_id = $1"
_HOLD = "INSERT INTO rr.legal_hold (tenant_id, hold_id, study_uid, patient_id, reason) VALUES ($1, $2, $3, $4, $5)"
_LIFT = """
UPDATE rr.legal_hold SET lifted_at = now(), lift_reason = $3 WHERE tenant_id = $1 AND hold_id = $2 AND lifted_at IS NULL
RETURNING 1
"""
_HOLDS = """
SELECT hold_id, study_uid, patient_id, reason, placed_at FROM rr.legal_hold
 WHERE tenant_id = $1 AND lifted_at IS NULL ORDER BY placed_at, hold_id
"""
_ISSUERS = "SELECT issuer FROM rr.site WHERE tenant_id = $1 AND site_id = $2"


async def policy(conn: Connection, tenant_id: str) -> dict[str, Any] | None:
    """Return ``{years, modalities, until_age}``; None: everything is kept for ever."""
    row = await conn.fetchrow(_POLICY, tenant_id)
    return None if row is None else dict(row) | {"modalities": msgspec.json.decode(row["modalities"])}


async def keep(  # noqa: PLR0913 - a row
    conn: Connection,
    tenant_id: str,
    years: float | None,
    modalities: dict[str, float],
    until_age: int | None,
    *,
    by: str | None = None,
) -> None:
    """Set how many years after the last change studies go; None keeps them for ever. ``by`` is who did it, where known.

    Raises:
        BadPayload: a number of years that is not positive.
    """
    if any(not value > 0 for value in (*([] if years is None else [years]), *modalities.values(), until_age or 1)):
        raise BadPayload("years, years of a modality and until_age are positive.", {"field": "years"})
    if years is None:
        await conn.execute(_FOREVER, tenant_id)
    else:
        await conn.execute(_SET, tenant_id, years, msgspec.json.encode(modalities).decode(), until_age)
    await access.record(conn, tenant_id, by, "retention_changed", tenant_id)


async def place(  # noqa: PLR0913 - a row
    conn: Connection,
    tenant_id: str,
    reason: str,
    *,
    study_uid: str | None = None,
    patient_id: str | None = None,
    by: str | None = None,
) -> str:
    """Put a study, or all that is a patient's now or later, on hold; return the hold's id.

    Raises:
        BadPayload: no reason.
    """
    if not reason.strip():
        raise BadPayload("Give a reason.", {"field": "reason"})
    hold_id = str(uuid7())
    await conn.execute(_HOLD, tenant_id, hold_id, study_uid, patient_id, reason)
    await access.record(conn, tenant_id, by, "hold_placed", hold_id)
    return hold_id


async def lift(conn: Connection, tenant_id: str, hold_id: str, reason: str, *, by: str | None = None) -> None:
    """End a hold; its row stays.

    Raises:
        NotFound: no such hold, or it was lifted.
        BadPayload: no reason.
    """
    if not reason.strip():
        raise BadPayload("Give a reason.", {"field": "reason"})
    if await conn.fetchval(_LIFT, tenant_id, hold_id, reason) is None:
        raise NotFound("There is no such hold, or it was lifted.")
    await access.record(conn, tenant_id, by, "hold_lifted", hold_id)


async def holds(conn: Connection, tenant_id: str) -> list[dict[str, Any]]:
    """Return the holds that stand."""
    return [dict(row) for row in await conn.fetch(_HOLDS, tenant_id)]


async def issuer(conn: Connection, tenant_id: str, site_id: str) -> str:
    """Return the issuer of patient ids that a site's senders do not name."""
    found: str = await conn.fetchval(_ISSUERS, tenant_id, site_id)
    return found
