"""A real PostgreSQL, or a real Valkey, is killed under a night at work: actors, gateway and sockets together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from redis.exceptions import ConnectionError  # noqa: A004 - the client's own

from actors.domain import commands as c
from actors.domain.errors import Retry
from actors.local import Local
from gateway.realtime import presence
from readingroom import embedded
from readingroom.settings import ROLES, Settings
from storage.migrate import migrate
from tests.actors.night import ADA, Night, place
from tests.conftest import short_directory
from tests.gateway.floor import Floor, open_floor, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.postgres


class Servers:
    """PostgreSQL and Valkey of the test's own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        if name == "postgres":
            self._running[name] = embedded.start_postgres(self.settings, fsync=False)
            embedded.wait_for(self.settings.run / ".s.PGSQL.5432", self._running[name])
        else:
            self._running[name] = embedded.start_valkey(self.settings)
            embedded.wait_for(self.settings.run / "valkey.sock", self._running[name])

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        for name in list(self._running):
            self.kill(name)


@pytest.fixture
def servers_of_mine() -> Iterator[Servers]:
    with short_directory() as directory:
        settings = Settings(data=directory)
        embedded.prepare(settings)
        embedded.init_postgres(settings)
        made = Servers(settings)
        try:
            made.start("postgres")
            made.start("valkey")
            yield made
        finally:
            made.end()


@asynccontextmanager
async def at_work(settings: Settings) -> AsyncIterator[tuple[Floor, Night]]:
    """A gateway before real actors, and what stores images."""
    await asyncio.to_thread(migrate, settings.admin_dsn, ROLES, settings.secret("roles"))
    async with open_floor(settings) as floor:
        actors = Local(place(settings))
        await actors.start()
        floor.refs.answer = actors.ask
        night = Night(settings, floor.admin, actors)
        try:
            yield floor, night
        finally:
            await actors.stop()
            await night.valkey.aclose()


async def test_a_breach_is_told_without_a_database_recorded_once_with_it_and_shown_once(
    servers_of_mine: Servers,
) -> None:
    async with at_work(servers_of_mine.settings) as (floor, night):
        policy = {"sla": {"STAT": {"due_s": 4, "warn_s": 3.9}}}
        await floor.admin.execute("INSERT INTO rr.policy VALUES ('t', 1, $1)", json.dumps(policy))
        people = {name: await floor.client(name) for name in ("ada", "max")}
        alerts: dict[str, list[dict[str, Any]]] = {name: [] for name in people}
        breaches: dict[str, list[dict[str, Any]]] = {name: [] for name in people}
        for name, client in people.items():
            client.on("alert", alerts[name].append)
            client.on("sla_breached", breaches[name].append)
        await night.images("1.2.3")
        await until(lambda: people["ada"].mine.get("1.2.3", {}).get("offer"), 20)
        offer = people["ada"].mine["1.2.3"]["offer"]

        await floor.admin.close()
        servers_of_mine.kill("postgres")
        with pytest.raises(Retry):
            await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="a")
        await until(lambda: all(alerts.values()), 30)
        servers_of_mine.start("postgres")
        await until(lambda: all(breaches.values()), 30)

        told = {alert["id"] for heard in alerts.values() for alert in heard}
        assert told == {b["data"]["alert_id"] for heard in breaches.values() for b in heard}
        assert len(told) == 1
        assert all(alert["provisional"] and alert["study_uid"] == "1.2.3" for alert in alerts["max"])
        assert [len(heard) for heard in breaches.values()] == [1, 1]
        admin = await asyncpg.connect(servers_of_mine.settings.admin_dsn)
        written = await admin.fetch("SELECT body->>'alert_id' AS id, at FROM rr.journal WHERE type = 'SlaBreached'")
        await admin.close()
        assert {r["id"] for r in written} == told
        assert len(written) == 1
        answer = await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="a")
        assert answer["row"]["status"] == "assigned"


async def test_readers_stay_eligible_over_the_loss_of_valkey_and_leave_when_they_have_left(
    servers_of_mine: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"TTL_S": 3.0, "RENEW_S": 0.5, "GRACE_S": 1.0, "SWEEP_S": 0.1, "COMPARE_S": 0.4}.items():
        monkeypatch.setattr(presence, name, seconds)
    async with at_work(servers_of_mine.settings) as (floor, night):
        ada, bob = await floor.client("ada"), await floor.client("bob")

        async def states() -> dict[str, str]:
            return {
                r["user_id"]: r["state"]
                for r in await floor.admin.fetch("SELECT user_id, state FROM rr.reader WHERE state <> 'off'")
            }

        async def shown(wanted: dict[str, str]) -> None:
            async with asyncio.timeout(20):
                while await states() != wanted:
                    await asyncio.sleep(0.05)

        await shown({"ada": "online", "bob": "online"})
        servers_of_mine.kill("valkey")
        gone_at = time.monotonic()
        await bob.close()
        with pytest.raises(ConnectionError):
            await night.images("1.2.3")  # stored; only the nudge is lost
        await night.offered("1.2.3")  # to one of the two: nobody knows yet that bob has left
        if time.monotonic() - gone_at < 2:
            assert await states() == {"ada": "online", "bob": "online"}
        await shown({"ada": "online", "bob": "away"})
        with pytest.raises(ConnectionError):
            await night.images("1.2.4")
        assert (await night.offered("1.2.4"))["radiologist_id"] == "ada"
        servers_of_mine.start("valkey")
        await asyncio.sleep(4)
        assert await states() == {"ada": "online", "bob": "away"}
        await ada.close()
        await shown({"ada": "away", "bob": "away"})
