"""Shards move while commands and images come in: nothing is lost, doubled or reordered, in one process and on Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.domain import commands as c
from storage import shards
from storage.pool import Database
from tests.actors.load import Load, until_spread
from tests.actors.night import ADA

if TYPE_CHECKING:
    from tests.actors.night import Night

pytestmark = pytest.mark.postgres


async def drain(night: Night, host: str) -> None:
    """Do what ``admin shards drain`` does."""
    db = await Database(night.settings.dsn("rr_admin"), max_size=1).open()
    async with db.scope() as conn:
        await shards.empty(conn, host, leaving=True)
    await db.close()


async def test_a_host_comes_and_goes_under_load(night: Night) -> None:
    async with Load(night) as load:
        await load.more(50)
        await night.actors.add("1")
        await until_spread(night, h0=32, h1=32)
        await load.more(100)
        await drain(night, "1")
        await until_spread(night, h0=64)
        await night.actors.remove("1")
        await load.more(50)
    await load.check()
    [moves] = await night.rows("SELECT max(generation) FROM rr.placement")
    assert moves[0] == 3  # taken, handed over, handed back: nothing went to and fro


async def test_offers_and_clocks_go_on_where_their_study_has_moved(night: Night) -> None:
    await night.admin.execute(
        """INSERT INTO rr.policy VALUES ('t', 1, '{"sla": {"STAT": {"due_s": 6, "warn_s": 4}}}')"""
    )
    await night.online(ADA)
    offers = []
    for n in range(4):
        await night.images(f"1.2.{n}")
        offers.append(await night.offered(f"1.2.{n}"))
    await night.actors.add("1")
    await until_spread(night, h0=32, h1=32)
    for n, offer in enumerate(offers):
        answer = await night.study(f"1.2.{n}", c.Accept(offer["offer_id"]), ADA, idem=f"{n}")
        assert answer["row"]["assigned_to"] == "ada"
    for n in range(4):
        await night.until(f"1.2.{n}", lambda d: d["sla"]["state"] == "breached")
    breaches = await night.rows("SELECT entity, count(*) AS n FROM rr.journal WHERE type = 'SlaBreached' GROUP BY 1")
    assert sorted((r["entity"], r["n"]) for r in breaches) == [(f"study/1.2.{n}", 1) for n in range(4)]
    await night.images("1.3.0")
    await night.offered("1.3.0")  # one decider: nobody offers it a second time
    assert len(await night.rows("SELECT 1 FROM rr.journal WHERE type = 'Offered'")) == 5
