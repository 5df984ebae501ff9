"""Association negotiation: who may call, for which SOP classes and transfer syntaxes (PS3.8 7.1, 9.3)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext

from gateway.ingest.part10 import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

# What it finds odd is said by the answer; its own log may quote titles.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

MAX_PDU_BYTES = 1 << 17
VERIFICATION = "1.2.840.10008.1.1"

PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{n}" for n in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
WORKLIST = "1.2.840.10008.5.1.4.31"
PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
COMMITMENT = "1.2.840.10008.1.20.1"
AVAILABILITY = "1.2.840.10008.5.1.4.33"
SERVICES = frozenset({
    PATIENT_FIND, PATIENT_MOVE, PATIENT_GET, STUDY_FIND, STUDY_MOVE, STUDY_GET, WORKLIST, PERFORMED_STEP, COMMITMENT,
    AVAILABILITY,
})  # fmt: skip

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_ACCEPTED, _NO_ABSTRACT_SYNTAX, _NO_TRANSFER_SYNTAX = 0, 3, 4  # PS3.8 9.3.3.2
_PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")  # of what is no image
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
    most: int  # the largest PDU that the caller takes, 0 for any
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
            if not all(context.transfer_syntax for context in primitive.presentation_context_definition_list):
                raise ValueError("a context without a transfer syntax")  # noqa: TRY301 - PS3.8 9.3.2.2
        except Exception as exc:  # whatever broken bytes make pynetdicom raise
            raise NotAnAssociation(type(exc).__name__) from exc
        known = str(primitive.application_context_name or "") == APPLICATION_CONTEXT
        most = int(primitive.maximum_length_received or 0)
        return cls((calling or "").strip(), (called or "").strip(), known, most, primitive)

    def accept(self) -> tuple[dict[int, Context], frozenset[str], bytes]:
        """Return the accepted contexts by id, the classes the caller takes itself, and the A-ASSOCIATE-AC.

        Each context gets the first of its transfer syntaxes that we know, as the sender put it first.
        """
        answer = self.primitive
        accepted: dict[int, Context] = {}
        results = []
        for proposed in answer.presentation_context_definition_list:
            context = _choose(str(proposed.abstract_syntax), [str(syntax) for syntax in proposed.transfer_syntax])
            result = PresentationContext()
            result.context_id, result.abstract_syntax = proposed.context_id, proposed.abstract_syntax
            if isinstance(context, Context):
                accepted[proposed.context_id] = context
                result.result, result.transfer_syntax = _ACCEPTED, [UID(context.transfer_syntax)]
            else:
                result.result, result.transfer_syntax = context, proposed.transfer_syntax[:1]
            results.append(result)
        asked = [item for item in answer.user_information if isinstance(item, SCP_SCU_RoleSelectionNegotiation)]
        roles = [_role(item) for item in asked if stores(str(item.sop_class_uid))]
        receives = frozenset(str(item.sop_class_uid) for item in roles if item.scp_role)
        answer.presentation_context_definition_results_list = results
        answer.presentation_context_definition_list = []
        answer.result, answer.result_source = 0, 1
        answer.user_information = [*about_us(), *roles]
        pdu = A_ASSOCIATE_AC()
        pdu.from_primitive(answer)
        return accepted, receives, pdu.encode()


def _choose(abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> Context | int:
    if abstract_syntax in SERVICES:
        chosen = next((syntax for syntax in transfer_syntaxes if syntax in _PLAIN), None)
    elif abstract_syntax == VERIFICATION or stores(abstract_syntax):
        chosen = next(filter(understands, transfer_syntaxes), None)
    else:
        return _NO_ABSTRACT_SYNTAX
    return Context(abstract_syntax, chosen) if chosen else _NO_TRANSFER_SYNTAX


def _role(asked: Any) -> Any:
    """Grant the roles that a caller asks for: it may send instances, take them (C-GET), or both (PS3.7 D.3.3.4)."""
    granted = SCP_SCU_RoleSelectionNegotiation()
    granted.sop_class_uid = asked.sop_class_uid
    granted.scu_role, granted.scp_role = bool(asked.scu_role), bool(asked.scp_role)
    return granted


def about_us() -> list[Any]:
    """Return the user information that each side sends (PS3.7 D.3.3.1, D.3.3.2)."""
    length = MaximumLengthNotification()
    length.maximum_length_received = MAX_PDU_BYTES
    identity = ImplementationClassUIDNotification()
    identity.implementation_class_uid = UID(IMPLEMENTATION_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    return [length, identity, version]
