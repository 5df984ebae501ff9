"""The real entities behind the real socket: what every screen shows is what a fresh snapshot says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as told
from actors.local import Local
from readingroom.demo.view import view_of
from storage import worklist
from tests.actors.night import Night, place
from tests.gateway.floor import Floor, open_floor, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.demo.client import LiveClient
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres
SECTIONS = {"technique": "CT", "comparison": "none", "findings": "none", "impression": "no bleed"}


@pytest.fixture
async def floor(fresh: Settings) -> AsyncIterator[Floor]:
    async with open_floor(fresh) as made:
        local = Local(place(fresh))
        await local.start()
        made.refs.ask = local.ask
        yield made
        await local.stop()


@pytest.fixture
async def night(floor: Floor) -> AsyncIterator[Night]:
    made = Night(floor.settings, floor.admin, floor.refs)
    yield made
    await made.valkey.aclose()


async def fresh_views(floor: Floor) -> dict[str, Any]:
    async with floor.first.deps.app_db.scope(["t"]) as conn:
        made = {
            "tenant:t": await worklist.tenant_snapshot(conn, "t"),
            "user:ada": await worklist.user_snapshot(conn, "t", "ada"),
            "site:harbor": await worklist.site_snapshot(conn, "t", "harbor"),
            "wall:t": await worklist.wall_snapshot(conn, "t"),
        }
    return {stream: view_of(snapshot) for stream, snapshot in made.items()}


async def agree(floor: Floor, clients: list[LiveClient]) -> None:
    """Every stream that a client follows is, event by event, what a snapshot read now holds."""
    expected = await fresh_views(floor)
    async with asyncio.timeout(5):
        for client in clients:
            for stream, view in client.views.items():
                if stream in expected:
                    while client.views[stream].seq < expected[stream].seq:  # type: ignore[operator]
                        await asyncio.sleep(0.01)
                    assert client.views[stream] == expected[stream], stream
                assert view.seq is not None


async def test_a_stat_study_is_offered_read_and_signed_on_every_screen(floor: Floor, night: Night) -> None:
    people = [await floor.client(user) for user in ("ada", "max", "tess", None)]
    ada, manager, technologist, wall = people
    await until(lambda: manager.readers["ada"]["presence"] == "online")
    await ada.follow("study:1.2.3")
    offers: list[dict[str, Any]] = []
    ada.on("assignment_offered", offers.append)
    await night.images("1.2.3", count=3)
    await until(lambda: offers, 10)
    offer = offers[0]["data"]
    assert manager.rows["1.2.3"]["offer"]["offer_id"] == offer["offer_id"]
    await until(lambda: ada.mine.get("1.2.3", {}).get("status") == "offered")
    assert technologist.rows["1.2.3"].keys().isdisjoint({"ai", "acuity", "offer", "second_reader", "second_read"})
    assert wall.rows["1.2.3"]["patient"] is None
    accepted = await ada.call("accept", study_uid="1.2.3", offer_id=offer["offer_id"], idem="a1")
    assert accepted["ok"] is True
    assert await ada.call("accept", study_uid="1.2.3", offer_id=offer["offer_id"], idem="a1") == accepted
    assert (await ada.call("start_reading", study_uid="1.2.3"))["ok"] is True
    draft = await ada.call("save_draft", study_uid="1.2.3", base_version=0, sections=SECTIONS)
    assert draft["ok"] is True
    await agree(floor, people)
    row = ada.rows["1.2.3"]
    refused = await ada.call("sign", study_uid="1.2.3", version=row["version"] - 1,
                             report_version=draft["report_version"], kind="final")  # fmt: skip
    assert refused["error"] == "stale_version"
    assert refused["row"]["version"] == row["version"]
    signed = await ada.call("sign", study_uid="1.2.3", version=row["version"], report_version=draft["report_version"],
                            kind="final", confirm=True)  # fmt: skip
    assert signed["ok"] is True
    await agree(floor, people)


async def test_the_manager_assigns_and_the_reader_is_told(floor: Floor, night: Night) -> None:
    manager = await floor.client("max")
    await night.images("9.9", count=1)
    await until(lambda: "9.9" in manager.rows, 10)
    row = manager.rows["9.9"]
    nobody = await manager.call("assign", study_uid="9.9", version=row["version"], radiologist_id="nobody")
    assert nobody["error"] == "not_found"
    absent = await manager.call("assign", study_uid="9.9", version=row["version"], radiologist_id="bob")
    assert absent["error"] == "not_eligible"
    given = await manager.call("assign", study_uid="9.9", version=row["version"], radiologist_id="bob", override=True)
    assert given["ok"] is True
    bob = await floor.client("bob")
    assert bob.mine["9.9"]["assigned_to"] == "bob"
    await agree(floor, [manager, bob])


async def test_a_hospital_that_cancels_is_not_told_of_the_offer_it_ends(floor: Floor, night: Night) -> None:
    ada, technologist = await floor.client("ada"), await floor.client("tess")
    await until(lambda: ada.readers["ada"]["presence"] == "online")
    ended: list[dict[str, Any]] = []
    ada.on("assignment_revoked", ended.append)
    await night.images("1.2.3", count=1)
    await until(lambda: "1.2.3" in ada.mine and "1.2.3" in technologist.rows, 10)
    await night.study("1.2.3", told.CancelOrder("wrong patient"))
    await until(lambda: ended and "1.2.3" not in ada.mine)
    assert ended[0]["data"]["reason"] == "cancelled"
    await agree(floor, [ada, technologist])
