"""Group commit's own law: whoever hands in an image is answered, whenever she comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.ingest import committer
from gateway.ingest.committer import Committer
from storage.ingest import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


class _Pool:
    """Hands out one connection, and takes its time to take it back."""

    def __init__(self) -> None:
        self.pool, self.returning, self.returned = self, asyncio.Event(), asyncio.Event()

    async def acquire(self, timeout: float) -> Any:  # noqa: ASYNC109 - the pool's own signature
        return self

    def is_closed(self) -> bool:
        return False

    async def release(self, _conn: Any) -> None:
        self.returning.set()
        await self.returned.wait()


async def test_an_image_that_comes_while_the_connection_goes_back_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stored(_conn: Any, arrivals: Sequence[Any]) -> list[Outcome]:
        return [Outcome(n, "stored", "1.2", 0) for n, _ in enumerate(arrivals)]

    monkeypatch.setattr(committer, "store_images", stored)
    pool = _Pool()
    made = Committer(pool, lambda _: None)  # type: ignore[arg-type]
    await made.commit(object())  # type: ignore[arg-type]
    await pool.returning.wait()
    late = asyncio.create_task(made.commit(object()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    pool.returned.set()
    assert (await asyncio.wait_for(late, 10)).outcome == "stored"
    await made.close()
