"""Performed procedure steps and notices of availability: how many images a study will have (role rr_ingest)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.identity import study_key

if TYPE_CHECKING:
    from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Step:
    """A performed procedure step; ``header`` is DICOM JSON, ``images`` those it says it made."""

    study_uid: str  # as in the images' headers
    accession_number: str
    status: str  # IN PROGRESS | COMPLETED | DISCONTINUED
    images: int
    header: dict[str, Any]


CREATE = """
INSERT INTO rr.performed_step (tenant_id, site_id, step_uid, study_uid, accession_number, status, images, header)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb) ON CONFLICT DO NOTHING
"""


async def create(conn: Connection, tenant_id: str, site_id: str, step_uid: str, step: Step) -> bool:
    """Add a step; say whether there was none of that UID at the site."""
    header = msgspec.json.encode(step.header).decode()
    said = await conn.execute(
        CREATE, tenant_id, site_id, step_uid, step.study_uid, step.accession_number, step.status, step.images, header
    )
    return said == "INSERT 0 1"


STEP = """
SELECT study_uid, accession_number, status, images, header FROM rr.performed_step
 WHERE tenant_id = $1 AND site_id = $2 AND step_uid = $3 FOR UPDATE
"""


async def step(conn: Connection, tenant_id: str, site_id: str, step_uid: str) -> Step | None:
    """Return a step of the site, held until the transaction ends."""
    row = await conn.fetchrow(STEP, tenant_id, site_id, step_uid)
    return None if row is None else Step(**{**dict(row), "header": msgspec.json.decode(row["header"])})


CHANGE = """
UPDATE rr.performed_step SET status = $4, images = $5, header = $6::text::jsonb, changed_at = now()
 WHERE tenant_id = $1 AND site_id = $2 AND step_uid = $3
"""


async def change(conn: Connection, tenant_id: str, site_id: str, step_uid: str, step: Step) -> None:
    """Keep what has become of a step."""
    header = msgspec.json.encode(step.header).decode()
    await conn.execute(CHANGE, tenant_id, site_id, step_uid, step.status, step.images, header)


NOTICE = """
INSERT INTO rr.notice (tenant_id, site_id, notice_uid, study_uid, images) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, site_id, notice_uid) DO UPDATE SET images = excluded.images, at = now()
"""


async def notice(  # noqa: PLR0913, PLR0917 - a row
    conn: Connection, tenant_id: str, site_id: str, notice_uid: str, study_uid: str, images: int
) -> None:
    """Keep that so many images of a study exist."""
    await conn.execute(NOTICE, tenant_id, site_id, notice_uid, study_uid, images)


# Studies that have the UID in their headers, else the order it was minted for.
MEANT = """
SELECT study_uid, patient_id, accession_number, header_study_uid <> study_uid AS apart FROM rr.dicom_study
 WHERE tenant_id = $1 AND site_id = $2 AND header_study_uid = $3
UNION ALL
SELECT study_uid, patient_id, accession_number, false FROM rr.orders o
 WHERE tenant_id = $1 AND site_id = $2 AND study_uid = $3 AND NOT cancelled
   AND NOT EXISTS (SELECT 1 FROM rr.dicom_study d WHERE d.tenant_id = o.tenant_id AND d.study_uid = o.study_uid)
"""
TELL = "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES ($1, $2, $3, $4::text::jsonb)"


async def tell(conn: Connection, tenant_id: str, site_id: str, study_uid: str) -> set[int]:
    """Tell the inbox of each study that is meant what was announced for it; return the shards told."""
    shards = set()
    for row in await conn.fetch(MEANT, tenant_id, site_id, study_uid):
        body = {"kind": "announced", "site_id": site_id, **dict(row)}
        shard = study_key(tenant_id, body.pop("study_uid")).shard
        await conn.execute(TELL, tenant_id, row["study_uid"], shard, msgspec.json.encode(body).decode())
        shards.add(shard)
    return shards
