"""Studies for which nothing has come for a while: each is told to its inbox once (role rr_ingest)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.identity import study_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.pool import Connection

_TENANTS = "SELECT DISTINCT tenant_id FROM rr.site"


async def tenants(conn: Connection) -> list[str]:
    """Return every tenant that has a site."""
    return [row["tenant_id"] for row in await conn.fetch(_TENANTS)]


_DUE = """
SELECT tenant_id, study_uid FROM rr.dicom_study d
 WHERE quiet_at IS NULL AND last_image_at < clock_timestamp() - make_interval(secs => $1)
   AND (held_until IS NULL OR held_until < clock_timestamp())
   AND NOT EXISTS (SELECT 1 FROM rr.performed_step p WHERE p.tenant_id = d.tenant_id AND p.site_id = d.site_id
                      AND p.study_uid = d.header_study_uid AND p.status = 'IN PROGRESS'
                      AND p.changed_at > now() - interval '1 hour')
"""  # a step under way is not quiet, unless it was forgotten
_QUIET = """
WITH due AS (
  SELECT * FROM unnest($2::text[], $3::text[], $4::integer[]) AS d (tenant_id, study_uid, shard)
), marked AS (
  UPDATE rr.dicom_study s SET quiet_at = clock_timestamp() FROM due
   WHERE s.tenant_id = due.tenant_id AND s.study_uid = due.study_uid AND s.quiet_at IS NULL
     AND s.last_image_at < clock_timestamp() - make_interval(secs => $1)
  RETURNING s.tenant_id, s.study_uid, due.shard, s.site_id, s.patient_id, s.accession_number, s.header_study_uid, s.phantom
)
INSERT INTO rr.inbox (tenant_id, study_uid, shard, body)
SELECT tenant_id, study_uid, shard, jsonb_build_object('kind', 'quiet', 'site_id', site_id, 'patient_id', patient_id,
         'accession_number', accession_number, 'apart', header_study_uid <> study_uid)
  FROM marked WHERE NOT phantom
RETURNING shard
"""


async def tell_quiet(conn: Connection, quiet_s: float) -> set[int]:
    """Tell the inbox of every study in scope that nothing came for ``quiet_s``, once; return the shards told."""
    due = [(row["tenant_id"], row["study_uid"]) for row in await conn.fetch(_DUE, quiet_s)]
    if not due:
        return set()
    shards = [study_key(*key).shard for key in due]
    told = await conn.fetch(_QUIET, quiet_s, [t for t, _ in due], [u for _, u in due], shards)
    return {row["shard"] for row in told}


_HOLD = """
UPDATE rr.dicom_study s SET held_until = clock_timestamp() + make_interval(secs => $1)
  FROM unnest($2::text[], $3::text[]) AS h (tenant_id, study_uid)
 WHERE s.tenant_id = h.tenant_id AND s.study_uid = h.study_uid AND s.quiet_at IS NULL
"""


async def hold(conn: Connection, studies: Iterable[tuple[str, str]], hold_s: float) -> None:
    """Keep studies from counting as quiet for ``hold_s``: an association that brought images of them is open."""
    keys = sorted(studies)
    if keys:
        await conn.execute(_HOLD, hold_s, [t for t, _ in keys], [u for _, u in keys])
