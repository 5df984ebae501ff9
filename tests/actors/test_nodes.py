"""Two real Ray nodes: one more comes, is drained, comes again and loses its power, and every promise is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.actors.conftest import OnRay
from tests.actors.contract.test_moving import drain
from tests.actors.head import end_head, kill_head, start_head, start_node
from tests.actors.load import Load, until_spread
from tests.actors.night import Night, at_work
from tests.conftest import short_directory

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from readingroom.settings import Settings

pytestmark = [pytest.mark.postgres, pytest.mark.ray]


async def nodes(of: OnRay, count: int) -> None:
    """Wait until the cluster has room for so many hosts."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(of.ray.units) != count:
            await asyncio.sleep(0.2)


async def lived(night: Night, runtime: OnRay, join: Callable[[], subprocess.Popen[bytes]]) -> None:
    """Live through it all under load."""
    async with Load(night) as load:
        await load.more(50)
        second = join()
        await nodes(runtime, 2)
        await runtime.add("1")
        await until_spread(night, h0=32, h1=32)
        await load.more(100)

        await drain(night, "1")  # switched off in good order
        await until_spread(night, h0=64)
        await runtime.remove("1")
        await asyncio.to_thread(end_head, second)
        await load.more(50)

        second = join()
        await asyncio.sleep(1)
        await nodes(runtime, 2)
        await night.rows("UPDATE rr.shard_host SET leaving = false")
        await runtime.add("1")
        await until_spread(night, h0=32, h1=32)
        await load.more(100)

        kill_head(second)  # power is lost: nobody says a word
        await until_spread(night, h0=64)
        await load.more(50)
    await load.check()


async def test_a_node_comes_and_goes_under_load(fresh: Settings) -> None:
    import actors.system  # noqa: PLC0415 - costs a second, and most tests do without

    with short_directory("rr-ray-") as directory, (directory / "head.log").open("wb") as log:
        head, fresh.ray_address = start_head(directory, log, shard=1)
        processes = [head]

        def join() -> subprocess.Popen[bytes]:
            processes.append(start_node(str(fresh.ray_address), log))
            return processes[-1]

        try:
            async with at_work(fresh, runtime := OnRay(fresh)) as night:
                await lived(night, runtime, join)
        finally:
            actors.system.ray.shutdown()
            for process in reversed(processes):
                end_head(process)
