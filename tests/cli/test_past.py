"""``readingroom admin replay`` and ``audit verify`` over a night that really happened."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.identity import Principal
from actors.domain.words import Role, SignKind
from readingroom.cli import instance
from storage import worklist
from storage.pool import Database
from tests.actors.night import ADA, PATIENT, Night, at_work
from tests.cli.test_admin import Shell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

INTACT = {"intact": True, "broken_at": None, "head": True, "wrong": []}


@pytest.fixture
async def night(fresh: Settings) -> AsyncIterator[Night]:
    async with at_work(fresh) as made:
        yield made


@pytest.fixture
def shell(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(instance, "settings_of", lambda _: fresh)
    return Shell(fresh)


async def lived(night: Night) -> datetime:
    """One study is signed, one is being read, one waits; return when the first was offered and nothing had been taken."""
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    then = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA)
    await night.study("1.2.3", c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    await night.study("1.2.3", c.Sign(SignKind.FINAL, 1), ADA)
    await night.images("1.2.4")
    second = await night.offered("1.2.4")
    await night.study("1.2.4", c.Accept(second["offer_id"]), ADA)
    await night.study("1.2.4", c.StartReading(), ADA)
    await night.images("1.2.5", priority="LOW")
    await night.status("1.2.5", "unread")
    return then


async def shown(shell: Shell, line: str, code: int = 0) -> Any:
    return json.loads(await shell.run(f"{line} --json", code=code))


async def test_the_board_of_now_is_the_snapshot_that_screens_begin_with(night: Night, shell: Shell) -> None:
    await lived(night)
    board = await shown(shell, "replay")
    db = await Database(night.settings.dsn("rr_app")).open()
    async with db.view(Principal("", "t", Role.MANAGER), snapshot=True) as conn:
        data = (await worklist.tenant_snapshot(conn, "t"))["data"]
    await db.close()
    assert board["rows"] == data["rows"]
    assert board["counters"] == data["counters"]
    fields = ("radiologist_id", "presence", "load", "study_uid")
    assert board["readers"] == [{f: r[f] for f in fields} for r in data["readers"] if r["radiologist_id"] == "ada"]


async def test_the_board_at_an_instant_is_the_board_of_then(night: Night, shell: Shell) -> None:
    then = await lived(night)
    board = await shown(shell, f"replay --tenant t --at {then.isoformat()}")
    assert [(r["study_uid"], r["status"], r["patient"]["name"]) for r in board["rows"]] == [
        ("1.2.3", "offered", PATIENT.name)
    ]
    assert (board["counters"]["offered"], board["counters"]["final_today"]) == (1, 0)
    assert board["readers"] == [{"radiologist_id": "ada", "presence": "online", "load": 1, "study_uid": None}]
    assert (await shown(shell, "replay --at 2020-01-01T00:00Z"))["rows"] == []
    assert "1.2.4" in await shell.run("replay --tenant t")


async def test_a_study_is_shown_with_all_that_had_happened_to_it(night: Night, shell: Shell) -> None:
    then = await lived(night)
    now = await shown(shell, "replay 1.2.3")
    assert (now["row"]["status"], now["events"][-1]["type"], now["events"][-1]["by"]) == ("final", "FinalSigned", "ada")
    past = await shown(shell, f"replay 1.2.3 --at {then.isoformat()}")
    assert (past["row"]["status"], past["events"][-1]["type"]) == ("offered", "Offered")
    assert past["row"]["offer"]["radiologist_id"] == "ada"
    assert (await shown(shell, "replay 1.2.3 --at 2020-01-01"))["row"] is None
    assert "STAT final, with ada" in await shell.run("replay 1.2.3")


async def test_replay_says_what_it_needs(night: Night, shell: Shell) -> None:
    await lived(night)
    assert "Nobody knows a study 9.9" in await shell.run("replay 9.9", code=2)
    assert "is not an instant" in await shell.run("replay 1.2.3 --at noon", code=2)
    await shell.run("tenant add", "South")
    assert "Name the group" in await shell.run("replay", code=2)
    await night.admin.execute(
        "INSERT INTO rr.journal SELECT 'south', entity, version, type, body, by, idem, at FROM rr.journal"
        " WHERE entity = 'study/1.2.3'"
    )
    assert "Several groups know 1.2.3" in await shell.run("replay 1.2.3", code=2)
    assert (await shown(shell, "replay 1.2.3 --tenant t"))["tenant_id"] == "t"


async def test_a_chain_that_nobody_touched_is_intact(night: Night, shell: Shell) -> None:
    await lived(night)
    await shell.run("tenant add", "South")
    found = await shown(shell, "audit verify")
    assert found["intact"]
    south, t = found["tenants"]
    assert t.items() >= INTACT.items()
    assert t["links"] > 5
    assert t["events"] == await night.admin.fetchval("SELECT count(*) FROM rr.journal")
    assert south == INTACT | {"tenant_id": "south", "links": 0, "events": 0}
    assert "intact" in await shell.run("audit verify --tenant t")


@pytest.mark.parametrize(
    ("forgery", "what"),
    [
        ("UPDATE rr.journal SET body = body || '{\"radiologist_id\": \"bob\"}' WHERE type = 'Accepted' AND entity ~ '1.2.3'",
         {"wrong": [{"entity": "study/1.2.3", "version": 6, "what": "changed"}]}),
        ("UPDATE rr.journal SET by = 'bob' WHERE type = 'FinalSigned'",
         {"wrong": [{"entity": "study/1.2.3", "version": 8, "what": "changed"}]}),
        ("DELETE FROM rr.journal WHERE type = 'FinalSigned'",
         {"wrong": [{"entity": "study/1.2.3", "version": 8, "what": "missing"}]}),
        (("INSERT INTO rr.journal SELECT tenant_id, entity, 99, type, body, by, idem, at FROM rr.journal"
         " WHERE type = 'FinalSigned'"),
         {"wrong": [{"entity": "study/1.2.3", "version": 99, "what": "added"}]}),
        ("UPDATE rr.audit SET body = '[]' WHERE pos = 3", {"broken_at": 3}),
        ("DELETE FROM rr.audit WHERE pos = 3", {"broken_at": 4}),
        ("DELETE FROM rr.audit WHERE pos = (SELECT max(pos) FROM rr.audit)", {"head": False, "broken_at": None}),
    ],
)  # fmt: skip
async def test_whatever_was_changed_afterwards_is_found(
    night: Night, shell: Shell, forgery: str, what: dict[str, Any]
) -> None:
    await lived(night)
    await night.actors.stop()
    await night.admin.execute(forgery)
    found = await shown(shell, "audit verify", code=1)
    assert not found["intact"]
    assert found["tenants"][0].items() >= what.items()
    assert "NOT INTACT" in await shell.run("audit verify", code=1)
