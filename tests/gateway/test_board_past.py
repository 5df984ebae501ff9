"""Managers look back: the board as it was, of their own group alone, and it cannot be asked for what is to come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway.rest import World

pytestmark = pytest.mark.postgres
UID = "1.2.826.0.1.3680043.10.77.1"


def past(at: datetime) -> str:
    return f"/api/board/past?at={at.isoformat().replace('+', '%2B')}"


async def test_the_board_is_shown_as_it_was_and_only_to_who_manages_it(rest: World) -> None:
    before = datetime.now(UTC)
    await rest.ordered("S1", "tess", study_uid=UID)
    ordered = datetime.now(UTC)
    await rest.images(UID)
    now = (await rest.get("/api/board", "max")).json
    while not now["items"] or now["items"][0]["sla"] is None:  # the inbox is swept each second
        await asyncio.sleep(0.1)
        now = (await rest.get("/api/board", "max")).json
    assert (await rest.get(past(before), "max")).json["items"] == []
    then = (await rest.get(past(ordered), "max")).json
    assert [row["status"] for row in then["items"]] == ["ordered"]  # no image, no clock yet
    assert then["items"][0]["sla"] is None
    shown = (await rest.get(past(datetime.now(UTC)), "max")).json
    assert [row["study_uid"] for row in shown["items"]] == [UID]
    assert shown["items"][0]["patient"] == now["items"][0]["patient"]
    assert shown["items"][0]["sla"]["due_at"] == now["items"][0]["sla"]["due_at"]
    assert shown["counters"] == now["counters"]
    assert (await rest.get(past(ordered), "ada")).status == 403
    stranger = await rest.get(past(datetime.now(UTC)), "sam")
    assert stranger.status == 200
    assert stranger.json["items"] == []


async def test_an_instant_that_is_none_or_to_come_is_refused(rest: World) -> None:
    for query in ("", "?at=yesterday", "?at=2026-03-01T03:14:00"):
        answer = await rest.get(f"/api/board/past{query}", "max")
        assert (answer.status, answer.json["field"]) == (422, "at"), query
    late = await rest.get(past(datetime.now(UTC) + timedelta(hours=1)), "max")
    assert (late.status, late.json["field"]) == (422, "at")
