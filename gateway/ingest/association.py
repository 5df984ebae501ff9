"""One association: negotiation, then a tight loop from the socket into the data set's buffer (PS3.8 9.2, PS3.7 9.3).

The loop reads what the next bytes must be: ten bytes of a PDU, two of a fragment's head, the fragment
straight into its place. Anything else is a protocol error and aborts.
"""

from __future__ import annotations

import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from actors import tracing
from gateway.dimse.talk import Released, Talk, Unexpected
from gateway.ingest import dimse
from gateway.ingest.callers import Stranger
from gateway.ingest.dimse import AbortReason, Operation, Request
from gateway.ingest.negotiation import VERIFICATION, NotAnAssociation, Proposal, stores
from gateway.ingest.receiving import Announced, Receiving
from gateway.ingest.refusal import Mismatch, NoSuchClass, Refused
from gateway.ingest.shield import shown
from gateway.ingest.wire import Closed
from storage.ingest import Away

if TYPE_CHECKING:
    from gateway.dimse.services import Services
    from gateway.ingest.callers import Callers
    from gateway.ingest.direct import DirectCommitter
    from gateway.ingest.held import Held
    from gateway.ingest.negotiation import Context
    from gateway.ingest.receiving import Sender
    from gateway.ingest.wire import Wire
    from storage.objects import ObjectStore

REQUEST_S, IDLE_S = 30, 60
_MAX_REQUEST, _MAX_FRAGMENT, _MAX_COMMAND = 1 << 20, 1 << 20, 1 << 16
_HEAD_BYTES = 10  # every PDU has as many

log = structlog.get_logger()


class Broken(Exception):
    """The peer breaks the protocol; the argument is why we abort."""


class Association:
    """Serves one connection until it ends; runs in a thread of its own.

    Args:
        wire: of the connection; closed at the end.
        store, committer, callers, held: shared by all associations of the process.
        services: what is served beside C-STORE.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a process shares
        self,
        wire: Wire,
        store: ObjectStore,
        committer: DirectCommitter,
        callers: Callers,
        held: Held,
        services: Services,
    ) -> None:
        self._wire, self._committer, self._callers, self._held = wire, committer, callers, held
        self._services = services
        self._receiving = Receiving(store)
        self._head = bytearray(_HEAD_BYTES)
        self._contexts: dict[int, Context] = {}
        self._sender: Sender
        self._entered: Sender | None = None
        self._talk: Talk
        self._command = bytearray()
        self._request: Request | None = None
        self._due: tuple[Request, bytes] | None = None  # to serve once this PDU is read
        self._context_id = 0
        self._refused: Refused | None = None
        self._ended = threading.Event()
        self.images = 0

    def run(self) -> None:
        """Serve until the peer releases, aborts, breaks the protocol or goes silent."""
        try:
            self._wire.patience(REQUEST_S)
            if self._negotiate():
                self._wire.patience(IDLE_S)
                self._serve()
        except Broken as exc:
            log.warning("association aborted", cause=str(exc.__cause__ or exc), images=self.images)
            self._abort(exc.args[0])
        except Unexpected as exc:
            log.warning("association aborted", cause=str(exc), images=self.images)
            self._abort(AbortReason.UNEXPECTED_PDU)
        except Released:
            log.info("association released", images=self.images)
        except (Closed, OSError) as exc:
            heard = any(self._head)  # else somebody only looked whether the port is open: no news
            (log.info if heard else log.debug)("association lost", cause=str(exc), images=self.images)
        except Exception as exc:  # noqa: BLE001 - one association must not take the listener with it
            log.warning("association failed", cause=type(exc).__name__, at=traceback.format_tb(exc.__traceback__)[-1])
            self._abort(AbortReason.NOT_SPECIFIED)
        finally:
            self._receiving.abandon()
            self._held.release(id(self))
            if self._entered is not None:
                self._services.limits.leave(self._entered.tenant_id)
            self._wire.close()

    def end(self) -> None:
        """From another thread: abort and close."""
        self._ended.set()
        self._abort(AbortReason.NOT_SPECIFIED)
        self._wire.end()

    def _abort(self, reason: AbortReason) -> None:
        with suppress(OSError):
            self._wire.send(dimse.abort(reason))

    # -- negotiation ------------------------------------------------------------------------------
    def _negotiate(self) -> bool:
        self._wire.fill(self._head)
        length = int.from_bytes(self._head[2:6], "big")
        if self._head[0] != 1 or not 4 <= length <= _MAX_REQUEST:  # noqa: PLR2004 - the head holds four of them
            raise Broken(AbortReason.UNEXPECTED_PDU)
        rest = bytearray(length - 4)
        self._wire.fill(rest)
        try:
            proposal = Proposal.of(bytes(self._head + rest))
        except NotAnAssociation as exc:
            raise Broken(AbortReason.INVALID_PARAMETER) from exc
        refusal = self._refusal(proposal)
        if refusal is not None:
            self._wire.send(dimse.reject(*refusal))
            return False
        self._contexts, receives, accept = proposal.accept()
        self._talk = Talk(self._wire, self._contexts, receives, proposal.most, self._sender)
        self._wire.send(accept)
        return True

    def _refusal(self, proposal: Proposal) -> tuple[int, int, int] | None:
        """Return result, source and reason of a rejection (PS3.8 9.3.4), or None and know the sender."""
        if not proposal.known_application:
            return 1, 1, 2
        address = self._wire.sock.getpeername()[0]
        try:
            sender = self._callers.find(proposal.calling, proposal.called, address, shown(self._wire.sock))
        except Stranger as exc:
            log.warning("association rejected", aet=proposal.calling, called=proposal.called, address=address)
            return 1, 1, exc.reason
        except Away:
            return 2, 3, 1  # for now: temporary congestion
        full = self._services.limits.enter(sender.tenant_id)
        if full:
            log.warning("association rejected", aet=proposal.calling, tenant_id=sender.tenant_id, full=full)
            return 2, 3, full
        self._sender = self._entered = sender
        log.info("association accepted", aet=proposal.calling, tenant_id=sender.tenant_id, site_id=sender.site_id)
        return None

    # -- messages ---------------------------------------------------------------------------------
    def _serve(self) -> None:
        while True:
            self._wire.fill(self._head)
            kind, length = self._head[0], int.from_bytes(self._head[2:6], "big")
            if kind == dimse.P_DATA:
                self._fragments(length - 4)
                if self._due is not None:
                    (request, data), self._due = self._due, None
                    self._services.serve(self._talk, self._context_id, request, data)
            elif kind == dimse.RELEASE_RQ:
                self._wire.send(dimse.RELEASE_RP)
                log.info("association released", images=self.images)
                return
            elif kind == dimse.ABORT:
                raise Closed("aborted by the peer")
            else:
                raise Broken(AbortReason.UNRECOGNIZED_PDU)

    def _fragments(self, left: int) -> None:
        """Read the presentation data values of one P-DATA-TF; the length of the first is in the head."""
        size = int.from_bytes(self._head[6:10], "big")
        while True:
            self._wire.hurry()
            if not 2 <= size <= min(left, _MAX_FRAGMENT):  # noqa: PLR2004 - context and control
                raise Broken(AbortReason.INVALID_PARAMETER)
            self._fragment(size - 2)
            left -= size
            if not left:
                return
            more = bytearray(4)
            self._wire.fill(more)
            left -= 4
            size = int.from_bytes(more, "big")

    def _fragment(self, size: int) -> None:
        two = bytearray(2)
        data = self._request is not None
        room: memoryview | bytearray = self._receiving.space(size) if data else bytearray(size)
        self._wire.fill(two, room)
        context_id, control = two
        if data != (not control & dimse.IS_COMMAND) or (self._continues and context_id != self._context_id):
            raise Broken(AbortReason.INVALID_PARAMETER)
        self._context_id = context_id
        if data:
            self._receiving.took(size)
            if control & dimse.IS_LAST:
                self._data_set_is_there()
            return
        self._command += room
        if len(self._command) > _MAX_COMMAND:
            raise Broken(AbortReason.INVALID_PARAMETER)
        if control & dimse.IS_LAST:
            self._command_is_there()

    @property
    def _continues(self) -> bool:
        return self._request is not None or bool(self._command) or self._due is not None

    def _command_is_there(self) -> None:
        try:
            request = Request.of(self._command)
        except dimse.Malformed as exc:
            raise Broken(AbortReason.INVALID_PARAMETER) from exc
        self._command = bytearray()
        context = self._contexts.get(self._context_id)
        if context is None:
            raise Broken(AbortReason.INVALID_PARAMETER)
        announced = Announced(request.sop_class, request.sop_uid, context.transfer_syntax)
        self._receiving.begin(announced, self._sender.aet)
        self._refused = None
        if request.operation == Operation.C_STORE and (
            request.sop_class != context.abstract_syntax or not stores(request.sop_class)
        ):
            self._refused = NoSuchClass("not the SOP class of the presentation context")
        if request.has_data:
            self._request = request
        else:
            self._without_data(request, context)

    def _without_data(self, request: Request, context: Context) -> None:
        if request.operation == Operation.C_CANCEL:
            return  # nothing here runs long enough to be cancelled, and it has no response
        if request.operation == Operation.C_ECHO and context.abstract_syntax == VERIFICATION:
            self._answer(request, dimse.SUCCESS)
        elif request.operation == Operation.C_STORE:
            self._answer(request, Refused.status, "no data set")
        else:
            self._due = (request, b"")

    def _data_set_is_there(self) -> None:
        request, self._request = self._request, None
        if request is None:
            raise Broken(AbortReason.UNEXPECTED_PDU)
        if request.operation != Operation.C_STORE:
            self._due = (request, self._receiving.whole())
            return
        status, comment = dimse.SUCCESS, ""
        try:
            self._store(request)
        except Refused as exc:
            status, comment = exc.status, str(exc)
            self._receiving.abandon()
            log.warning("image refused", status=f"{exc.status:04X}", cause=str(exc), sop_uid=request.sop_uid,
                        tenant_id=self._sender.tenant_id)  # fmt: skip
        if pause := self._services.limits.pause(self._sender.tenant_id):  # it is stored: only the sender waits
            self._ended.wait(pause)
        self._answer(request, status, comment)

    def _store(self, request: Request) -> None:
        if self._refused is not None:
            raise self._refused
        with tracing.span("C-STORE", root=True, sop_uid=request.sop_uid, tenant=self._sender.tenant_id):
            self._keep(request)

    def _keep(self, request: Request) -> None:
        found = self._receiving.read()
        if (found.sop_class, found.sop_uid) != (request.sop_class, request.sop_uid):
            raise Mismatch("the data set is not what was announced")
        arrival = self._receiving.settle(self._sender, found)
        with tracing.span("store rows", study_uid=arrival.study_uid):
            outcome = self._committer.commit(arrival)
        self.images += 1
        self._held.note(id(self), arrival.tenant_id, outcome.study_uid)

    def _answer(self, request: Request, status: int, comment: str = "") -> None:
        self._wire.send(request.response(self._context_id, status, comment))
