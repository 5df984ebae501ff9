"""QIDO-RS: studies, series and instances in view, as the DICOM JSON model (PS3.18 10.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.errors import NotFound
from gateway.dicomweb import query
from gateway.dicomweb.answer import VARY, whole
from gateway.dicomweb.negotiation import JSON, want_json
from storage import dicom, dicom_query
from storage.dicom_query import INSTANCE, SERIES, STUDY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from actors.domain.identity import Principal
    from gateway.deps import Deps
    from gateway.dicomweb.query import Query
    from storage.dicom_query import Found, FoundPatient
    from storage.modality_worklist import Scheduled

Element = dict[str, Any]

# Returned unasked (PS3.18 Tables 10.6.3-3 to 10.6.3-5), with what a viewer lists.
_STUDY_TAGS = frozenset({
    "00080005", "00080020", "00080030", "00080050", "00080051", "00080090", "00080201", "00081030", "00100010", "00100020",
    "00100021", "00100030", "00100040", "0020000D", "00200010",
})  # fmt: skip
_SERIES_TAGS = frozenset({
    "00080005", "00080021", "00080031", "00080060", "0008103E", "00180015", "0020000E", "00200011", "00200060", "00400244",
    "00400245", "00400275",
})  # fmt: skip
_INSTANCE_TAGS = frozenset({
    "00080005", "00080016", "00080018", "00080201", "0020000D", "0020000E", "00200013", "00280008", "00280010", "00280011",
    "00280100", "0040A043", "0040A491", "0040A493", "0040A496",
})  # fmt: skip
_MORE = '299 {host}: "There are additional results that can be requested."'


class Qido:
    """Handlers of the searches."""

    def __init__(self, deps: Deps) -> None:
        self._db = deps.app_db

    async def studies(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """``/studies``."""
        return await self._answer(request, who, STUDY)

    async def series(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """``/series`` and ``/studies/{study}/series``."""
        return await self._answer(request, who, SERIES)

    async def instances(self, request: web.Request, who: Principal) -> web.StreamResponse:
        """``/instances``, of everything, of a study or of a series."""
        return await self._answer(request, who, INSTANCE)

    async def _answer(self, request: web.Request, who: Principal, level: str) -> web.StreamResponse:
        study_uid, series_uid = request.match_info.get("study"), request.match_info.get("series")
        if study_uid is not None:
            async with self._db.view(who, only_read=True) as conn:
                if not await _seen(conn, who, study_uid, series_uid):
                    raise NotFound
        want_json(request)
        asked = query.parse(request.query, level, study_uid=study_uid, series_uid=series_uid)
        found, more = await dicom_query.found(self._db.looking, who, asked.search)
        base = f"{request.scheme}://{request.host}/dicom-web"
        body = msgspec.json.encode([result(one, level, asked, base) for one in found], order="sorted")
        headers = {"Content-Type": JSON, "Cache-Control": "no-store", "Vary": VARY}
        if more:
            headers["Warning"] = _MORE.format(host=request.host)
        return await whole(request, headers, body)


async def _seen(conn: Any, who: Principal, study_uid: str, series_uid: str | None) -> bool:
    if not study_uid.isprintable() or not (series_uid or "").isprintable():
        return False
    if series_uid is None:
        return await dicom.in_view(conn, who, study_uid)
    return await dicom.series_in_view(conn, who, study_uid, series_uid)


def result(one: Found, level: str, asked: Query, base: str) -> Mapping[str, Element]:
    """Return one result; what the rows say outranks what a header says."""
    study = _picked(one.study, _STUDY_TAGS, asked, whole=level == STUDY)
    url = f"{base}/studies/{one.study_uid}"
    if level == STUDY:
        return study | _study(one) | {"00080056": _element("CS", "ONLINE"), "00081190": _element("UR", url)}
    out = study | _study(one) if asked.search.study_uid is None else {"0020000D": _element("UI", one.study_uid)}
    series = _picked(one.series or "{}", _SERIES_TAGS, asked, whole=level == SERIES)
    url += f"/series/{one.series_uid}"
    if level == SERIES or asked.search.series_uid is None:
        out |= series | {
            "00080060": _element("CS", one.modality),
            "00201209": _element("IS", one.series_images),
        }
    out["0020000E"] = _element("UI", one.series_uid)
    if level == INSTANCE:
        out = _picked(one.instance or "{}", _INSTANCE_TAGS, asked) | out
        out["00080016"], out["00080018"] = _element("UI", one.sop_class), _element("UI", one.sop_uid)
        out["00080056"] = _element("CS", "ONLINE")
        url += f"/instances/{one.sop_uid}"
    known = {tag: element for tag, element in patient(one).items() if tag in out}
    return out | known | {"00081190": _element("UR", url)}


def _picked(text: str, tags: frozenset[str], asked: Query, *, whole: bool = False) -> dict[str, Element]:
    """Return the attributes of a header that are wanted; ``whole`` keeps the few that a row holds."""
    header: dict[str, Element] = msgspec.json.decode(text)
    if asked.everything or whole:
        return header
    return {tag: element for tag, element in header.items() if tag in tags or tag in asked.include}


def _element(vr: str, value: Any) -> Element:
    return {"vr": vr} if value in ("", None, []) else {"vr": vr, "Value": value if isinstance(value, list) else [value]}


def _name(text: str) -> Element:
    parts = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return _element("PN", [value] if (value := {kind: part for kind, part in parts if part}) else None)


def patient(one: Found | FoundPatient | Scheduled) -> dict[str, Element]:
    """Return who it is about, as the row says."""
    return {
        "00100010": _name(one.name),
        "00100020": _element("LO", one.mrn),
        "00100021": _element("LO", one.issuer),
        "00100030": _element("DA", one.birth_date.replace("-", "")),
        "00100040": _element("CS", one.sex),
    }


def _study(one: Found) -> dict[str, Element]:
    return patient(one) | {
        "00080020": _element("DA", one.study_date),
        "00080030": _element("TM", one.study_time),
        "00080050": _element("SH", one.accession_number),
        "00080061": _element("CS", one.modalities),
        "0020000D": _element("UI", one.study_uid),
        "00201206": _element("IS", one.related_series),
        "00201208": _element("IS", one.related_images),
    }
