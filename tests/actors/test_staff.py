"""Fewer hosts are wanted, or a tenant's own: those that are not wanted hand over before they are dismissed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from actors.local import Local
from readingroom.staff import Staff
from tests.actors.load import Load, until_spread
from tests.actors.night import at_work, place

if TYPE_CHECKING:
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


async def test_a_host_too_many_is_dismissed_once_it_holds_nothing(fresh: Settings) -> None:
    local, staff = Local(place(fresh), hosts=2), Staff(fresh)
    async with at_work(fresh, local) as night:
        async with Load(night) as load:
            await until_spread(night, h0=32, h1=32)
            assert await staff.wanted() == {"0": ""}
            left = await staff.done()
            async with asyncio.timeout(30):
                while not left:
                    await asyncio.sleep(0.1)
                    left = await staff.done()
            assert left == ["1"]
            await local.remove("1")
            await until_spread(night, h0=64)
            await load.more(20)
        await load.check()
        assert [r["host"] for r in await night.rows("SELECT host FROM rr.shard_host")] == ["0"]
    await staff.close()


async def test_a_tenant_is_given_hosts_and_a_database_that_is_away_changes_nothing(fresh: Settings) -> None:
    staff = Staff(fresh)
    async with at_work(fresh) as night:
        await night.rows("INSERT INTO rr.dedication VALUES ('t', 2)")
        assert await staff.wanted() == {"0": "", "t-0": "t", "t-1": "t"}
    await staff.close()
    fresh.database_url = "postgresql://nobody@127.0.0.1:1/rr"
    assert await staff.wanted() == {"0": "", "t-0": "t", "t-1": "t"}
    assert await staff.done() == []
