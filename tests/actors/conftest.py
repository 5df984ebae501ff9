"""Both runtimes: hosts in this process, and hosts on a Ray head that the tests start and stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from actors.post import common
from tests.actors.head import end_head, start_head
from tests.actors.night import at_work
from tests.conftest import short_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from actors.domain.commands import Envelope
    from readingroom.settings import Settings
    from tests.actors.night import Night


@pytest.fixture(scope="session")
def head() -> Iterator[str]:
    """A Ray head on free ports, in a short directory; ended with everything that it started."""
    with short_directory("rr-ray-") as directory, (directory / "head.log").open("wb") as log:
        process, address = start_head(directory, log)
        try:
            yield address
        finally:
            import ray  # noqa: PLC0415 - costs a second, and most tests do without

            ray.shutdown()
            end_head(process)


class OnRay:
    """Hosts as detached actors, made for one test and ended after it."""

    def __init__(self, settings: Settings) -> None:
        from actors import system  # noqa: PLC0415

        self.settings, self.ray = settings, system
        self.system = system.System(settings)
        self.hosts = common(settings.shard_hosts)

    async def start(self) -> None:
        await self.system.start()
        await self.make()

    async def make(self) -> None:
        """Attach to the head of this moment and make the hosts on it."""
        async with asyncio.timeout(60):
            while not self.system.attached:
                await asyncio.sleep(0.02)
        states = await asyncio.to_thread(self.ray.ensure_hosts, self.settings, self.hosts)
        assert all(s["started"] for s in states), states

    async def add(self, name: str) -> None:
        """Make one more host."""
        self.hosts[name] = ""
        await self.make()

    async def remove(self, name: str) -> None:
        """End a host for good."""
        del self.hosts[name]
        await asyncio.to_thread(self.ray.end_hosts, [name])

    async def stop(self) -> None:
        await asyncio.to_thread(self.ray.end_hosts, self.hosts)
        await self.system.stop()

    async def ask(self, key: Any, envelope: Envelope) -> dict[str, Any]:
        return await self.system.ask(key, envelope)


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
async def night(request: pytest.FixtureRequest, fresh: Settings) -> AsyncIterator[Night]:
    """A tenant at work on each runtime."""
    if request.param == "ray":
        fresh.ray_address = request.getfixturevalue("head")
    async with at_work(fresh, OnRay(fresh) if request.param == "ray" else None) as made:
        yield made
