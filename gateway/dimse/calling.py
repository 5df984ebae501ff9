"""Associations that we ask for: to send images, or to say that they are kept (PS3.8 7.1)."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from gateway.dimse.forms import NATIVE
from gateway.dimse.talk import Talk, Unexpected
from gateway.ingest import dimse
from gateway.ingest.negotiation import APPLICATION_CONTEXT, Context, about_us
from gateway.ingest.wire import Closed, Shielded, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from gateway.dimse.room import Room
    from storage.callers import Caller

_CONNECT_S, _ANSWER_S = 10, 60
_MOST_CONTEXTS = 128  # odd numbers up to 255 (PS3.8 9.3.2.2)
_MOST_ANSWER = 1 << 20


class NotAnswered(Exception):
    """The peer is not there, or does not want us; the argument says which."""


@contextmanager
def call(room: Room, to: Caller, pairs: Iterable[tuple[str, str]], roles: Iterable[Any] = ()) -> Iterator[Talk]:
    """Open an association with a peer for pairs of SOP class and transfer syntax, native ones being offered as well.

    Raises:
        NotAnswered: there is none.
    """
    wire: Wire | None = None
    try:
        wire = _connected(room, to)
        talk = _associated(wire, _request(room.aet, to.aet, _contexts(pairs), roles))
    except (OSError, Closed, Unexpected) as exc:
        if wire is not None:
            wire.close()
        raise NotAnswered(str(exc) or type(exc).__name__) from exc
    try:
        yield talk
        _release(wire)
    finally:
        wire.close()


def _connected(room: Room, to: Caller) -> Wire:
    plain = socket.create_connection((to.host, to.port), timeout=_CONNECT_S)
    try:
        if to.tls:
            if room.shield is None:
                raise NotAnswered("no TLS: there is no certificate of ours to show")  # noqa: TRY301 - the socket is closed
            wire: Wire = Shielded(room.shield.call(plain, to))
        else:
            plain.settimeout(None)
            wire = Wire(plain)
    except BaseException:
        plain.close()
        raise
    wire.patience(_ANSWER_S)
    return wire


def _contexts(pairs: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """One context a class and stored syntax, so that the peer may take each as it is; then native ones."""
    given = list(pairs)
    asked = [(sop_class, (syntax,)) for sop_class, syntax in given]
    asked += [(sop_class, (syntax,)) for sop_class in dict.fromkeys(c for c, _ in given) for syntax in NATIVE
              if (sop_class, syntax) not in given]  # fmt: skip
    made = []
    for number, (sop_class, syntaxes) in enumerate(asked[:_MOST_CONTEXTS]):
        context = PresentationContext()
        context.context_id, context.abstract_syntax = 2 * number + 1, UID(sop_class)
        context.transfer_syntax = [UID(syntax) for syntax in syntaxes]
        made.append(context)
    return made


def _request(ours: str, theirs: str, contexts: list[PresentationContext], roles: Iterable[Any]) -> A_ASSOCIATE_RQ:
    ask = A_ASSOCIATE()
    ask.application_context_name = UID(APPLICATION_CONTEXT)
    ask.calling_ae_title, ask.called_ae_title = ours, theirs
    ask.presentation_context_definition_list = contexts
    ask.user_information = [*about_us(), *roles]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(ask)
    return pdu


def _associated(wire: Wire, request: A_ASSOCIATE_RQ) -> Talk:
    wire.send(request.encode())
    head = bytearray(6)
    wire.fill(head)
    length = int.from_bytes(head[2:6], "big")
    if length > _MOST_ANSWER:
        raise Unexpected("an answer that is none")
    rest = bytearray(length)
    wire.fill(rest)
    if head[0] != 2:  # noqa: PLR2004 - A-ASSOCIATE-AC
        raise Unexpected("the association was rejected" if head[0] == 3 else "no association")  # noqa: PLR2004
    answer = A_ASSOCIATE_AC()
    try:
        answer.decode(bytes(head + rest))
        said = answer.to_primitive()
        proposed = {int(c.context_id or 0): str(c.abstract_syntax) for c in request.presentation_context}
        accepted = {
            number: Context(proposed[number], str(c.transfer_syntax[0]))
            for c in said.presentation_context_definition_results_list
            if c.result == 0 and (number := int(c.context_id or 0)) in proposed
        }
    except Exception as exc:  # whatever broken bytes make pynetdicom raise
        raise Unexpected(f"an answer that cannot be read: {type(exc).__name__}") from exc
    return Talk(wire, accepted, most=int(said.maximum_length_received or 0))


def _release(wire: Wire) -> None:
    with suppress(OSError, Closed):
        wire.send(bytes((dimse.RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
        wire.fill(bytearray(10))
