"""What the decider leaves behind and learns from: inputs of decisions, and how long reads took (role rr_host)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.pool import Connection

KEEP = "INSERT INTO rr.decision (tenant_id, decision_id, packed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
PACKED = "SELECT packed FROM rr.decision WHERE tenant_id = $1 AND decision_id = $2"
SEEN = """
SELECT radiologist_id, modality, body_part, procedure, count(*)::double precision AS n, sum(ln(minutes)) AS log,
       sum(ln(minutes) ^ 2) AS square, max(seq) AS seq
  FROM rr.read_time
 WHERE tenant_id = $1 AND seq > $2 AND at > now() - interval '180 days' AND minutes BETWEEN $3 AND $4
 GROUP BY radiologist_id, modality, body_part, procedure
 ORDER BY radiologist_id, modality, body_part, procedure
"""
DAYS = """
SELECT radiologist_id, (now() AT TIME ZONE $2)::date - (at AT TIME ZONE $2)::date AS days_ago, sum(minutes) AS minutes
  FROM rr.read_time
 WHERE tenant_id = $1 AND at > now() - interval '8 days' AND minutes <= $3
 GROUP BY 1, 2 ORDER BY 1, 2
"""
TODAY = """
SELECT radiologist_id, modality, body_part, procedure, count(*) AS n, extract(epoch FROM max(at))::double precision AS last_at
  FROM rr.read_time
 WHERE tenant_id = $1 AND at >= date_trunc('day', now() AT TIME ZONE $2) AT TIME ZONE $2
 GROUP BY radiologist_id, modality, body_part, procedure
 ORDER BY last_at, radiologist_id
"""


@dataclass(frozen=True, slots=True)
class Read:
    """How many of one sort a reader has read today, and when the last was signed (Unix seconds)."""

    radiologist_id: str
    modality: str
    body_part: str
    procedure: str
    n: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Reads of one reader and one sort of study: how many, the sum of their log minutes and of the squares."""

    radiologist_id: str
    modality: str
    body_part: str
    procedure: str
    n: float
    log: float
    square: float
    seq: int


async def keep(conn: Connection, tenant_id: str, decision_id: str, packed: bytes) -> None:
    """Keep the inputs of a decision."""
    await conn.execute(KEEP, tenant_id, decision_id, packed)


async def packed(conn: Connection, tenant_id: str, decision_id: str) -> bytes | None:
    """Return the inputs of a decision."""
    found: bytes | None = await conn.fetchval(PACKED, tenant_id, decision_id)
    return found


async def seen(conn: Connection, tenant_id: str, after: int, least_min: float, most_min: float) -> list[Seen]:
    """Return the reads kept after a number, summed up."""
    return [Seen(**dict(r)) for r in await conn.fetch(SEEN, tenant_id, after, least_min, most_min)]


async def days(conn: Connection, tenant_id: str, time_zone: str, most_min: float) -> list[tuple[int, str, float]]:
    """Return minutes read by days ago and reader, over a week, by the days of a time zone."""
    rows = await conn.fetch(DAYS, tenant_id, time_zone, most_min)
    return [(r["days_ago"], r["radiologist_id"], r["minutes"]) for r in rows]


async def today(conn: Connection, tenant_id: str, time_zone: str) -> list[Read]:
    """Return what was read since midnight of a time zone, what was signed last at the end."""
    return [Read(**dict(r)) for r in await conn.fetch(TODAY, tenant_id, time_zone)]
