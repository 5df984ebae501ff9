"""Fewer hosts are wanted, or a tenant's own: those that are not wanted hand over before they are dismissed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from actors.local import Local
from readingroom import staff as module
from readingroom.staff import Staff
from storage import placement
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


async def test_a_machine_that_is_lost_takes_its_hosts_with_it_and_the_others_go_on_under_their_names(
    fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "LOST_S", 3.0)
    monkeypatch.setattr(module, "_PATIENCE_S", 4.0)
    monkeypatch.setattr(module, "units", lambda: 4)
    fresh.shard_hosts = 0
    local, staff, left = Local(place(fresh), hosts=4), Staff(fresh), set[str]()
    async with at_work(fresh, local) as night:
        await until_spread(night, h0=16, h1=16, h2=16, h3=16)
        for name in ("0", "1"):
            monkeypatch.setattr(local.hosts[name].tenure, "_look", asyncio.Event().wait)
        assert set(await staff.wanted()) == {"0", "1", "2", "3"}
        monkeypatch.setattr(
            module, "units", lambda: 2
        )  # Ray has given the machine up; its hosts still have their lease
        assert set(await staff.wanted()) == {"0", "1", "2", "3"}
        async with asyncio.timeout(30):
            while left != {"0", "1"}:
                await asyncio.sleep(0.1)
                wanted = await staff.wanted()
                left |= set(await staff.done())
        assert wanted == {"2": "", "3": ""}
        await until_spread(night, h2=32, h3=32)
        monkeypatch.setattr(module, "units", lambda: 4)
        assert await staff.wanted() == {"2": "", "3": "", "0": "", "1": ""}
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
