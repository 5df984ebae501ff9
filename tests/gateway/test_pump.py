"""The pump looks at the feeds it follows, whatever is followed while it looks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway.realtime.pump import Pump
from storage import feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest


class Feeds:
    """A database that holds the heads of two feeds; ``meanwhile`` runs once while they are read."""

    def __init__(self) -> None:
        self.heads = {"one": feed.Head(7, "e1"), "two": feed.Head(9, "e2")}
        self.meanwhile: Any = None

    @asynccontextmanager
    async def scope(self, _tenants: list[str]) -> AsyncIterator[Feeds]:
        yield self

    async def read(self, _conn: Any, tenants: list[str]) -> dict[str, feed.Head]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return {name: head for name, head in self.heads.items() if name in tenants}


async def test_a_feed_that_is_followed_while_others_are_looked_at_was_not_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feeds, restored = Feeds(), list[str]()

    async def owners(_conn: Any, _tenant_id: str) -> dict[str, str]:
        return {}

    monkeypatch.setattr(feed, "heads", feeds.read)
    monkeypatch.setattr(feed, "owners", owners)
    hub: Any = type("Hub", (), {"tenants": lambda _: {"one", "two"}})()
    pump = Pump(feeds, hub, restored.append)  # type: ignore[arg-type]
    await pump.follow("one")
    feeds.meanwhile = lambda: pump.follow("two")
    await pump._look()
    assert restored == []
    assert pump._tenants["two"].pos == 9
    feeds.heads["two"] = feed.Head(3, "e3")
    await pump._look()
    assert (restored, pump._tenants["two"].pos) == (["two"], 3)
