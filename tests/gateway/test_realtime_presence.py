"""Presence: online while any tab lives, five seconds of grace, found out even when a gateway dies."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain.commands import ObservePresence
from actors.domain.errors import Retry
from gateway.realtime import presence
from readingroom import embedded
from readingroom.settings import Settings
from tests.conftest import short_directory
from tests.gateway.floor import Floor, open_floor, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.postgres


@pytest.fixture
async def floor(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    for name, seconds in {"TTL_S": 2.0, "RENEW_S": 0.5, "GRACE_S": 1.0, "SWEEP_S": 0.1, "COMPARE_S": 0.4}.items():
        monkeypatch.setattr(presence, name, seconds)
    async with open_floor(fresh) as made:
        yield made


def told(floor: Floor) -> list[tuple[str, str, bool]]:
    return [
        (key.tenant_id, key.name, envelope.command.connected)
        for key, envelope in floor.refs.asked
        if isinstance(envelope.command, ObservePresence)
    ]


async def test_a_reader_who_connects_is_told_of_at_once_and_a_manager_is_not(floor: Floor) -> None:
    await floor.client("max")
    await floor.client("tess")
    began = time.monotonic()
    await floor.client("ada")
    await until(lambda: told(floor))
    assert time.monotonic() - began < 1.5
    assert told(floor) == [("t", "ada", True)]


async def test_who_comes_back_within_the_grace_was_never_away(floor: Floor) -> None:
    ada = await floor.client("ada")
    await until(lambda: told(floor))
    await ada.drop()
    await ada.wait_live(within_s=5)
    await asyncio.sleep(2)
    assert ("t", "ada", False) not in told(floor)


async def test_the_last_tab_that_closes_makes_her_leave(floor: Floor) -> None:
    one, two = await floor.client("ada"), await floor.client("ada")
    await one.close()
    await asyncio.sleep(1.8)
    assert ("t", "ada", False) not in told(floor)
    began = time.monotonic()
    await two.close()
    await until(lambda: ("t", "ada", False) in told(floor), 4)
    assert time.monotonic() - began >= 0.9


async def test_the_sockets_of_a_gateway_that_died_run_out(floor: Floor) -> None:
    await floor.valkey.hset("presence:t/bob", "tab/of-a-dead-gateway", str(time.time() + 1))
    await floor.valkey.zadd("presence:looks", {"t/bob": time.time() + 1})
    began = time.monotonic()
    await until(lambda: told(floor), 4)
    assert told(floor)[0] == ("t", "bob", False)
    assert time.monotonic() - began >= 0.9
    await asyncio.sleep(0.5)
    assert len(told(floor)) == 1


async def test_an_actor_that_is_away_is_told_again(floor: Floor) -> None:
    times = 2

    def away(_key: Any, _envelope: Any) -> Any:
        nonlocal times
        times -= 1
        if times >= 0:
            raise Retry
        return {"version": 1}

    floor.refs.answer = away
    ada = await floor.client("ada")
    await until(lambda: len(told(floor)) == 3)
    times = 2
    await ada.close()
    await until(lambda: told(floor).count(("t", "ada", False)) == 3, 5)
    await asyncio.sleep(0.5)
    assert told(floor).count(("t", "ada", False)) == 3


async def test_who_is_shown_as_present_without_any_socket_is_found(floor: Floor) -> None:
    await floor.admin.execute("INSERT INTO rr.reader (tenant_id, user_id, state) VALUES ('t', 'bob', 'online')")
    await floor.admin.execute("INSERT INTO rr.reader (tenant_id, user_id, state) VALUES ('t', 'ada', 'online')")
    await floor.client("ada")
    await until(lambda: ("t", "bob", False) in told(floor), 8)
    await asyncio.sleep(1)
    assert ("t", "ada", False) not in told(floor)


@pytest.fixture
def mortal(fresh: Settings) -> Iterator[Mortal]:
    """A Valkey of the test's own, which it may kill and start again in the same place."""
    with short_directory() as directory:
        settings = Settings(data=directory)
        embedded.prepare(settings)
        made = Mortal(settings)
        made.start()
        fresh.redis_url = settings.valkey_url
        try:
            yield made
        finally:
            made.kill()


class Mortal:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> None:
        self._process = embedded.start_valkey(self._settings)
        embedded.wait_for(self._settings.run / "valkey.sock", self._process)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def test_without_valkey_the_last_state_stands_a_while_then_each_gateway_says_what_it_knows(
    mortal: Mortal, floor: Floor
) -> None:
    ada, bob = await floor.client("ada"), await floor.client("bob")
    await until(lambda: len(told(floor)) == 2)
    mortal.kill()
    began = time.monotonic()
    await bob.close()
    await until(lambda: ("t", "bob", False) in told(floor), 15)
    assert time.monotonic() - began >= 1.9  # TTL_S: until then nobody knew
    await until(lambda: told(floor).count(("t", "ada", True)) > 2, 15)
    assert told(floor).count(("t", "bob", False)) == 1
    mortal.start()
    await asyncio.sleep(4)  # renewed, compared, looked at
    assert not {told_of for told_of in told(floor) if told_of[1] == "ada" and not told_of[2]}
    await ada.close()
    await until(lambda: ("t", "ada", False) in told(floor), 10)


async def test_a_restart_of_valkey_leaves_everybody_where_she_is(mortal: Mortal, floor: Floor) -> None:
    ada, bob = await floor.client("ada"), await floor.client("bob")
    await until(lambda: len(told(floor)) == 2)
    mortal.kill()
    await bob.close()
    mortal.start()
    await until(lambda: ("t", "bob", False) in told(floor), 10)
    await asyncio.sleep(3)
    assert ("t", "ada", False) not in told(floor)
    assert ada.live
