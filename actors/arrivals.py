"""What ingest has left in the database for the shards that a host holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import inbox

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from actors.letters import DeadLetters
    from actors.tenure import Everything, Tenure
    from storage.inbox import Entry, Stored
    from storage.pool import Database


class Arrivals:
    """The inbox of a host's shards.

    Args:
        tenure: which shards those are.
        waker: role rr_timer, which sees who is to be told.
        db: role rr_host.
        letters: where entries go that their study fails on.
    """

    def __init__(self, tenure: Tenure | Everything, waker: Database, db: Database, letters: DeadLetters) -> None:
        self._tenure, self._waker, self._db = tenure, waker, db
        self.park = letters.park

    async def waiting(self, held: Collection[tuple[str, str]]) -> list[Entry]:
        """Return what waits, oldest first, but of the studies that are held back."""
        async with self._waker.scope() as conn:
            return await inbox.waiting(conn, self._tenure.takes, self._tenure.placement.apart, held)

    async def stored(self, studies: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
        """Return how many images of each study are stored, and whose."""
        keys = list(studies)
        async with self._db.scope(sorted({tenant_id for tenant_id, _ in keys})) as conn:
            return await inbox.stored(conn, keys)
