"""The door into this package: ask an entity by its key, wherever it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from actors.domain.commands import Envelope
    from actors.domain.identity import Key


class Refs(Protocol):
    """Entities by key; asking activates."""

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Return the answer: ``version``, ``row`` and what the command adds.

        Raises:
            ReadingRoomError: the refusal, the same class as where it was raised.
        """
        ...
