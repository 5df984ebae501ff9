"""Second readings as they are looked up: what is hidden from whom, and the texts side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.instant import instant
from actors.domain.study import load
from actors.domain.words import READERS, ReportStatus
from storage import archive
from storage.worklist import ONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from actors.domain.identity import Principal
    from storage.pool import Connection

# Whether report r is the first of a blind second reading that is not signed yet, and not by the reader of the parameter.
UNSEEN = """EXISTS (
        SELECT 1 FROM rr.study s
         WHERE s.tenant_id = r.tenant_id AND s.study_uid = r.study_uid
           AND s.doc #>> '{{second,kind}}' = 'double' AND s.doc #>> '{{second,state}}' = 'waiting'
           AND s.doc #>> '{{second,blind}}' = 'true'
           AND s.doc #>> '{{second,readings,0,report_id}}' = r.report_id
           AND s.doc #>> '{{second,readings,0,radiologist_id}}' <> {0})"""
# The readings of the study of report r, the first one first.
READINGS = f"""(
  SELECT jsonb_agg(n.reading || jsonb_build_object('at', v.at) ORDER BY n.place)
    FROM rr.study s,
         jsonb_array_elements({archive.DOC} #> '{{second,readings}}') WITH ORDINALITY AS n (reading, place)
    JOIN rr.report_version v ON v.report_id = n.reading->>'report_id' AND v.version = (n.reading->>'version')::integer
   WHERE s.tenant_id = r.tenant_id AND s.study_uid = r.study_uid AND v.tenant_id = s.tenant_id
     AND jsonb_typeof({archive.DOC} #> '{{second,readings}}') = 'array')"""  # noqa: S608 - constants only
_HIDDEN = """
SELECT (doc #>> '{second,rev}')::integer AS rev, (doc #>> '{second,since}')::timestamptz AS since
  FROM rr.study
 WHERE tenant_id = $1 AND study_uid = $2
   AND doc #>> '{second,kind}' = 'double' AND doc #>> '{second,state}' = 'waiting' AND doc #>> '{second,blind}' = 'true'
   AND doc #>> '{second,readings,0,radiologist_id}' <> $3
"""
_TEXT = "SELECT sections, at FROM rr.report_version WHERE tenant_id = $1 AND report_id = $2 AND version = $3"
_SETTLED = """
SELECT body->>'outcome' AS outcome, body->>'note' AS note, by, at FROM rr.journal
 WHERE tenant_id = $1 AND entity = 'study/' || $2 AND type = 'Settled' ORDER BY version
"""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What was before a blind second reading: events up to ``rev``, decisions up to ``since``."""

    rev: int
    since: datetime


def signatures(report: Mapping[str, Any] | asyncpg.Record) -> list[dict[str, Any]]:
    """Return who signed a report, in order; of a final one all who have read the study."""
    final, signed_at = report["status"] == ReportStatus.FINAL, instant(report["signed_at"])
    signed = [{"by": report["signed_by"], "kind": "final" if final else "prelim", "at": signed_at}]
    earlier = []
    for n, reading in enumerate(msgspec.json.decode(report["readings"] or "[]")):
        at = instant(datetime.fromisoformat(reading["at"]))
        if at != signed_at and (final or reading["report_id"] == report["report_id"]):
            earlier.append({"by": reading["radiologist_id"], "kind": "second" if n else "prelim", "at": at})
    return [*earlier, *(signed if report["signed_by"] else ())]


def blind_to(who: Principal) -> str | None:
    """Return the user from whom first reports are hidden, None for who never reads."""
    return who.user_id if who.role in READERS else None


async def hidden(conn: Connection, who: Principal, study_uid: str) -> Hidden | None:
    """Return what this person may not see of the study now, None when nothing is kept from her."""
    if blind_to(who) is None:
        return None
    record = await conn.fetchrow(_HIDDEN, who.tenant_id, study_uid, who.user_id)
    return None if record is None else Hidden(record["rev"], record["since"])


async def readings(conn: Connection, who: Principal, study_uid: str) -> dict[str, Any]:
    """Return the signed texts of a study that she may see, side by side, and what was said of them."""
    record = await conn.fetchrow(ONE, who.tenant_id, study_uid)
    second = load(msgspec.json.decode(record["doc"])).second if record else None
    if second is None:
        return {"kind": None, "state": None, "blind": False, "items": [], "settled": []}
    unseen = second.hidden if blind_to(who) is not None else None
    items = []
    for reading in second.readings:
        if reading == unseen and reading.radiologist_id != who.user_id:
            continue
        text = await conn.fetchrow(_TEXT, who.tenant_id, reading.report_id, reading.version)
        if text is not None:
            sections = msgspec.json.decode(text["sections"])
            who_when = {"radiologist_id": reading.radiologist_id, "at": instant(text["at"])}
            items.append({"report_id": reading.report_id, "version": reading.version, **who_when, "sections": sections})
    settled = [{**r, "at": instant(r["at"])} for r in await conn.fetch(_SETTLED, who.tenant_id, study_uid)]
    return {
        "kind": second.kind.value,
        "state": second.state.value,
        "blind": second.blind,
        "items": items,
        "settled": settled,
    }
