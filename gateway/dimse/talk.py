"""Whole messages over an association, whichever side asked for it: sent, awaited, cancelled (PS3.7 8, 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gateway.ingest import dimse
from gateway.ingest.dimse import IS_COMMAND, IS_LAST, Malformed, Operation, Request, Tag
from gateway.ingest.wire import Closed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.ingest.negotiation import Context
    from gateway.ingest.receiving import Sender
    from gateway.ingest.wire import Wire

_MOST_PDU, _MOST_MESSAGE = 1 << 21, 16 << 20


class Unexpected(Exception):
    """The peer says something else than the protocol has for this moment."""


class Released(Closed):
    """The peer asks for the end of the association, which was granted."""


@dataclass(slots=True)
class Talk:
    """An association between messages.

    Args:
        wire: of the connection.
        contexts: accepted, by id.
        receives: SOP classes whose instances the peer takes on this association.
        most: the largest PDU that the peer takes, 0 for any.
    """

    wire: Wire
    contexts: Mapping[int, Context]
    receives: frozenset[str] = frozenset()
    most: int = 0
    sender: Sender | None = None  # who asked for it, if not we
    _message_id: int = field(default=0, init=False)
    _cancelled: int = field(default=-1, init=False)

    @property
    def caller(self) -> Sender:
        """Who asked for the association.

        Raises:
            Unexpected: we did.
        """
        if self.sender is None:
            raise Unexpected("a request where none is served")
        return self.sender

    def answer(  # noqa: PLR0913 - what a response may say
        self,
        context_id: int,
        request: Request,
        status: int,
        comment: str = "",
        *,
        data: bytes | None = None,
        says: Mapping[int, int | str] | None = None,
    ) -> None:
        """Send a response."""
        self.wire.send(request.response(context_id, status, comment, data=data, says=says, most=self.most))

    def ask(
        self, context_id: int, elements: Mapping[int, int | str], data: bytes | memoryview | None = None
    ) -> Request:
        """Send a request and return its response.

        Raises:
            Closed: the association ended before.
            Unexpected: something else came; that the peer cancels is remembered.
        """
        self._message_id = self._message_id % 0xFFFF + 1
        asked: dict[int, int | str] = {**elements, Tag.MESSAGE_ID: self._message_id}
        for piece in dimse.message(context_id, asked, data, self.most):
            self.wire.send(piece)
        while True:
            _, answer, _ = self.receive()
            if answer.operation == Operation.C_CANCEL:
                self._cancelled = answer.number(Tag.RESPONDS_TO)
            elif answer.number(Tag.RESPONDS_TO) == self._message_id and answer.operation & 0x8000:
                return answer
            else:
                raise Unexpected("another message where a response was due")

    def cancelled(self, request: Request) -> bool:
        """Whether the peer has said meanwhile that it wants no more of this."""
        while self._cancelled != request.message_id and self.wire.waiting():
            _, said, _ = self.receive()
            if said.operation != Operation.C_CANCEL:
                raise Unexpected("a request before the answer to the last")
            self._cancelled = said.number(Tag.RESPONDS_TO)
        return self._cancelled == request.message_id

    def receive(self) -> tuple[int, Request, bytes]:
        """Return context, command and data set of the next message.

        Raises:
            Released: the peer released instead, and has its answer.
            Closed: it aborted, or is gone.
            Unexpected: it breaks the protocol.
        """
        command, data = bytearray(), bytearray()
        request: Request | None = None
        context_id = 0
        while True:
            for context_id, control, value in self._values():
                if bool(control & IS_COMMAND) != (request is None):
                    raise Unexpected("a data set without command, or two commands")
                (command if request is None else data).extend(value)
                if len(command) + len(data) > _MOST_MESSAGE:
                    raise Unexpected("a message larger than any that is due")
                if not control & IS_LAST:
                    continue
                if request is not None:
                    return context_id, request, bytes(data)
                try:
                    request = Request.of(command)
                except Malformed as exc:
                    raise Unexpected(str(exc)) from exc
                if not request.has_data:
                    return context_id, request, b""

    def _values(self) -> list[tuple[int, int, bytes]]:
        """Return the presentation data values of the next P-DATA-TF."""
        head = bytearray(6)
        self.wire.fill(head)
        length = int.from_bytes(head[2:6], "big")
        if length > _MOST_PDU:
            raise Unexpected("a PDU longer than we said")
        body = bytearray(length)
        self.wire.fill(body)
        if head[0] == dimse.RELEASE_RQ:
            self.wire.send(dimse.RELEASE_RP)
            raise Released("by the peer")
        if head[0] != dimse.P_DATA:
            raise Closed("aborted by the peer" if head[0] == dimse.ABORT else "by an unexpected PDU")
        found, at = [], 0
        while at < length:
            size = int.from_bytes(body[at : at + 4], "big")
            if size < 2 or at + 4 + size > length:  # noqa: PLR2004 - context and control
                raise Unexpected("a value runs past its PDU")
            found.append((body[at + 4], body[at + 5], bytes(body[at + 6 : at + 4 + size])))
            at += 4 + size
        return found

    def context(self, abstract_syntax: str) -> int:
        """Return an accepted context of a SOP class.

        Raises:
            Unexpected: the peer accepted none.
        """
        for number, context in self.contexts.items():
            if context.abstract_syntax == abstract_syntax:
                return number
        raise Unexpected("the peer does not take this")


class Asked(NamedTuple):
    """A request in its association; ``data`` is its data set as encoded."""

    talk: Talk
    context_id: int
    request: Request
    data: bytes
