"""Ray's processes are killed, frozen and replaced: the journal has one owner, and answers come back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from actors.domain import commands as c
from actors.domain.errors import ReadingRoomError
from actors.domain.identity import study_key, tenant_key
from tests.actors.conftest import OnRay
from tests.actors.head import end_head, kill_head, start_head
from tests.actors.night import ADA, BOB, Night, at_work
from tests.conftest import short_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = [pytest.mark.postgres, pytest.mark.ray]


@pytest.fixture
async def night(head: str, fresh: Settings) -> AsyncIterator[Night]:
    fresh.ray_address = head
    async with at_work(fresh, OnRay(fresh)) as made:
        yield made


def host_pid(night: Night) -> int:
    return int((night.settings.run / "shard-host-0.pid").read_text())


async def test_a_killed_host_comes_back_and_nothing_is_done_twice(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    os.kill(host_pid(night), signal.SIGKILL)
    at = time.monotonic()
    taken = await night.insist(study_key("t", "1.2.3"), c.Accept(offer["offer_id"]), ADA, "a")
    took_s = time.monotonic() - at
    assert taken["row"]["assigned_to"] == "ada"
    assert took_s < 5
    os.kill(host_pid(night), signal.SIGKILL)
    assert await night.insist(study_key("t", "1.2.3"), c.Accept(offer["offer_id"]), ADA, "a") == taken
    await night.images("1.2.4")  # the new host keeps the inbox, the timers and the decider
    await night.offered("1.2.4")
    kinds = await night.admin.fetch("SELECT type FROM rr.journal WHERE entity = 'study/1.2.3'")
    assert [r["type"] for r in kinds].count("Accepted") == 1


async def test_a_host_that_was_frozen_does_not_do_what_is_too_late(night: Night) -> None:
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
    pid = host_pid(night)
    os.kill(pid, signal.SIGSTOP)
    try:
        claims = [
            night.actors.ask(tenant_key("t"), c.Envelope(c.NextCase(), who, f"{n}", time.time() + 1))
            for n, who in enumerate([ADA, BOB, ADA])
        ]
        results = await asyncio.gather(*claims, return_exceptions=True)
        assert all(isinstance(r, ReadingRoomError) for r in results), results
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1.5)
    assert (await night.doc("1.2.3"))["status"] == "unread"


async def test_a_host_whose_name_another_process_took_ends_and_is_made_anew(night: Night) -> None:
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
    old = host_pid(night)
    await night.admin.execute("UPDATE rr.shard_host SET epoch = epoch + 1")  # as a second copy does when it begins
    async with asyncio.timeout(30):
        while psutil.pid_exists(old) and psutil.Process(old).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.05)
    await night.online(ADA)
    await night.offered("1.2.3")  # Ray's own copy was the one that ended: Ray made another
    assert host_pid(night) != old
    assert await night.admin.fetchval("SELECT epoch FROM rr.shard_host") == 3


async def test_the_autoscaler_is_asked_for_room_once_as_the_hosts_say(night: Night) -> None:
    from ray.autoscaler._private.constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL  # noqa: PLC0415
    from ray.experimental.internal_kv import _internal_kv_get  # noqa: PLC0415

    from readingroom.keeper import Keeper  # noqa: PLC0415 - costs a second, and most tests do without

    def asked() -> Any:
        return json.loads(_internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL))

    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
    keeper, runtime = Keeper(night.settings), night.actors
    async with asyncio.timeout(30):
        while True:  # the decider knows it, and says so with the rest
            states = await asyncio.to_thread(runtime.ray.ensure_hosts, night.settings, runtime.hosts)
            if [state["studies"] for state in states] == [1]:
                break
            await asyncio.sleep(0.05)
    await keeper._scale(states)
    assert asked() == [{"shard": 1}]
    await keeper._scale([states[0] | {"studies": 120_000}])
    assert asked() == [{"shard": 1}] * 3
    await keeper._scale(states)  # calm, but not for long enough
    assert asked() == [{"shard": 1}] * 3


async def test_a_replaced_head_is_found_again(fresh: Settings) -> None:
    import actors.system  # noqa: PLC0415 - costs a second, and most tests do without

    with short_directory("rr-ray-") as directory, (directory / "head.log").open("wb") as log:
        (directory / "1").mkdir()
        (directory / "2").mkdir()
        first, fresh.ray_address = start_head(directory / "1", log)
        heads = [first]
        try:
            async with at_work(fresh, runtime := OnRay(fresh)) as night:
                await night.online(ADA)
                await night.images("1.2.3")
                offer = await night.offered("1.2.3")
                kill_head(first)
                at = time.monotonic()
                with pytest.raises(ReadingRoomError) as caught:
                    await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="a")
                assert caught.value.code == "retry"
                assert time.monotonic() - at < 8
                second, fresh.ray_address = start_head(directory / "2", log)
                heads.append(second)
                await runtime.make()
                answer = await night.insist(study_key("t", "1.2.3"), c.Accept(offer["offer_id"]), ADA, "a")
                assert answer["row"]["assigned_to"] == "ada"
        finally:
            actors.system.ray.shutdown()
            for process in heads:
                end_head(process)


async def test_asks_to_ray_are_fast_enough(night: Night) -> None:
    """A smoke test of coalescing, not a benchmark: refusals that read and write nothing but a look at the journal."""
    at = time.monotonic()
    asks = [night.actors.ask(study_key("t", f"1.{n % 50}"), c.Envelope(c.StartReading(), ADA)) for n in range(500)]
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert {getattr(r, "code", r) for r in results} == {"not_found"}
    assert time.monotonic() - at < 10
