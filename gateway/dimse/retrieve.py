"""C-MOVE and C-GET: instances in view, each sent by a C-STORE sub-operation, counted and told (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from actors.domain.words import Role
from gateway.dimse import find, identifier
from gateway.dimse.calling import NotAnswered, call
from gateway.dimse.forms import NoForm, choose, data_set
from gateway.dimse.status import Mismatch, NothingMoved, UnknownDestination
from gateway.dimse.talk import Unexpected
from gateway.ingest.callers import destination
from gateway.ingest.dimse import CANCELLED, PENDING, SUCCESS, Operation, Tag
from gateway.ingest.wire import Closed
from storage import dicom, dicom_query
from storage.dicom_query import PATIENT, STUDY, Search

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.domain.identity import Principal
    from gateway.dimse.room import Room
    from gateway.dimse.talk import Asked, Talk
    from gateway.ingest.negotiation import Context
    from storage.dicom import Stored

WARNING, _FAILURE = 0xB000, 0xC000
_STUDIES = 1000
_FAILED_UIDS = "00080058"

log = structlog.get_logger()


@dataclass(slots=True)
class Tally:
    """Sub-operations: those to come, and what became of the others (PS3.7 9.1.3.1)."""

    remaining: int
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)

    def note(self, sop_uid: str, status: int) -> None:
        """One sub-operation has its status."""
        self.remaining -= 1
        if status == SUCCESS:
            self.completed += 1
        elif status >> 12 == 0xB or status in (0x0001, 0x0107, 0x0116):  # noqa: PLR2004 - warnings, PS3.7 C.3
            self.warning += 1
        else:
            self.failed.append(sop_uid)

    def says(self, *, over: bool) -> dict[int, int | str]:
        """Return the counts; the final response of what is not cancelled has no remaining ones."""
        counts: dict[int, int | str] = {
            Tag.COMPLETED: self.completed, Tag.FAILED: len(self.failed), Tag.WARNING: self.warning,
        }  # fmt: skip
        return counts if over else counts | {Tag.REMAINING: self.remaining}

    @property
    def status(self) -> int:
        """The final status: all, some, none."""
        if not self.failed and not self.warning:
            return SUCCESS
        return WARNING if self.completed or self.warning else NothingMoved.status


@dataclass(frozen=True, slots=True)
class To:
    """Where instances go, which contexts take them, and who asked for it, if that is somebody else."""

    talk: Talk
    contexts: Mapping[int, Context]
    origin: dict[int, int | str] = field(default_factory=dict)


def get(room: Room, asked: Asked) -> None:
    """Send over the association that asked."""
    talk = asked.talk
    taken = {n: c for n, c in talk.contexts.items() if c.abstract_syntax in talk.receives}
    places = _selected(room, asked, talk.caller.principal)
    _send(room, asked, places, To(talk, taken))


def move(room: Room, asked: Asked) -> None:
    """Send to a third party that caller and tenant know: what both of them may see."""
    sender, request = asked.talk.caller, asked.request
    title = request.text(Tag.DESTINATION)
    to = destination(room.callers.table(), sender, title)
    if to is None:
        raise UnknownDestination("no such AE title may have these images")
    who = sender.principal
    if not to.wide:
        who = replace(who, role=Role.TECHNOLOGIST, sites=frozenset({to.site_id}))
    places = _selected(room, asked, who)
    pairs = dict.fromkeys((place.sop_class, place.transfer_syntax) for place in places)
    origin: dict[int, int | str] = {Tag.ORIGINATOR: sender.aet, Tag.ORIGINATOR_MESSAGE: request.message_id}
    if not places:
        asked.talk.answer(asked.context_id, request, SUCCESS, says=Tally(0).says(over=True))
        return
    try:
        with call(room, to, pairs) as other:
            _send(room, asked, places, To(other, other.contexts, origin))
    except NotAnswered as exc:
        log.warning("move destination does not answer", cause=str(exc), tenant_id=to.tenant_id, ae_id=to.ae_id)
        tally = Tally(0, failed=[place.sop_uid for place in places])
        asked.talk.answer(asked.context_id, request, NothingMoved.status, "the destination does not answer",
                          says=tally.says(over=True), data=_failures(asked, tally))  # fmt: skip


def _selected(room: Room, asked: Asked, who: Principal) -> list[Stored]:
    wanted = find.parsed(asked)
    level = find.level_of(wanted, asked.request.sop_class)
    unique = find.UNIQUE[level]
    value = identifier.text(wanted.get(unique, {"vr": "UI"}))
    if not value or "*" in value:
        raise Mismatch(f"({unique[:4]},{unique[4:]}) must say what is wanted")
    keys = {tag: element for tag, element in wanted.items() if tag in _KEYS}
    search = Search(
        STUDY if level == PATIENT else level, None, None, tuple(find.matches(keys, find.known_at(level))), _STUDIES, 0
    )
    return room.run(_places(room, who, search))


_KEYS = frozenset({*find.UNIQUE.values(), "00100021"})


async def _places(room: Room, who: Principal, search: Search) -> list[Stored]:
    places: list[Stored] = []
    async with room.views.view(who) as conn:
        more, at = True, 0
        while more:
            found, more = await dicom_query.find(conn, who, replace(search, offset=at))
            at += len(found)
            for one in found:
                places += await dicom.stored(conn, who, one.study_uid, one.series_uid or None, one.sop_uid or None)
        for study_uid in dict.fromkeys(place.study_uid for place in places):
            if await dicom.opened(conn, who, study_uid):
                log.info("study_opened", tenant_id=who.tenant_id, user_id=who.user_id, study_uid=study_uid)
    return places


def _send(room: Room, asked: Asked, places: list[Stored], to: To) -> None:
    """Send instances one by one, telling after each how far it is; the last word says what failed."""
    talk, request, context_id = asked.talk, asked.request, asked.context_id
    tally = Tally(len(places))
    for place in places:
        if talk.cancelled(request):
            talk.answer(context_id, request, CANCELLED, says=tally.says(over=False), data=_failures(asked, tally))
            return
        tally.note(place.sop_uid, _store(room, place, to, request.number(Tag.PRIORITY)))
        if tally.remaining:
            talk.answer(context_id, request, PENDING, says=tally.says(over=False))
    talk.answer(context_id, request, tally.status, says=tally.says(over=True), data=_failures(asked, tally))


def _store(room: Room, place: Stored, to: To, priority: int) -> int:
    """Perform one sub-operation; return its status."""
    try:
        context_id, syntax = choose(to.contexts, place)
        data = data_set(room.store, place, syntax)
        says: dict[int, int | str] = {
            Tag.SOP_CLASS: place.sop_class, Tag.OPERATION: Operation.C_STORE, Tag.PRIORITY: priority,
            Tag.SOP_UID: place.sop_uid,
        }  # fmt: skip
        return to.talk.ask(context_id, says | to.origin, data).status
    except NoForm as exc:
        log.warning("instance not sent", sop_uid=place.sop_uid, cause=str(exc))
    except (Closed, Unexpected, OSError) as exc:
        if not to.origin:  # the caller itself is gone
            raise
        log.warning("instance not sent", sop_uid=place.sop_uid, cause=type(exc).__name__)
    return _FAILURE


def _failures(asked: Asked, tally: Tally) -> bytes | None:
    if not tally.failed:
        return None
    syntax = asked.talk.contexts[asked.context_id].transfer_syntax
    return identifier.write({_FAILED_UIDS: {"vr": "UI", "Value": list(tally.failed)}}, syntax)
