"""What is on the screens: rows of studies, readers and counters, each stream's snapshot at one instant.

Every snapshot is read within one REPEATABLE READ transaction (``Database.view(who, snapshot=True)``) and
has the form ``{as_of_seq, epoch, data}``: applying the stream's events after ``as_of_seq`` to
``data`` gives what a snapshot read later holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.commands import Patient
from actors.domain.row import locked, row, row_for, row_for_wall
from actors.domain.study import Lock, load
from actors.domain.tally import COUNTERS
from actors.domain.words import Role
from storage import archive

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

    from storage.pool import Connection

ROW = f"""
SELECT s.study_uid, s.site_id, s.status, s.referring, {archive.DOC} AS doc, t.name AS site_name,
       p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex
  FROM rr.study s
  JOIN rr.site t USING (tenant_id, site_id)
  LEFT JOIN rr.patient p USING (tenant_id, patient_id)
 WHERE s.tenant_id = $1 AND s.doc->>'moved_to' IS NULL
"""  # noqa: S608 - constants only
_OPEN = ROW + " AND s.open ORDER BY s.study_uid"
_OPEN_SITE = ROW + " AND s.open AND s.site_id = $2 ORDER BY s.study_uid"
_OPEN_READER = ROW + " AND s.open AND s.reader = $2 ORDER BY s.study_uid"
LOCK = "SELECT nullif(doc->'lock', 'null') FROM rr.study WHERE tenant_id = $1 AND study_uid = $2"
ONE = ROW + " AND s.study_uid = $2"

# STAT before URGENT before ROUTINE; the page begins below (rank, study UID).
_OPEN_PAGE = (
    ROW
    + """
   AND s.open
   AND (array_position(ARRAY['STAT', 'URGENT', 'ROUTINE'], s.priority), s.study_uid) > ($2, $3)
 ORDER BY array_position(ARRAY['STAT', 'URGENT', 'ROUTINE'], s.priority), s.study_uid
 LIMIT $4
"""
)

_HEAD = """
SELECT h.epoch, coalesce(s.seq, 0) AS seq, s.counters
  FROM rr.tenant_head h
  LEFT JOIN rr.stream_head s ON s.tenant_id = h.tenant_id AND s.stream = $2
 WHERE h.tenant_id = $1
"""

_READERS = """
SELECT rr.reader_row(m.tenant_id, m.user_id) AS reader
  FROM rr.membership m
 WHERE m.tenant_id = $1 AND m.active AND m.role IN ('radiologist', 'resident')
 ORDER BY m.user_id
"""


def wire_row(record: asyncpg.Record) -> dict[str, Any]:
    """Return the wire row of a record of :data:`ROW`."""
    patient = None
    if record["patient_id"] is not None:
        patient = Patient(
            record["patient_id"], record["name"], record["mrn"], record["issuer"], record["birth_date"], record["sex"]
        )
    return row(load(msgspec.json.decode(record["doc"])), patient, record["site_name"])


def _rows(records: Iterable[asyncpg.Record]) -> list[dict[str, Any]]:
    return [wire_row(r) for r in records]


async def study_row(conn: Connection, tenant_id: str, study_uid: str) -> dict[str, Any] | None:
    """Return the row of a study in view, or None."""
    record = await conn.fetchrow(ONE, tenant_id, study_uid)
    return None if record is None else wire_row(record)


async def open_rows(conn: Connection, tenant_id: str) -> list[dict[str, Any]]:
    """Return the row of every open study in view, by study UID."""
    return _rows(await conn.fetch(_OPEN, tenant_id))


async def open_page(conn: Connection, tenant_id: str, after: tuple[int, str], limit: int) -> list[dict[str, Any]]:
    """Return at most ``limit`` open rows in view, most urgent first, from below (priority's rank, study UID)."""
    rank, study_uid = after
    return _rows(await conn.fetch(_OPEN_PAGE, tenant_id, rank + 1, study_uid, limit))


async def board(conn: Connection, tenant_id: str) -> dict[str, Any]:
    """Return counters, readers and the position that a page of rows of the same snapshot belongs to."""
    head, counters = await _head(conn, tenant_id, f"tenant:{tenant_id}")
    return {"counters": counters, "readers": await readers(conn, tenant_id), "as_of_seq": head["as_of_seq"]}


async def readers(conn: Connection, tenant_id: str) -> list[dict[str, Any]]:
    """Return the tenant's reader rows."""
    return [msgspec.json.decode(r["reader"]) for r in await conn.fetch(_READERS, tenant_id)]


async def _head(conn: Connection, tenant_id: str, stream: str) -> tuple[dict[str, Any], dict[str, int]]:
    head = await conn.fetchrow(_HEAD, tenant_id, stream)
    counters = dict.fromkeys(COUNTERS, 0)
    if head is None:
        return {"as_of_seq": 0, "epoch": ""}, counters
    if head["counters"]:
        counters.update(msgspec.json.decode(head["counters"]))
    return {"as_of_seq": head["seq"], "epoch": head["epoch"]}, counters


async def tenant_snapshot(conn: Connection, tenant_id: str) -> dict[str, Any]:
    """Return stream ``tenant:``: every open row, the readers, the counters."""
    head, counters = await _head(conn, tenant_id, f"tenant:{tenant_id}")
    rows = await open_rows(conn, tenant_id)
    return head | {"data": {"rows": rows, "readers": await readers(conn, tenant_id), "counters": counters}}


async def site_snapshot(conn: Connection, tenant_id: str, site_id: str) -> dict[str, Any]:
    """Return stream ``site:``: the site's open rows as its technologists see them."""
    head, counters = await _head(conn, tenant_id, f"site:{site_id}")
    rows = _rows(await conn.fetch(_OPEN_SITE, tenant_id, site_id))
    return head | {"data": {"rows": [row_for(Role.TECHNOLOGIST, r) for r in rows], "counters": counters}}


async def user_snapshot(conn: Connection, tenant_id: str, user_id: str) -> dict[str, Any]:
    """Return stream ``user:``: what is offered or assigned to the person."""
    head, _ = await _head(conn, tenant_id, f"user:{user_id}")
    rows = _rows(await conn.fetch(_OPEN_READER, tenant_id, user_id))
    return head | {"data": {"rows": rows, "messages": []}}


async def study_snapshot(conn: Connection, tenant_id: str, study_uid: str) -> dict[str, Any] | None:
    """Return stream ``study:``, None when the study is not in view."""
    found = await study_row(conn, tenant_id, study_uid)
    if found is None:
        return None
    head, _ = await _head(conn, tenant_id, f"study:{study_uid}")
    held = await conn.fetchval(LOCK, tenant_id, study_uid)
    lock = locked(msgspec.json.decode(held, type=Lock)) if held else None
    return head | {"data": {"row": found, "lock": lock, "report": found["report"], "messages": []}}


async def wall_snapshot(conn: Connection, tenant_id: str) -> dict[str, Any]:
    """Return stream ``wall:``: every open row without its patient."""
    head, counters = await _head(conn, tenant_id, f"wall:{tenant_id}")
    rows = [row_for_wall(r) for r in await open_rows(conn, tenant_id)]
    return head | {"data": {"rows": rows, "counters": counters}}
