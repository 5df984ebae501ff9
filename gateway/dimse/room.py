"""What every DIMSE service of a listener works with, and how its threads reach the database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.dimse.status import Failure
from storage.faults import AWAY, UNFIT
from storage.ingest import Away

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.ingest.callers import Callers
    from gateway.ingest.shield import Shield
    from storage.objects import ObjectStore
    from storage.pool import Database

T = TypeVar("T")
_PATIENCE_S = 40.0


@dataclass(frozen=True, slots=True)
class Room:
    """Shared by all associations of a process.

    Args:
        views: as rr_app: what callers may see.
        rows: as rr_ingest: what they write.
        announce: told the shards whose inbox has grown.
        shield: for calls of ours under TLS; None when there is no certificate to show.
    """

    views: Database
    rows: Database
    store: ObjectStore
    callers: Callers
    aet: str
    announce: Callable[[set[int]], None]
    shield: Shield | None
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait, in an association's thread, for work on the loop.

        Raises:
            Away: the database is.
            Failure: a value is one that the database cannot hold.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout=_PATIENCE_S)
        except TimeoutError as exc:
            future.cancel()
            raise Away("TimeoutError") from exc
        except AWAY as exc:
            raise Away(type(exc).__name__) from exc
        except UNFIT as exc:
            raise Failure("a value that cannot be stored") from exc

    def tell(self, shards: set[int]) -> None:
        """Announce, from an association's thread, that inboxes have grown."""
        if shards:
            self.loop.call_soon_threadsafe(self.announce, shards)
