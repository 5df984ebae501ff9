"""Modality performed procedure steps, and notices that images exist: what a study waits for (PS3.4 F.7, R)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from gateway.dimse import find
from gateway.dimse.status import Duplicate, Failure, InvalidValue, MissingAttribute, NoSuchInstance
from gateway.ingest import dicom_json
from gateway.ingest.dimse import SUCCESS, Tag
from storage import performed
from storage.performed import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.dimse.room import Room
    from gateway.dimse.talk import Asked
    from gateway.ingest.dicom_json import DataSet

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
_STATUS, _SCHEDULED, _SERIES = "00400252", "00400270", "00400340"
_IMAGES, _OTHERS, _UID = "00081140", "00400220", "00081155"
_STUDY, _ACCESSION = "0020000D", "00080050"
_OF_SERIES, _OF_INSTANCES, _AVAILABILITY = "00081115", "00081199", "00080056"

log = structlog.get_logger()


def create(room: Room, asked: Asked) -> None:
    """N-CREATE: a modality has begun."""
    wanted, sender = find.parsed(asked), asked.talk.caller
    if _text(wanted, _STATUS) != IN_PROGRESS:
        raise InvalidValue("(0040,0252) begins as IN PROGRESS")
    step_uid = asked.request.sop_uid or f"2.25.{uuid4().int}"
    made = _step(wanted)

    async def work() -> bool:
        async with room.rows.scope([sender.tenant_id], [sender.site_id]) as conn:
            return await performed.create(conn, sender.tenant_id, sender.site_id, step_uid, made)

    if not room.run(work()):
        raise Duplicate("there is such a step")
    log.info(
        "step begun", tenant_id=sender.tenant_id, site_id=sender.site_id, step_uid=step_uid, study_uid=made.study_uid
    )
    asked.talk.answer(asked.context_id, asked.request, SUCCESS, says={Tag.SOP_UID: step_uid})


def change(room: Room, asked: Asked) -> None:
    """N-SET: it goes on, or is over; then its study knows what to wait for."""
    wanted, sender, step_uid = find.parsed(asked), asked.talk.caller, asked.request.sop_uid
    status = _text(wanted, _STATUS)
    if status not in ("", IN_PROGRESS, COMPLETED, DISCONTINUED):
        raise InvalidValue("(0040,0252) is IN PROGRESS, COMPLETED or DISCONTINUED")

    async def work() -> tuple[Step, set[int]]:
        async with room.rows.scope([sender.tenant_id], [sender.site_id]) as conn:
            known = await performed.step(conn, sender.tenant_id, sender.site_id, step_uid)
            if known is None:
                raise NoSuchInstance("there is no such step")
            if known.status != IN_PROGRESS:
                raise Failure("the step is over and does not change")
            header = known.header | wanted
            after = Step(known.study_uid, known.accession_number, status or known.status, _made(header), header)
            await performed.change(conn, sender.tenant_id, sender.site_id, step_uid, after)
            if after.status == IN_PROGRESS:
                return after, set()
            return after, await performed.tell(conn, sender.tenant_id, sender.site_id, after.study_uid)

    after, shards = room.run(work())
    log.info("step changed", tenant_id=sender.tenant_id, site_id=sender.site_id, step_uid=step_uid,
             status=after.status, images=after.images)  # fmt: skip
    room.tell(shards)
    asked.talk.answer(asked.context_id, asked.request, SUCCESS)


def notice(room: Room, asked: Asked) -> None:
    """N-CREATE of an instance availability notification: so many images of a study exist."""
    wanted, sender = find.parsed(asked), asked.talk.caller
    study_uid = _text(wanted, _STUDY)
    if not study_uid:
        raise MissingAttribute("(0020,000D)")
    named = asked.request.sop_uid or f"2.25.{uuid4().int}"
    exist = {
        _text(item, _UID)
        for series in _items(wanted, _OF_SERIES)
        for item in _items(series, _OF_INSTANCES)
        if _text(item, _AVAILABILITY) != "UNAVAILABLE"
    }

    async def work() -> set[int]:
        async with room.rows.scope([sender.tenant_id], [sender.site_id]) as conn:
            await performed.notice(conn, sender.tenant_id, sender.site_id, named, study_uid, len(exist))
            return await performed.tell(conn, sender.tenant_id, sender.site_id, study_uid)

    room.tell(room.run(work()))
    log.info(
        "images announced", tenant_id=sender.tenant_id, site_id=sender.site_id, study_uid=study_uid, images=len(exist)
    )
    asked.talk.answer(asked.context_id, asked.request, SUCCESS, says={Tag.SOP_UID: named})


def _step(wanted: DataSet) -> Step:
    scheduled = next(_items(wanted, _SCHEDULED), {})
    study_uid = _text(scheduled, _STUDY)
    if not study_uid:
        raise MissingAttribute("(0040,0270) > (0020,000D)")
    return Step(study_uid, _text(scheduled, _ACCESSION), IN_PROGRESS, _made(wanted), wanted)


def _made(header: DataSet) -> int:
    """Return how many instances a step says it made."""
    return len({
        _text(item, _UID)
        for series in _items(header, _SERIES)
        for sequence in (_IMAGES, _OTHERS)
        for item in _items(series, sequence)
    })  # fmt: skip


def _items(data: DataSet, sequence: str) -> Iterator[DataSet]:
    yield from data.get(sequence, {}).get("Value") or ()


def _text(data: DataSet, tag: str) -> str:
    return dicom_json.first(data, tag)
