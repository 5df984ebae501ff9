"""A manager asks what if: a forecast on the live state that changes nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from actors.local import Local
from actors.shard import Place
from gateway import forecasting
from readingroom.cli import forecast
from tests.gateway.rest import World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

UID = "1.2.826.0.1.3680043.10.77.1"


@pytest.fixture
async def room(fresh: Settings) -> AsyncIterator[World]:
    actors = Local(Place(fresh.dsn("rr_host"), fresh.dsn("rr_timer"), fresh.valkey_url))
    async with world(fresh, actors) as made:
        await made.ordered("S1", "tess", study_uid=UID)
        await made.images(UID)
        yield made
    await actors.stop()


@pytest.mark.postgres
async def test_what_if_answers_with_intervals_and_changes_nothing(room: World) -> None:
    before = (await room.get("/api/board", "max")).json
    while before["items"][0]["sla"] is None:  # the inbox is swept each second
        await asyncio.sleep(0.1)
        before = (await room.get("/api/board", "max")).json
    until = (datetime.now(UTC) + timedelta(hours=4)).isoformat()
    changes = [
        {"kind": "close_shift", "radiologist_id": room.ids["ada"]},
        {"kind": "add_reader", "until": until, "specialty": "neuro"},
        {"kind": "send_studies", "site": "harbor", "count": 40, "modality": "CT"},
        {"kind": "scale_arrivals", "factor": 1.3},
    ]
    answer = await room.post("/api/what-if", {"changes": changes, "until": until}, "max")
    assert answer.status == 200, answer.json
    said = answer.json
    assert said["nights"] >= 5
    assert said["difference"]["half"] is not None
    assert said["changed"]["mean"] >= said["planned"]["mean"]
    assert {r["radiologist_id"] for r in said["readers"]} == {room.ids[w] for w in ("ada", "bob", "rei")}
    assert (await room.get("/api/board", "max")).json == before


@pytest.mark.postgres
async def test_the_fork_knows_what_readers_have_been_seen_to_need(room: World) -> None:
    await room.sql(
        "INSERT INTO rr.read_time (tenant_id, study_uid, radiologist_id, modality, body_part, procedure, minutes)"
        " SELECT 'north', '1.9.' || w || '.' || k, w, 'CT', 'HEAD', 'CT head', m"
        " FROM (VALUES ($1::text, 3.0), ($2, 12.0)) AS r(w, m), generate_series(1, 40) k",
        room.ids["ada"], room.ids["bob"],
    )  # fmt: skip
    async with room.deps.app_db.scope(["north"]) as conn:
        live = await forecasting.fork(conn, "north")
    ada, bob = (live.minutes.expected(room.ids[who], "CT/neuro") for who in ("ada", "bob"))
    assert ada < 6 < bob
    paces = {m.user_id: p.pace("CT/neuro") for m, p in zip(live.members, live.persons(), strict=True)}
    assert paces[room.ids["ada"]] * 2 < paces[room.ids["bob"]]


@pytest.mark.postgres
async def test_what_is_not_there_or_makes_no_sense_is_refused_with_its_field(room: World) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    for change, status, field in (
        ({"kind": "close_shift", "radiologist_id": "nobody"}, 404, "radiologist_id"),
        ({"kind": "send_studies", "site": "nowhere", "count": 1, "modality": "CT"}, 404, "site"),
        ({"kind": "add_reader", "until": "tomorrow morning"}, 422, "until"),
        ({"kind": "send_studies", "site": "harbor", "count": 0, "modality": "CT"}, 422, None),
        ({"kind": "paint_walls"}, 422, None),
    ):
        answer = await room.post("/api/what-if", {"changes": [change], "until": until}, "max")
        assert answer.status == status, (change, answer.json)
        if field:
            assert answer.json["field"] == field
    late = (datetime.now(UTC) + timedelta(hours=30)).isoformat()
    assert (await room.post("/api/what-if", {"until": late}, "max")).json["field"] == "until"


def test_flags_become_changes_and_wrong_ones_are_named() -> None:
    now = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
    added = forecast._add("neuro@06:00", now, UTC)  # type: ignore[arg-type]
    assert (added.specialty, added.until) == ("neuro", "2026-11-25T06:00:00+00:00")
    assert forecast._send("harbor:40:CT").count == 40
    assert forecast._send("harbor:40:CT:STAT").priority == "STAT"
    assert forecast._scale("harbor:1.3").site == "harbor"
    assert forecast._scale("2").site is None
    for parse, text in ((forecast._send, "harbor:x:CT"), (forecast._send, "a:1:CT:SOON"), (forecast._scale, "much")):
        with pytest.raises(forecast.BadPayload):
            parse(text)
