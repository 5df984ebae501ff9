"""How a report leaves: one sender a kind of receiver. HL7 ORU, FHIR and DICOM SR are further senders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from storage.outbox import Message


class Sender(Protocol):
    """Sends one message once; order, repetition and back-off are the runner's."""

    async def open(self) -> None:
        """Get ready, in the loop that will send."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    async def send(self, message: Message) -> str | None:
        """Return None once the receiver has taken it, else what went wrong, without patient data."""
        ...
