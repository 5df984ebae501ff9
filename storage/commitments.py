"""Storage commitments that somebody waits for, and whether what they name is here (PS3.4 J)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.pool import Connection

Wanted = list[tuple[str, str]]
"""Class and instance of each object."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A commitment that is owed to an application entity."""

    tenant_id: str
    ae_id: str
    transaction_uid: str
    site_id: str
    wanted: Wanted
    attempts: int


# Due late, so that the association that asked may hear it first.
OWE = """
INSERT INTO rr.commitment (tenant_id, ae_id, transaction_uid, site_id, wanted, due_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, now() + make_interval(secs => $6))
ON CONFLICT (tenant_id, ae_id, transaction_uid) DO UPDATE
   SET wanted = excluded.wanted, attempts = 0, due_at = excluded.due_at
"""


async def owe(conn: Connection, owed: Owed, wait_s: float) -> None:
    """Keep a commitment until it was told; sweepers may tell it after ``wait_s``."""
    wanted = msgspec.json.encode(owed.wanted).decode()
    await conn.execute(OWE, owed.tenant_id, owed.ae_id, owed.transaction_uid, owed.site_id, wanted, wait_s)


TAKE = """
WITH due AS (
  SELECT tenant_id, ae_id, transaction_uid FROM rr.commitment WHERE due_at <= now()
   ORDER BY due_at LIMIT 20 FOR UPDATE SKIP LOCKED)
UPDATE rr.commitment c SET attempts = c.attempts + 1,
       due_at = now() + make_interval(secs => least(3600, 15 * 2 ^ least(c.attempts, 12)))
  FROM due WHERE c.tenant_id = due.tenant_id AND c.ae_id = due.ae_id AND c.transaction_uid = due.transaction_uid
RETURNING c.tenant_id, c.ae_id, c.transaction_uid, c.site_id, c.wanted, c.attempts
"""


async def take(conn: Connection) -> list[Owed]:
    """Return those in scope that are due, each to one sweeper; they are due again later, ever more so."""
    return [
        Owed(**{**dict(row), "wanted": msgspec.json.decode(row["wanted"], type=Wanted)})
        for row in await conn.fetch(TAKE)
    ]


TOLD = "DELETE FROM rr.commitment WHERE tenant_id = $1 AND ae_id = $2 AND transaction_uid = $3"


async def told(conn: Connection, owed: Owed) -> None:
    """The commitment was told, or never will be."""
    await conn.execute(TOLD, owed.tenant_id, owed.ae_id, owed.transaction_uid)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an instance lies, and what it is."""

    sop_class: str
    sop_uid: str
    path: str
    sha256: bytes


KEPT = """
SELECT sop_class, sop_uid, path, sha256 FROM rr.instance
 WHERE tenant_id = $1 AND ($2::text IS NULL OR site_id = $2) AND sop_uid = ANY($3::text[])
"""


async def kept(conn: Connection, tenant_id: str, site_id: str | None, sop_uids: Sequence[str]) -> list[Kept]:
    """Return which of these instances the site, or any of the tenant's, has."""
    return [Kept(*row) for row in await conn.fetch(KEPT, tenant_id, site_id, list(sop_uids))]
