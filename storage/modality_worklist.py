"""Orders that wait for their images, as scheduled procedure steps (PS3.4 K.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.dicom_query import Statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.identity import Principal
    from storage.dicom_query import Match
    from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One step: an order has one."""

    study_uid: str
    accession_number: str
    name: str
    mrn: str
    issuer: str
    birth_date: str  # ISO or ""
    sex: str
    modality: str
    procedure: str
    priority: str  # as (0040,1003) has it
    site: str
    start_date: str  # in the tenant's time zone
    start_time: str


STEPS = "00400100"
_PRIORITY = "CASE o.body->>'priority' WHEN 'STAT' THEN 'STAT' WHEN 'URGENT' THEN 'HIGH' ELSE 'ROUTINE' END"
_START = "(o.ordered_at AT TIME ZONE t.time_zone)"
_STATION = "$2::text"  # no station is scheduled: it is that of whoever asks
_COLUMNS: dict[tuple[str, ...], str] = {
    ("00080050",): "o.accession_number",
    ("00100010",): "p.name_key",
    ("00100020",): "p.mrn",
    ("00100021",): "p.issuer",
    ("00100030",): "replace(p.birth_date, '-', '')",
    ("00100040",): "p.sex",
    ("0020000D",): "o.study_uid",
    ("00321060",): "(o.body->>'procedure')",
    ("00401001",): "o.accession_number",
    ("00401003",): _PRIORITY,
    (STEPS, "00080060"): "(o.body->>'modality')",
    (STEPS, "00400001"): _STATION,
    (STEPS, "00400002"): f"to_char({_START}, 'YYYYMMDD')",
    (STEPS, "00400003"): f"to_char({_START}, 'HH24MISS')",
    (STEPS, "00400007"): "(o.body->>'procedure')",
    (STEPS, "00400009"): "o.accession_number",
}
# An order leaves when its images are here or its step is over; while a step is under way it stays.
_WAITING = """
SELECT o.study_uid, o.accession_number, p.name, p.mrn, p.issuer, p.birth_date, p.sex, o.body->>'modality',
       o.body->>'procedure', {priority}, s.name, to_char({start}, 'YYYYMMDD'), to_char({start}, 'HH24MISS')
  FROM rr.orders o
  JOIN rr.tenant t ON t.tenant_id = o.tenant_id
  JOIN rr.site s ON s.tenant_id = o.tenant_id AND s.site_id = o.site_id
  CROSS JOIN LATERAL (
       SELECT q.* FROM rr.patient n
         JOIN rr.patient q ON q.tenant_id = n.tenant_id AND q.patient_id = coalesce(n.survivor, n.patient_id)
        WHERE n.tenant_id = o.tenant_id AND n.patient_id = o.patient_id OFFSET 0) p
 WHERE o.tenant_id = $1 AND NOT o.cancelled AND {station} IS NOT NULL
   AND (EXISTS (SELECT 1 FROM rr.performed_step e WHERE e.tenant_id = o.tenant_id AND e.site_id = o.site_id
                   AND e.study_uid = o.study_uid AND e.status = 'IN PROGRESS')
     OR NOT EXISTS (SELECT 1 FROM rr.dicom_study d WHERE d.tenant_id = o.tenant_id AND d.study_uid = o.study_uid)
    AND NOT EXISTS (SELECT 1 FROM rr.performed_step e WHERE e.tenant_id = o.tenant_id AND e.site_id = o.site_id
                       AND e.study_uid = o.study_uid))
   {conditions}
 ORDER BY o.ordered_at, o.accession_number, o.site_id LIMIT $3
"""


def searchable(path: tuple[str, ...]) -> bool:
    """Whether steps can be matched by this attribute."""
    return path in _COLUMNS


async def scheduled(
    conn: Connection, who: Principal, station: str, matches: Sequence[Match], limit: int
) -> list[Scheduled]:
    """Return the steps in view that match, those that wait longest first; ``station`` is the AE title that asks."""
    made = Statement((who.tenant_id, station, limit))
    conditions = "".join(part for match in matches for part in made.where(_COLUMNS[match.path], match))
    sql = _WAITING.format(priority=_PRIORITY, start=_START, station=_STATION, conditions=conditions)
    return [Scheduled(*row) for row in await conn.fetch(sql, *made.args)]
