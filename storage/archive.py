"""Studies that were closed long ago: a narrow row stays among those at work, the whole state stands apart.

Lists, reports and images find them by the row as before, the actor by the state put away or by the
journal; the next event, as a late image or an addendum, brings a study back (``rr.bring_back``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.pool import Connection

# The whole state of a study s, wherever it stands.
DOC = """CASE WHEN s.archived_at IS NULL THEN s.doc ELSE
       (SELECT a.doc FROM rr.study_archive a WHERE a.tenant_id = s.tenant_id AND a.study_uid = s.study_uid) END"""

ARCHIVE = """
WITH old AS (
  SELECT s.study_uid
    FROM rr.study s
    JOIN rr.journal j ON j.tenant_id = s.tenant_id AND j.entity = 'study/' || s.study_uid AND j.version = s.rev
   WHERE s.tenant_id = $1 AND NOT s.open AND s.archived_at IS NULL AND j.at <= now() - make_interval(secs => $2)
   ORDER BY s.study_uid LIMIT 500 FOR UPDATE OF s SKIP LOCKED
), kept AS (
  INSERT INTO rr.study_archive AS a (tenant_id, study_uid, site_id, doc)
  SELECT s.tenant_id, s.study_uid, s.site_id, s.doc FROM rr.study s JOIN old USING (study_uid) WHERE s.tenant_id = $1
  ON CONFLICT (tenant_id, study_uid) DO UPDATE SET site_id = excluded.site_id, doc = excluded.doc
  RETURNING a.study_uid
), moved AS (
  UPDATE rr.study s SET archived_at = now(), doc = jsonb_build_object('shape', 0, 'moved_to', s.doc->'moved_to')
    FROM kept WHERE s.tenant_id = $1 AND s.study_uid = kept.study_uid
  RETURNING 1
)
SELECT count(*) FROM moved
"""


async def put_away(conn: Connection, tenant_id: str, after_s: float) -> int:
    """Put away at most 500 studies that are closed and have been left alone for so long; return how many."""
    return int(await conn.fetchval(ARCHIVE, tenant_id, after_s))
