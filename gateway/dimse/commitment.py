"""Storage commitment, push model: what is named is looked for, its bytes are checked, and the asker is told (PS3.4 J).

The answer goes over the association that asked while that is open and silent, else over one of ours, again and again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from pydicom.uid import UID
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from gateway.dimse import find, identifier
from gateway.dimse.calling import NotAnswered, call
from gateway.dimse.forms import NATIVE
from gateway.dimse.status import InvalidValue, MissingAttribute, NoSuchInstance
from gateway.dimse.talk import Unexpected
from gateway.ingest import dicom_json
from gateway.ingest.dimse import SUCCESS, Operation, Tag
from gateway.ingest.negotiation import COMMITMENT
from gateway.ingest.wire import Closed
from storage import commitments, quiet
from storage.commitments import Owed
from storage.faults import AWAY
from storage.ingest import Away

if TYPE_CHECKING:
    from gateway.dimse.room import Room
    from gateway.dimse.talk import Asked, Talk
    from gateway.ingest.dicom_json import DataSet

_INSTANCE = "1.2.840.10008.1.20.1.1"  # well known (PS3.4 J.3.5)
_TRANSACTION, _WANTED, _FAILED, _REASON = "00081195", "00081199", "00081198", "00081197"
_CLASS, _UID, _RETRIEVE_AE = "00081150", "00081155", "00080054"
_NOT_THERE, _OTHER_CLASS, _BROKEN = 0x0112, 0x0119, 0x0110  # PS3.3 C.14.1.1
_ALL, _SOME = 1, 2
_SILENCE_S, _LATER_S, _SWEEP_S = 0.5, 5.0, 2.0
_ATTEMPTS = 40  # a day and a half

log = structlog.get_logger()


def serve(room: Room, asked: Asked) -> None:
    """N-ACTION: owe an answer, and give it at once if the caller listens."""
    talk, request = asked.talk, asked.request
    if request.sop_uid != _INSTANCE:
        raise NoSuchInstance("storage commitment is asked of its well-known instance")
    if request.number(Tag.ACTION_TYPE) != 1:
        raise InvalidValue("there is action type 1 only")
    wanted = find.parsed(asked)
    transaction = dicom_json.first(wanted, _TRANSACTION)
    items = wanted.get(_WANTED, {}).get("Value") or []
    named = [(dicom_json.first(item, _CLASS), dicom_json.first(item, _UID)) for item in items]
    if not transaction or not named:
        raise MissingAttribute("(0008,1195) and (0008,1199) are needed")
    sender = talk.caller
    owed = Owed(sender.tenant_id, sender.ae_id, transaction, sender.site_id, named, 0)
    room.run(_owe(room, owed))
    talk.answer(asked.context_id, request, SUCCESS)
    if not talk.wire.waiting(_SILENCE_S):
        _tell(room, talk, asked.context_id, owed, wide=sender.wide)


async def _owe(room: Room, owed: Owed) -> None:
    async with room.rows.scope([owed.tenant_id], [owed.site_id]) as conn:
        await commitments.owe(conn, owed, _LATER_S)


def _tell(room: Room, talk: Talk, context_id: int, owed: Owed, *, wide: bool) -> None:
    """Report and forget."""
    report = _report(room, owed, wide=wide)
    syntax = talk.contexts[context_id].transfer_syntax
    said: dict[int, int | str] = {
        Tag.SOP_CLASS: COMMITMENT, Tag.OPERATION: Operation.N_EVENT_REPORT, Tag.SOP_UID: _INSTANCE,
        Tag.EVENT_TYPE: _SOME if _FAILED in report else _ALL,
    }  # fmt: skip
    answer = talk.ask(context_id, said, identifier.write(report, syntax))
    if answer.status == SUCCESS:
        room.run(_forget(room, owed))
        log.info("commitment told", tenant_id=owed.tenant_id, ae_id=owed.ae_id, images=len(owed.wanted),
                 failed=len(report.get(_FAILED, {}).get("Value", ())))  # fmt: skip


async def _forget(room: Room, owed: Owed) -> None:
    async with room.rows.scope([owed.tenant_id], [owed.site_id]) as conn:
        await commitments.told(conn, owed)


def _report(room: Room, owed: Owed, *, wide: bool) -> DataSet:
    """Return the event's data set: what is safe, and what is not and why."""

    async def look() -> list[commitments.Kept]:
        async with room.rows.scope([owed.tenant_id]) as conn:
            site_id = None if wide else owed.site_id
            return await commitments.kept(conn, owed.tenant_id, site_id, [uid for _, uid in owed.wanted])

    kept = {one.sop_uid: one for one in room.run(look())}
    safe, failed = [], []
    for sop_class, sop_uid in owed.wanted:
        item: DataSet = {_CLASS: {"vr": "UI", "Value": [sop_class]}, _UID: {"vr": "UI", "Value": [sop_uid]}}
        reason = _reason(room, kept.get(sop_uid), sop_class)
        if reason:
            failed.append(item | {_REASON: {"vr": "US", "Value": [reason]}})
        else:
            safe.append(item)
    report: DataSet = {
        _TRANSACTION: {"vr": "UI", "Value": [owed.transaction_uid]},
        _RETRIEVE_AE: {"vr": "AE", "Value": [room.aet]},
    }
    if safe:
        report[_WANTED] = {"vr": "SQ", "Value": safe}
    if failed:
        report[_FAILED] = {"vr": "SQ", "Value": failed}
    return report


def _reason(room: Room, one: commitments.Kept | None, sop_class: str) -> int:
    if one is None:
        return _NOT_THERE
    if one.sop_class != sop_class:
        return _OTHER_CLASS
    try:
        return 0 if room.store.verify(one.path, one.sha256) else _BROKEN
    except (OSError, ValueError):
        return _BROKEN


class Sweeper:
    """Tells what is owed over associations of ours."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                for owed in await self._due():
                    await asyncio.to_thread(self._call, owed)
            except AWAY as exc:
                log.warning("commitments not swept", cause=type(exc).__name__)
            except Away as exc:
                log.warning("commitments not swept", cause=str(exc))
            await asyncio.sleep(_SWEEP_S)

    async def _due(self) -> list[Owed]:
        async with self._room.rows.scope() as conn:
            tenants = await quiet.tenants(conn)
        async with self._room.rows.scope(tenants) as conn:
            return await commitments.take(conn)

    def _call(self, owed: Owed) -> None:
        """Call whoever asked and tell; what does not work is due again."""
        to = next((row for row in self._room.callers.table() if row.ae_id == owed.ae_id), None)
        if to is None or owed.attempts > _ATTEMPTS:
            log.warning("commitment given up", tenant_id=owed.tenant_id, ae_id=owed.ae_id, attempts=owed.attempts)
            self._room.run(_forget(self._room, owed))
            return
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = UID(COMMITMENT), False, True
        try:
            with call(self._room, to, [(COMMITMENT, NATIVE[0])], [role]) as talk:
                context_id = talk.context(COMMITMENT)
                _tell(self._room, talk, context_id, owed, wide=to.wide)
        except (NotAnswered, Closed, Unexpected, OSError) as exc:
            log.warning("commitment not told", tenant_id=owed.tenant_id, ae_id=owed.ae_id, cause=str(exc))
