"""What tests of REST share: a world whose actors are real, run in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.local import Local
from actors.shard import Place
from tests.gateway.rest import World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings


@pytest.fixture
async def rest(fresh: Settings) -> AsyncIterator[World]:
    """A gateway over real actors; a test module that scripts the answers of actors has a ``rest`` of its own."""
    actors = Local(Place(fresh.dsn("rr_host"), fresh.dsn("rr_timer"), fresh.valkey_url))
    await actors.start()
    try:
        async with world(fresh, actors) as made:
            yield made
    finally:
        await actors.stop()
