"""Association negotiation: who may call, for which SOP classes and transfer syntaxes (PS3.8 7.1, 9.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

from gateway.ingest.part10 import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PDU_BYTES = 1 << 17
VERIFICATION = "1.2.840.10008.1.1"

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_ACCEPTED, _NO_ABSTRACT_SYNTAX, _NO_TRANSFER_SYNTAX = 0, 3, 4  # PS3.8 9.3.3.2
_STANDARD = "1.2.840.10008."
# Composite storage (PS3.4 B.5, retired ones included), RT beams, hanging protocols, palettes, implants (PS3.4 GG.3).
_STORAGE = (
    "1.2.840.10008.5.1.4.1.1.", "1.2.840.10008.5.1.4.34.7", "1.2.840.10008.5.1.4.34.10", "1.2.840.10008.5.1.4.38.1",
    "1.2.840.10008.5.1.4.39.1", "1.2.840.10008.5.1.4.43.1", "1.2.840.10008.5.1.4.44.1", "1.2.840.10008.5.1.4.45.1",
)  # fmt: skip
_ENCODINGS = "1.2.840.10008.1.2"
# Encodings of something else than a data set: MIME, XML, and live video over RTP.
_NO_DATA_SET = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.")


class NotAnAssociation(Exception):
    """What came is no A-ASSOCIATE-RQ."""


def stores(sop_class: str) -> bool:
    """Whether instances of this class are stored: every storage class, and private classes."""
    return sop_class.startswith(_STORAGE) or (bool(sop_class) and not sop_class.startswith(_STANDARD))


def understands(transfer_syntax: str) -> bool:
    """Whether data sets in this transfer syntax are stored: all that DICOM defines for them."""
    return (
        transfer_syntax == _ENCODINGS or transfer_syntax.startswith(_ENCODINGS + ".")
    ) and not transfer_syntax.startswith(_NO_DATA_SET)


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """An association request, read."""

    calling: str
    called: str
    known_application: bool
    primitive: Any  # pynetdicom's A_ASSOCIATE

    @classmethod
    def of(cls, pdu: bytes) -> Proposal:
        """Read an A-ASSOCIATE-RQ.

        Raises:
            NotAnAssociation: it is none.
        """
        request = A_ASSOCIATE_RQ()
        try:
            request.decode(pdu)
            primitive = request.to_primitive()
            calling, called = primitive.calling_ae_title, primitive.called_ae_title
        except Exception as exc:  # whatever broken bytes make pynetdicom raise
            raise NotAnAssociation(type(exc).__name__) from exc
        known = str(primitive.application_context_name or "") == _APPLICATION_CONTEXT
        return cls((calling or "").strip(), (called or "").strip(), known, primitive)

    def accept(self) -> tuple[dict[int, Context], bytes]:
        """Return the accepted contexts by id, and the A-ASSOCIATE-AC that says so.

        Each context gets the first of its transfer syntaxes that we know, as the sender put it first.
        """
        answer = self.primitive
        accepted: dict[int, Context] = {}
        results = []
        for proposed in answer.presentation_context_definition_list:
            context = _choose(str(proposed.abstract_syntax), map(str, proposed.transfer_syntax))
            result = PresentationContext()
            result.context_id, result.abstract_syntax = proposed.context_id, proposed.abstract_syntax
            if isinstance(context, Context):
                accepted[proposed.context_id] = context
                result.result, result.transfer_syntax = _ACCEPTED, [UID(context.transfer_syntax)]
            else:
                result.result, result.transfer_syntax = context, proposed.transfer_syntax[:1]
            results.append(result)
        answer.presentation_context_definition_results_list = results
        answer.presentation_context_definition_list = []
        answer.result, answer.result_source = 0, 1
        answer.user_information = _about_us()
        pdu = A_ASSOCIATE_AC()
        pdu.from_primitive(answer)
        return accepted, pdu.encode()


def _choose(abstract_syntax: str, transfer_syntaxes: Iterable[str]) -> Context | int:
    if abstract_syntax != VERIFICATION and not stores(abstract_syntax):
        return _NO_ABSTRACT_SYNTAX
    chosen = next(filter(understands, transfer_syntaxes), None)
    return Context(abstract_syntax, chosen) if chosen else _NO_TRANSFER_SYNTAX


def _about_us() -> list[Any]:
    length = MaximumLengthNotification()
    length.maximum_length_received = MAX_PDU_BYTES
    identity = ImplementationClassUIDNotification()
    identity.implementation_class_uid = UID(IMPLEMENTATION_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    return [length, identity, version]
