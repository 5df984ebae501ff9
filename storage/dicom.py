"""Images as a session may see them: studies in view, headers, where the bytes lie, who opened what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.domain.words import Role
from storage.alike import OTHER, WHOLE

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.identity import Principal
    from storage.pool import Connection

FINAL_ONLY = frozenset({Role.VIEWER, Role.REFERRING_PHYSICIAN})

# Row-level security keeps to the tenant and its sites; viewers see final studies only, and a
# referring physician those whose order names her.
SEEN = """
   AND d.tenant_id = $1 AND (NOT $2::boolean OR EXISTS (
       SELECT 1 FROM rr.study v WHERE v.tenant_id = d.tenant_id AND v.study_uid = d.study_uid
          AND v.status = 'final' AND ($3::text IS NULL OR v.referring = $3)))
"""


def sight(who: Principal) -> tuple[str, bool, str | None]:
    """Return what :data:`SEEN` takes as $1, $2 and $3."""
    referring = who.user_id if who.role is Role.REFERRING_PHYSICIAN else None
    return who.tenant_id, who.role in FINAL_ONLY, referring


_STUDY = f"SELECT 1 FROM rr.dicom_study d WHERE d.study_uid = $4 {SEEN}"  # noqa: S608 - constants only


async def in_view(conn: Connection, who: Principal, study_uid: str) -> bool:
    """Whether the session sees images of this study."""
    return await conn.fetchval(_STUDY, *sight(who), study_uid) is not None


_SERIES = f"""
SELECT 1 FROM rr.dicom_study d JOIN rr.series s ON s.tenant_id = d.tenant_id AND s.study_uid = d.study_uid
 WHERE d.study_uid = $4 AND s.series_uid = $5 {SEEN}
"""  # noqa: S608


async def series_in_view(conn: Connection, who: Principal, study_uid: str, series_uid: str) -> bool:
    """Whether the session sees this series."""
    return await conn.fetchval(_SERIES, *sight(who), study_uid, series_uid) is not None


# One row a user, study and ten minutes; several gateways agree on it.
_OPENED = """
INSERT INTO rr.access (tenant_id, user_id, act, subject)
SELECT $1, $2, 'study_opened', $3
 WHERE NOT EXISTS (SELECT 1 FROM rr.access WHERE tenant_id = $1 AND subject = $3 AND user_id = $2
                      AND act = 'study_opened' AND at > now() - interval '10 minutes')
"""


async def opened(conn: Connection, who: Principal, study_uid: str) -> bool:
    """Record that this person opened this study, unless she did so within the last ten minutes; say whether."""
    return await conn.execute(_OPENED, who.tenant_id, who.user_id, study_uid) != "INSERT 0 0"


# A study kept apart carries another UID in its headers; what we show is ours. Demographics that were corrected since,
# or are another patient's now, are shown in place of those received (w); files stay as they are.
_SHOWN = f"CASE WHEN w.header IS NULL THEN {WHOLE} ELSE {WHOLE} || w.header END"
_HEADER = f"""CASE WHEN d.header_study_uid = d.study_uid THEN {_SHOWN}
  ELSE jsonb_set({_SHOWN}, '{{0020000D,Value}}', jsonb_build_array(d.study_uid)) END::text"""
_WHOSE = """
  LEFT JOIN rr.study r ON r.tenant_id = d.tenant_id AND r.study_uid = d.study_uid
  LEFT JOIN LATERAL (SELECT p.patient_id, p.edition, rr.patient_header(p) AS header FROM rr.patient p
                      WHERE p.tenant_id = d.tenant_id AND p.patient_id = coalesce(r.patient_id, d.patient_id)
                        AND (p.edition > 0 OR p.patient_id <> d.patient_id) OFFSET 0) w ON true
"""
_BELOW = """
  FROM rr.dicom_study d
  JOIN rr.instance i ON i.tenant_id = d.tenant_id AND i.study_uid = d.study_uid
{whose} WHERE d.study_uid = $4 AND ($5::text IS NULL OR i.series_uid = $5) AND ($6::text IS NULL OR i.sop_uid = $6)
"""
_IN_ORDER = " ORDER BY i.series_uid, i.header #> '{00200013,Value,0}', i.sop_uid"
_HEADERS = f"SELECT {_HEADER} {_BELOW.format(whose=OTHER + _WHOSE)} {SEEN} {_IN_ORDER}"


async def headers(
    conn: Connection, who: Principal, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
) -> list[str]:
    """Return DICOM JSON texts, one an instance, by series and instance number; none if not in view."""
    return [row[0] for row in await conn.fetch(_HEADERS, *sight(who), study_uid, series_uid, sop_uid)]


# Both counts change in the transaction that brings images; headers change only with whose they are.
_EDITION = f"""
SELECT concat_ws('/', coalesce(s.images, d.images), w.patient_id, w.edition)
  FROM rr.dicom_study d {_WHOSE}
  LEFT JOIN rr.series s ON s.tenant_id = d.tenant_id AND s.study_uid = d.study_uid AND s.series_uid = $5
 WHERE d.study_uid = $4 AND ($5::text IS NULL OR s.series_uid IS NOT NULL) {SEEN}
"""  # noqa: S608


async def edition(conn: Connection, who: Principal, study_uid: str, series_uid: str | None = None) -> list[str]:
    """Return what tells one state of a study's or series' headers from the next; nothing if not in view."""
    return [row[0] for row in await conn.fetch(_EDITION, *sight(who), study_uid, series_uid)]


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an instance lies."""

    study_uid: str
    header_study_uid: str  # as its bytes say
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    path: str
    size: int
    sha256: bytes
    image: bool  # it has rows and columns
    received_at: datetime


_STORED = f"""
SELECT d.study_uid, d.header_study_uid, i.series_uid, i.sop_uid, i.sop_class, i.transfer_syntax, i.path, i.size,
       i.sha256, i.header ? '00280010' AS image, i.received_at
{_BELOW.format(whose="")} {SEEN} {_IN_ORDER}
"""


async def stored(
    conn: Connection, who: Principal, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
) -> list[Stored]:
    """Return where the instances lie, by series and instance number; none if not in view."""
    return [Stored(*row) for row in await conn.fetch(_STORED, *sight(who), study_uid, series_uid, sop_uid)]
