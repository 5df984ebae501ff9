"""Whether a tenant's audit chain is whole: each link over the one before, each event in one link, none changed.

A link holds the SHA-256 of every event of a batch and is itself hashed with the link before
(``rr.commit_batch``); the newest hash stands in ``tenant_head``. Read in one snapshot as role rr_host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.pool import Connection

CHAIN = r"""
SELECT count(*) AS links,
       min(pos) FILTER (WHERE pos <> nth OR hash <> sha256(before || convert_to(body::text, 'UTF8'))) AS broken_at,
       coalesce((SELECT h.audit FROM rr.tenant_head h WHERE h.tenant_id = $1), '\x')
         = coalesce((SELECT a.hash FROM rr.audit a WHERE a.tenant_id = $1 ORDER BY a.pos DESC LIMIT 1), '\x') AS whole
  FROM (SELECT pos, hash, body, row_number() OVER w AS nth, coalesce(lag(hash) OVER w, '\x'::bytea) AS before
          FROM rr.audit WHERE tenant_id = $1 WINDOW w AS (ORDER BY pos)) AS link
"""
EVENTS = """
WITH linked AS (
  SELECT l.value->>0 AS entity, (l.value->>1)::integer AS version, l.value->>2 AS hash
    FROM rr.audit a, jsonb_array_elements(a.body) AS l WHERE a.tenant_id = $1
), written AS (
  SELECT entity, version, rr.event_hash(entity, version, type, body, by, at) AS hash
    FROM rr.journal WHERE tenant_id = $1
)
SELECT coalesce(w.entity, l.entity) AS entity, coalesce(w.version, l.version) AS version,
       CASE WHEN w.hash IS NULL THEN 'missing' WHEN l.hash IS NULL THEN 'added' ELSE 'changed' END AS what
  FROM linked l FULL JOIN written w ON w.entity = l.entity AND w.version = l.version
 WHERE l.hash IS DISTINCT FROM w.hash
 ORDER BY 1, 2 LIMIT $2
"""
COUNT = "SELECT count(*) FROM rr.journal WHERE tenant_id = $1"
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Chain:
    """What was found. ``broken_at`` is the first link that does not follow from the one before."""

    tenant_id: str
    links: int
    events: int
    broken_at: int | None
    head: bool  # the newest link is the one that the tenant's head names
    wrong: list[tuple[str, int, str]] = field(default_factory=list)  # entity, version: missing, added or changed

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, added, taken out or cut off."""
        return self.broken_at is None and self.head and not self.wrong


async def verify(conn: Connection, tenant_id: str) -> Chain:
    """Return the state of a tenant's chain; at most 100 wrong events are named."""
    chain = await conn.fetchrow(CHAIN, tenant_id)
    assert chain is not None  # noqa: S101 - an aggregate has a row
    wrong = [(r["entity"], r["version"], r["what"]) for r in await conn.fetch(EVENTS, tenant_id, _SHOWN)]
    events = await conn.fetchval(COUNT, tenant_id)
    return Chain(tenant_id, chain["links"], events, chain["broken_at"], chain["whole"], wrong)
