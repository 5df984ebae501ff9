"""Modality worklist: orders that wait for their images, as scheduled procedure steps (PS3.4 K)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.dicomweb import qido
from gateway.dimse import find
from storage import modality_worklist
from storage.modality_worklist import STEPS

if TYPE_CHECKING:
    from gateway.dimse.room import Room
    from gateway.dimse.talk import Asked
    from gateway.ingest.dicom_json import DataSet, Element
    from storage.dicom_query import Match
    from storage.modality_worklist import Scheduled

MOST = 2000


def serve(room: Room, asked: Asked) -> None:
    """Answer with each step that the caller's sites have scheduled."""
    wanted = find.parsed(asked)
    matches = tuple(find.matches(wanted, modality_worklist.searchable))
    found = room.run(_scheduled(room, asked, matches))
    station = asked.talk.caller.aet
    answers = (find.picked(wanted, _item(one, station)) for one in found[:MOST])
    find.answer(asked, wanted, answers, more=len(found) > MOST)


async def _scheduled(room: Room, asked: Asked, matches: tuple[Match, ...]) -> list[Scheduled]:
    sender = asked.talk.caller
    async with room.views.view(sender.principal) as conn:
        return await modality_worklist.scheduled(conn, sender.principal, sender.aet, matches, MOST + 1)


def _one(vr: str, value: Any) -> Element:
    return {"vr": vr, "Value": [value]} if value else {"vr": vr}


def _item(one: Scheduled, station: str) -> DataSet:
    number = one.accession_number[:16]
    step: DataSet = {
        "00080060": _one("CS", one.modality),
        "00400001": _one("AE", station),
        "00400002": _one("DA", one.start_date),
        "00400003": _one("TM", one.start_time),
        "00400007": _one("LO", one.procedure[:64]),
        "00400009": _one("SH", number),
        "00400011": _one("SH", one.site[:16]),
        "00400020": _one("CS", "SCHEDULED"),
    }
    return qido.patient(one) | {
        "00080050": _one("SH", one.accession_number),
        "0020000D": _one("UI", one.study_uid),
        "00321060": _one("LO", one.procedure[:64]),
        "00401001": _one("SH", number),
        "00401003": _one("SH", one.priority),
        STEPS: {"vr": "SQ", "Value": [step]},
    }
