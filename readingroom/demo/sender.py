"""A C-STORE client, as a modality would be one: for the demonstration and the tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from pynetdicom import AE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataset import Dataset
    from pynetdicom.association import Association

_END_S = 5.0
_MAX_CONTEXTS = 128  # odd ids from 1 to 255 (PS3.8 9.3.2.2)


class NotAssociated(Exception):
    """The server refused the association, or is not there."""


class Sent(NamedTuple):
    """What the server answered for one instance; ``status`` None when the association broke."""

    sop_uid: str
    status: int | None
    response_at: float  # time.monotonic()


def send(  # noqa: PLR0913 - each says something else about one association
    datasets: Iterable[Dataset], host: str, port: int, *, aet: str, called: str = "READINGROOM", pause_s: float = 0.0
) -> list[Sent]:
    """Send data sets over one association, each in the transfer syntax of its file meta information.

    Args:
        datasets: with ``file_meta``.
        host: where the listener is.
        port: of the listener.
        aet: who we say we are.
        called: whom we call.
        pause_s: how long to wait between two instances.

    Raises:
        NotAssociated: refused or unreachable.
    """
    instances = list(datasets)
    ae = AE(ae_title=aet)
    pairs = dict.fromkeys((str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in instances)
    for sop_class, transfer_syntax in list(pairs)[:_MAX_CONTEXTS]:
        ae.add_requested_context(sop_class, transfer_syntax)
    association = ae.associate(host, port, ae_title=called)
    if not association.is_established:
        _end(association)
        raise NotAssociated(f"{called} at {host}:{port} did not take the association of {aet}")
    sent: list[Sent] = []
    alive = True
    try:
        for instance in instances:
            # Once no answer came, the association is over; pynetdicom would wait 30 s for the next.
            alive = alive and association.is_established
            status = association.send_c_store(instance).get("Status") if alive else None
            alive = status is not None
            sent.append(Sent(str(instance.SOPInstanceUID), status, time.monotonic()))
            if pause_s:
                time.sleep(pause_s)
    finally:
        _end(association)
    return sent


def _end(association: Association) -> None:
    """Release; when the server is not there or has died, pynetdicom leaves the socket open."""
    if association.is_established:
        association.release()
    if association.is_alive():  # one that was refused never ran
        association.join(_END_S)
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.close()
