"""C-FIND of patients, studies, series and instances, by the searches that QIDO-RS uses (PS3.4 C.4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.dicomweb import qido
from gateway.dicomweb.problem import BadRequest
from gateway.dicomweb.query import Query, conditions
from gateway.dimse import identifier
from gateway.dimse.identifier import CHARACTER_SET, NotAnIdentifier
from gateway.dimse.status import CannotProcess, Mismatch, TooMuch
from gateway.ingest.dimse import CANCELLED, PENDING, SUCCESS
from storage import dicom_query
from storage.dicom_query import INSTANCE, PATIENT, SERIES, STUDY, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from actors.domain.identity import Principal
    from gateway.dimse.room import Room
    from gateway.dimse.talk import Asked
    from gateway.ingest.dicom_json import DataSet, Element
    from storage.dicom_query import FoundPatient, Match

LEVEL, RETRIEVE_AE = "00080052", "00080054"
LEVELS = {"PATIENT": PATIENT, "STUDY": STUDY, "SERIES": SERIES, "IMAGE": INSTANCE}
UNIQUE = {PATIENT: "00100020", STUDY: "0020000D", SERIES: "0020000E", INSTANCE: "00080018"}
MOST = 20_000  # results of one answer
_PAGE = 1000
_NOT_KEYS = frozenset({CHARACTER_SET, LEVEL, "00080053", RETRIEVE_AE, "00080056", "00080201"})
_PATIENT_ROOT = ".1.2.1."


def level_of(asked: DataSet, sop_class: str) -> str:
    """Return the level of a query.

    Raises:
        Mismatch: none, or not one of this root.
    """
    said = identifier.text(asked.get(LEVEL, {"vr": "CS"})).strip().upper()
    level = LEVELS.get(said)
    if level is None or (level == PATIENT and _PATIENT_ROOT not in sop_class):
        raise Mismatch(f"the query retrieve level {said or 'is missing'}"[:60])
    return level


def parsed(asked: Asked) -> DataSet:
    """Return the identifier of a request.

    Raises:
        CannotProcess: it is no data set.
    """
    try:
        return identifier.read(asked.data, asked.talk.contexts[asked.context_id].transfer_syntax)
    except NotAnIdentifier as exc:
        raise CannotProcess(str(exc)) from exc


def matches(wanted: DataSet, known: Callable[[tuple[str, ...]], bool], above: tuple[str, ...] = ()) -> Iterator[Match]:
    """Yield the conditions of an identifier; keys that are not known match anything (PS3.4 C.2.2.1.3).

    Raises:
        CannotProcess: a value is not one that its attribute can have; the comment names it.
    """
    for tag, element in wanted.items():
        path = (*above, tag)
        if element["vr"] == "SQ":
            for item in element.get("Value") or ():
                yield from matches(item, known, path)
        elif (value := identifier.text(element)) and known(path):
            try:
                yield from conditions(".".join(path), value)
            except BadRequest as exc:
                raise CannotProcess(f"({tag[:4]},{tag[4:]}) cannot be matched with this value") from exc


def known_at(level: str) -> Callable[[tuple[str, ...]], bool]:
    """Return which keys are matched at a level."""
    return lambda path: path[0] not in _NOT_KEYS and dicom_query.searchable(path[0], level)


def serve(room: Room, asked: Asked) -> None:
    """Answer with each result as pending, then with the end (PS3.4 C.4.1.3)."""
    wanted = parsed(asked)
    level = level_of(wanted, asked.request.sop_class)
    search = Search(level, None, None, tuple(matches(wanted, known_at(level))), _PAGE, 0)
    found, more = room.run(_found(room, asked.talk.caller.principal, search))
    ours = {LEVEL: wanted[LEVEL], RETRIEVE_AE: {"vr": "AE", "Value": [room.aet]}}
    answer(asked, wanted, (picked(wanted, result) | ours for result in found), more=more)


def answer(asked: Asked, wanted: DataSet, results: Iterable[DataSet], *, more: bool) -> None:
    """Answer with results until they end or the caller has enough.

    Raises:
        TooMuch: there are more, which are not sent.
    """
    talk, request, context_id = asked.talk, asked.request, asked.context_id
    syntax = talk.contexts[context_id].transfer_syntax
    character_set = identifier.text(wanted.get(CHARACTER_SET, {"vr": "CS"}))
    for result in results:
        if talk.cancelled(request):
            talk.answer(context_id, request, CANCELLED)
            return
        talk.answer(context_id, request, PENDING, data=identifier.write(result, syntax, character_set))
    if more:
        raise TooMuch(f"more than {MOST} match: ask for less")
    talk.answer(context_id, request, SUCCESS)


async def _found(room: Room, who: Principal, search: Search) -> tuple[Sequence[Mapping[str, Element]], bool]:
    """Return all results, as of one instant, and whether there were too many."""
    query = Query(search, everything=True)
    results: list[Mapping[str, Element]] = []
    async with room.views.view(who, snapshot=True) as conn:
        while len(results) < MOST:
            page = Search(search.level, None, None, search.matches, _PAGE, len(results))
            more: bool
            if search.level == PATIENT:
                patients, more = await dicom_query.find_patients(conn, who, page)
                results += [_patient(one) for one in patients]
            else:
                found, more = await dicom_query.find(conn, who, page)
                results += [qido.result(one, search.level, query, "") for one in found]
            if not more:
                return results, False
    return results, True


def _patient(one: FoundPatient) -> DataSet:
    return qido.patient(one) | {
        "00201200": {"vr": "IS", "Value": [one.studies]},
        "00201202": {"vr": "IS", "Value": [one.series]},
        "00201204": {"vr": "IS", "Value": [one.images]},
    }


def picked(wanted: Mapping[str, Element], result: Mapping[str, Element]) -> DataSet:
    """Return of a result what was asked for, and empty what it has not."""
    out: DataSet = {}
    for tag, element in wanted.items():
        if tag == CHARACTER_SET or tag.endswith("0000"):
            continue
        has: dict[str, Any] = dict(result.get(tag) or {"vr": element["vr"]})
        keys = (element.get("Value") or [None])[0] if element["vr"] == "SQ" else None
        if isinstance(keys, dict) and keys and has.get("Value"):
            has["Value"] = [picked(keys, item) for item in has["Value"]]
        out[tag] = has
    return out
