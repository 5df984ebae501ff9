"""Managers look back: the board as it was, of their own group alone, and it cannot be asked for what is to come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from actors.local import Local
from actors.shard import Place
from tests.gateway.rest import World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres
UID = "1.2.826.0.1.3680043.10.77.1"


@pytest.fixture
async def room(fresh: Settings) -> AsyncIterator[World]:
    actors = Local(Place(fresh.dsn("rr_host"), fresh.dsn("rr_timer"), fresh.valkey_url))
    async with world(fresh, actors) as made:
        yield made
    await actors.stop()


def past(at: datetime) -> str:
    return f"/api/board/past?at={at.isoformat().replace('+', '%2B')}"


async def test_the_board_is_shown_as_it_was_and_only_to_who_manages_it(room: World) -> None:
    before = datetime.now(UTC)
    await room.ordered("S1", "tess", study_uid=UID)
    ordered = datetime.now(UTC)
    await room.images(UID)
    now = (await room.get("/api/board", "max")).json
    while not now["items"] or now["items"][0]["sla"] is None:  # the inbox is swept each second
        await asyncio.sleep(0.1)
        now = (await room.get("/api/board", "max")).json
    assert (await room.get(past(before), "max")).json["items"] == []
    then = (await room.get(past(ordered), "max")).json
    assert [row["status"] for row in then["items"]] == ["ordered"]  # no image, no clock yet
    assert then["items"][0]["sla"] is None
    shown = (await room.get(past(datetime.now(UTC)), "max")).json
    assert [row["study_uid"] for row in shown["items"]] == [UID]
    assert shown["items"][0]["patient"] == now["items"][0]["patient"]
    assert shown["items"][0]["sla"]["due_at"] == now["items"][0]["sla"]["due_at"]
    assert shown["counters"] == now["counters"]
    assert (await room.get(past(ordered), "ada")).status == 403
    stranger = await room.get(past(datetime.now(UTC)), "sam")
    assert stranger.status == 200
    assert stranger.json["items"] == []


async def test_an_instant_that_is_none_or_to_come_is_refused(room: World) -> None:
    for query in ("", "?at=yesterday", "?at=2026-03-01T03:14:00"):
        answer = await room.get(f"/api/board/past{query}", "max")
        assert (answer.status, answer.json["field"]) == (422, "at"), query
    late = await room.get(past(datetime.now(UTC) + timedelta(hours=1)), "max")
    assert (late.status, late.json["field"]) == (422, "at")
