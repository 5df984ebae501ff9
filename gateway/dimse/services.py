"""Which service a request asks for, whether the caller may, and what it hears when not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog

from actors.domain.errors import Forbidden
from actors.domain.permissions import check
from gateway.dimse import commitment, find, performed, retrieve, worklist
from gateway.dimse.status import (
    Busy,
    Failure,
    NoSuchOperation,
    NotAuthorized,
    Refused,
    TooMuch,
    Unavailable,
)
from gateway.dimse.talk import Asked, Unexpected
from gateway.ingest.dimse import Operation
from gateway.ingest.negotiation import (
    AVAILABILITY,
    COMMITMENT,
    PATIENT_FIND,
    PATIENT_GET,
    PATIENT_MOVE,
    PERFORMED_STEP,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    WORKLIST,
)
from storage.ingest import Away

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dimse.room import Room
    from gateway.dimse.talk import Talk
    from gateway.ingest.dimse import Request
    from gateway.ingest.limits import Limits

log = structlog.get_logger()


class Service(NamedTuple):
    """What a request leads to: the line of the table of permissions, and who serves it."""

    call: str
    serve: Callable[[Room, Asked], None]


_SERVICES: dict[tuple[int, str], Service] = {
    (Operation.C_FIND, PATIENT_FIND): Service("dicomweb_read", find.serve),
    (Operation.C_FIND, STUDY_FIND): Service("dicomweb_read", find.serve),
    (Operation.C_MOVE, PATIENT_MOVE): Service("dicomweb_read", retrieve.move),
    (Operation.C_MOVE, STUDY_MOVE): Service("dicomweb_read", retrieve.move),
    (Operation.C_GET, PATIENT_GET): Service("dicomweb_read", retrieve.get),
    (Operation.C_GET, STUDY_GET): Service("dicomweb_read", retrieve.get),
    (Operation.N_ACTION, COMMITMENT): Service("dicomweb_read", commitment.serve),
    (Operation.C_FIND, WORKLIST): Service("orders", worklist.serve),
    (Operation.N_CREATE, PERFORMED_STEP): Service("orders", performed.create),
    (Operation.N_SET, PERFORMED_STEP): Service("orders", performed.change),
    (Operation.N_CREATE, AVAILABILITY): Service("orders", performed.notice),
}


def _normalized(request: Request) -> bool:
    return bool(request.operation & 0x0100)


class Services:
    """Serves what is not C-STORE, in the association's thread."""

    def __init__(self, room: Room, limits: Limits) -> None:
        self._room, self.limits = room, limits

    def serve(self, talk: Talk, context_id: int, request: Request, data: bytes) -> None:
        """Answer a request, whatever it is.

        Raises:
            Closed: the association is over.
            Unexpected: the peer breaks the protocol.
        """
        if request.operation & 0x8000:
            raise Unexpected("a response to nothing that was asked")
        context = talk.contexts[context_id]
        service = _SERVICES.get((request.operation, context.abstract_syntax))
        try:
            if service is None or request.sop_class != context.abstract_syntax:
                raise NoSuchOperation("not a service of this port and context")
            if not self.limits.ask(talk.caller.tenant_id):
                why = "too many requests: again in a moment"
                raise Busy(why) if _normalized(request) else TooMuch(why)
            check(talk.caller.principal, service.call)
            service.serve(self._room, Asked(talk, context_id, request, data))
        except Forbidden:
            self._refuse(talk, context_id, request, NotAuthorized("the caller may not do this"))
        except Away:
            away = "the database is away"
            self._refuse(talk, context_id, request, Failure(away) if _normalized(request) else Unavailable(away))
        except Refused as exc:
            self._refuse(talk, context_id, request, exc)

    @staticmethod
    def _refuse(talk: Talk, context_id: int, request: Request, why: Refused) -> None:
        log.warning("request refused", operation=f"{request.operation:04X}", status=f"{why.status:04X}", cause=str(why),
                    tenant_id=talk.caller.tenant_id)  # fmt: skip
        talk.answer(context_id, request, why.status, str(why))
