"""Operators see where shards are and move them; what entities failed on is seen, tried again or thrown away."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain.commands import Envelope, StartReading
from actors.domain.errors import Failed
from actors.domain.identity import study_key
from actors.domain.study import SHAPE
from actors.local import Local
from readingroom.cli import instance
from tests.actors.night import ADA, Night, at_work, place
from tests.cli.test_admin import Shell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


@pytest.fixture
async def night(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Night]:
    monkeypatch.setattr(instance, "settings_of", lambda _: fresh)
    async with at_work(fresh, Local(place(fresh), hosts=2)) as made:
        yield made


class Last(Shell):
    """The one line that is JSON: the hosts of this process log to the same output."""

    async def json(self, line: str) -> Any:
        said = next(x for x in reversed((await self.run(f"{line} --json")).splitlines()) if x.startswith("{"))
        return json.loads(said)


@pytest.fixture
def shell(night: Night) -> Last:
    return Last(night.settings)


async def shown(shell: Last) -> dict[str, Any]:
    seen: dict[str, Any] = await shell.json("shards")
    return seen


def spread(seen: dict[str, Any]) -> dict[str, int]:
    return {host["host"]: host["shards"] for host in seen["hosts"]}


async def until(shell: Last, check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not check(seen := await shown(shell)):
            await asyncio.sleep(0.1)
    return seen


async def test_shards_are_shown_moved_and_kept(shell: Last) -> None:
    seen = await until(shell, lambda s: spread(s) == {"0": 32, "1": 32})
    line = seen["shards"][0]
    assert set(line) == {"tenant_id", "shard", "host", "generation", "wanted", "pinned"}
    mine = [s["shard"] for s in seen["shards"] if s["host"] == "0"][:3]
    assert "1" in (await shell.run(f"shards move {mine[0]} {mine[1]} --to 1")).splitlines()
    before = seen["shards"][mine[0]]["generation"]
    seen = await until(shell, lambda s: [s["shards"][n]["host"] for n in mine[:2]] == ["1", "1"])
    assert [s["shard"] for s in seen["shards"] if s["pinned"]] == sorted(mine[:2])
    assert seen["shards"][mine[0]]["generation"] == before + 1
    await until(shell, lambda s: spread(s) == {"0": 32, "1": 32})  # others have moved the other way
    await shell.run("shards even")
    assert not [s for s in (await shown(shell))["shards"] if s["pinned"]]
    assert "serving" in await shell.run("shards")


async def test_a_drained_host_holds_nothing_until_it_is_resumed(shell: Last) -> None:
    await until(shell, lambda s: spread(s) == {"0": 32, "1": 32})
    await shell.run("shards drain 1")
    await until(shell, lambda s: spread(s) == {"0": 64, "1": 0})
    assert "takes no shards. Hosts that do: 0." in await shell.run("shards move 1 --to 1", code=2)
    await shell.run("shards resume 1")
    await until(shell, lambda s: spread(s) == {"0": 32, "1": 32})
    assert "no host 'nine'" in await shell.run("shards drain nine", code=2)
    assert "There are no shards with the numbers 640" in await shell.run("shards move 640 --to 1", code=2)


async def test_a_tenant_gets_hosts_of_its_own_and_gives_them_back(night: Night, shell: Last) -> None:
    await until(shell, lambda s: spread(s) == {"0": 32, "1": 32})
    assert "t" in (await shell.run("shards dedicate --tenant t --hosts 1")).splitlines()
    local = night.actors
    assert isinstance(local, Local)
    await local.add("t-0", "t")
    seen = await until(shell, lambda s: spread(s) == {"0": 32, "1": 32, "t-0": 64})
    assert {s["host"] for s in seen["shards"] if s["tenant_id"] == "t"} == {"t-0"}
    await night.online(ADA)
    await night.images("1.2.3")
    await night.offered("1.2.3")
    assert len(local.hosts["t-0"]._cells) >= 3
    assert not len(local.hosts["0"]._cells) + len(local.hosts["1"]._cells)
    assert "serves t only" in await shell.run("shards move 1 --to t-0", code=2)
    await shell.run("shards dedicate --tenant t --hosts 0")
    await until(shell, lambda s: spread(s) == {"0": 32, "1": 32, "t-0": 0})
    await night.images("1.2.4")
    await night.offered("1.2.4")
    assert not len(local.hosts["t-0"]._cells)


BAD = "INSERT INTO rr.study VALUES ('t', $1, 'harbor', 1, 1, 'ordered', false, 'STAT', NULL, 'p1', '', '{}', NULL, $2)"


async def test_dead_letters_are_seen_tried_again_and_thrown_away(night: Night, shell: Last) -> None:
    await until(shell, lambda s: spread(s) == {"0": 32, "1": 32})
    assert await shell.json("dead-letters") == {"items": []}
    await night.admin.execute(BAD, "1.2.3", json.dumps({"shape": SHAPE}))  # a document that cannot be read
    for _ in range(2):
        with pytest.raises(Failed):
            await night.actors.ask(study_key("t", "1.2.3"), Envelope(StartReading(), ADA))
    await night.images("1.2.3")
    await night.images("1.2.4")
    await night.status("1.2.4", "unread")  # nobody waits for the bad one
    async with asyncio.timeout(30):
        while len(items := (await shell.json("dead-letters --tenant t"))["items"]) < 2:
            await asyncio.sleep(0.1)
    said = {item["source"]: item for item in items}
    assert (said["command"]["command"], said["command"]["tries"], said["command"]["user_id"]) == (
        "StartReading",
        2,
        "ada",
    )
    assert (said["inbox"]["entity"], said["inbox"]["messages"], said["inbox"]["tries"]) == ("study/1.2.3", 1, 3)
    assert " at " in said["inbox"]["cause"]
    assert "PHANTOM" not in json.dumps(items)
    assert await night.admin.fetchval("SELECT count(*) FROM rr.inbox") == 0
    assert "may send it again" in await shell.run("dead-letters retry", said["command"]["letter_id"], code=2)
    await shell.run("dead-letters dismiss", said["command"]["letter_id"])
    await night.admin.execute("DELETE FROM rr.study WHERE study_uid = '1.2.3'")  # repaired
    await shell.run("dead-letters retry", said["inbox"]["letter_id"])
    await night.status("1.2.3", "unread")
    assert await shell.json("dead-letters") == {"items": []}
    assert "no dead letter" in await shell.run("dead-letters retry x", code=2)
