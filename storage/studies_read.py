"""Studies as they are looked up: one in view, a page of those that match, the past of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.events import current
from actors.domain.instant import instant
from actors.domain.row import row_for
from actors.domain.words import Role, Status
from storage import archive
from storage.worklist import ONE, wire_row

if TYPE_CHECKING:
    import asyncpg

    from actors.domain.identity import Principal
    from storage.pool import Connection
    from storage.second_reads import Hidden

FINAL_ONLY = frozenset({Role.VIEWER, Role.REFERRING_PHYSICIAN})
UNMATCHED = ("no_order", "patient_mismatch", "uid_conflict")

# Newest images first, before them orders that wait for images. The row of study `after` says where the page begins.
_PAGE = f"""
WITH listed AS (
  SELECT s.*, coalesce(d.first_image_at, 'infinity') AS since
    FROM rr.study s LEFT JOIN rr.dicom_study d USING (tenant_id, study_uid)
   WHERE s.tenant_id = $1 AND s.doc->>'moved_to' IS NULL
)
SELECT s.study_uid, s.site_id, s.status, s.referring, {archive.DOC} AS doc, t.name AS site_name,
       p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex
  FROM listed s
  JOIN rr.site t USING (tenant_id, site_id)
  LEFT JOIN rr.patient p USING (tenant_id, patient_id)
 WHERE ($2::text[] IS NULL OR s.status = ANY($2))
   AND ($3::text[] IS NULL OR s.priority = ANY($3))
   AND ($4::text IS NULL OR s.site_id = $4)
   AND ($5::text IS NULL OR s.reader = $5)
   AND ($6::text[] IS NULL OR s.flags && $6)
   AND ($7::text IS NULL OR s.referring = $7)
   AND NOT EXISTS (SELECT 1 FROM unnest($8::text[]) AS q(word)
                    WHERE concat_ws(' ', p.name, p.mrn, s.accession_number) NOT ILIKE q.word)
   AND ($9::text IS NULL OR (s.since, s.study_uid) < (SELECT b.since, b.study_uid FROM listed b WHERE b.study_uid = $9))
 ORDER BY s.since DESC, s.study_uid DESC
 LIMIT $10
"""  # noqa: S608 - constants only

_JOURNAL = """
SELECT version, type, body, by, idem, at FROM rr.journal
 WHERE tenant_id = $1 AND entity = 'study/' || $2 AND version > $3
   AND ($5::integer IS NULL OR version > $5 OR type <> ALL($6))
 ORDER BY version LIMIT $4
"""

_EXPLANATION = """
SELECT offer_id, body, at FROM rr.explanation
 WHERE tenant_id = $1 AND study_uid = $2 AND ($3::timestamptz IS NULL OR at >= $3) ORDER BY at DESC LIMIT 1
"""
# What tells of a reading; of the first one nothing of it is told to who may have to read blind.
_OF_READING = (
    "Offered", "Accepted", "Declined", "OfferExpired", "Assigned", "Released", "ReadingStarted", "LockTaken",
    "LockLapsed", "DraftSaved", "PrelimSigned",
)  # fmt: skip

_OWNER = """
SELECT site_id FROM rr.study WHERE tenant_id = $1 AND study_uid = $2
UNION ALL
SELECT site_id FROM rr.dicom_study WHERE tenant_id = $1 AND study_uid = $2
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A study in somebody's view; ``row`` holds what her role may see of it."""

    study_uid: str
    site_id: str
    status: str
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which studies; None asks for all."""

    status: list[str] | None = None
    priority: list[str] | None = None
    site_id: str | None = None
    reader: str | None = None
    flags: list[str] | None = None
    words: tuple[str, ...] = ()


def _seen(who: Principal, record: asyncpg.Record) -> Seen:
    return Seen(record["study_uid"], record["site_id"], record["status"], row_for(who.role, wire_row(record)))


async def seen(conn: Connection, who: Principal, study_uid: str) -> Seen | None:
    """Return the study if it is in her view: her sites', and for readers of reports a final one.

    Args:
        conn: a transaction of :meth:`storage.pool.Database.view` for ``who``.
        who: whose view.
        study_uid: which.
    """
    record = await conn.fetchrow(ONE, who.tenant_id, study_uid)
    if record is None or (who.role in FINAL_ONLY and record["status"] != Status.FINAL):
        return None
    if who.role is Role.REFERRING_PHYSICIAN and record["referring"] != who.user_id:
        return None
    return _seen(who, record)


async def page(conn: Connection, who: Principal, wanted: Wanted, after: str | None, limit: int) -> list[Seen]:
    """Return at most ``limit`` studies of her view that match, from below the study ``after``."""
    status = wanted.status
    if who.role in FINAL_ONLY:
        status = [s for s in (status or [Status.FINAL]) if s == Status.FINAL]
    referring = who.user_id if who.role is Role.REFERRING_PHYSICIAN else None
    escaped = (w.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for w in wanted.words)
    records = await conn.fetch(
        _PAGE, who.tenant_id, status, wanted.priority, wanted.site_id, wanted.reader, wanted.flags, referring,
        [f"%{word}%" for word in escaped], after, limit,
    )  # fmt: skip
    return [_seen(who, r) for r in records]


async def history(  # noqa: PLR0913, PLR0917 - a page of what a view may see
    conn: Connection, tenant_id: str, study_uid: str, after: int, limit: int, hidden: Hidden | None = None
) -> list[dict[str, Any]]:
    """Return events of a study's journal from above version ``after``, oldest first, without what is hidden."""
    rev = hidden.rev if hidden else None
    return [
        {
            "version": r["version"], "type": r["type"], "at": instant(r["at"]), "by": r["by"],
            "data": current(r["type"], msgspec.json.decode(r["body"])) | ({"idem": r["idem"]} if r["idem"] else {}),
        }
        for r in await conn.fetch(_JOURNAL, tenant_id, study_uid, after, limit, rev, list(_OF_READING))
    ]  # fmt: skip


async def explanation(
    conn: Connection, tenant_id: str, study_uid: str, hidden: Hidden | None = None
) -> dict[str, Any] | None:
    """Return the last decision about a study: factors, runners-up, what would change it; none that is hidden."""
    record = await conn.fetchrow(_EXPLANATION, tenant_id, study_uid, hidden.since if hidden else None)
    if record is None:
        return None
    body: dict[str, Any] = msgspec.json.decode(record["body"])
    return {"offer_id": record["offer_id"], "at": instant(record["at"])} | body


async def owner(conn: Connection, tenant_id: str, study_uid: str) -> str | None:
    """Return the site that a study UID belongs to in the whole tenant, or None."""
    site: str | None = await conn.fetchval(_OWNER, tenant_id, study_uid)
    return site
