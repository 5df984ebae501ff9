"""A random night over two copies of every host: whatever is lost, doubled or killed, the books are right at the end."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.identity import radiologist_key, study_key, tenant_key
from actors.domain.words import DeclineReason, SignKind
from actors.local import Local
from tests.actors.night import ADA, BOB, MAX, Night, at_work
from tests.chaos.checker.invariants import violations
from tests.chaos.read import read

if TYPE_CHECKING:
    from actors.domain.identity import Principal
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

_STUDIES = [f"1.2.{n}" for n in range(8)]
_CAP = 3
_HAPPENS = {"Offered", "Accepted", "Assigned"}


class Chaos:
    """Two runtimes of the same shards, each of which may be killed and begun anew at any moment."""

    def __init__(self, night: Night, seed: int) -> None:
        self.night, self.rnd = night, random.Random(seed)
        self.runtimes = [night.actors, Local(night.place, doubled=True)]

    async def ask(self, key: Any, command: Any, by: Principal | None = None) -> None:
        """Ask one of the copies, sometimes the same of both; a refusal is an answer."""
        envelope = c.Envelope(command, by, f"{self.rnd.random()}")
        copies = self.runtimes if self.rnd.random() < 0.1 else [self.rnd.choice(self.runtimes)]
        await asyncio.gather(*(r.ask(key, envelope) for r in copies), return_exceptions=True)

    async def step(self) -> None:
        await self.act(self.rnd.randrange(11))

    async def act(self, what: int) -> None:
        """Let somebody do something; 10 is a kill."""
        uid, who = self.rnd.choice(_STUDIES), self.rnd.choice([ADA, BOB])
        key, doc = study_key("t", uid), await self.night.doc(uid)
        offer = doc.get("offer") or {"offer_id": "none", "radiologist_id": who.user_id}
        reader = {"ada": ADA, "bob": BOB}[doc.get("assigned_to") or offer["radiologist_id"]]
        match what:
            case 0 | 1 | 2:
                await self.ask(key, c.Accept(offer["offer_id"]), reader)
            case 3:
                await self.ask(key, c.Decline(offer["offer_id"], self.rnd.choice(list(DeclineReason))), reader)
            case 4:
                await self.night.images(uid, priority=self.rnd.choice(["STAT", "HIGH", ""]))
            case 5:
                await self.ask(tenant_key("t"), c.NextCase(), who)
            case 6:
                command = c.AssignStudy(uid, who.user_id, doc.get("step", 0), "because", override=True)
                await self.ask(tenant_key("t"), command, MAX)
            case 7:
                await self.ask(key, c.StartReading(), reader)
                version = (doc.get("report") or {"version": 0})["version"]
                await self.ask(key, c.SaveDraft(version, {"impression": "x"}), reader)
                await self.ask(key, c.Sign(self.rnd.choice([SignKind.PRELIM, SignKind.FINAL]), version + 1), reader)
            case 8:
                state = self.rnd.choice(["online", "online", "busy", "away"])
                await self.ask(radiologist_key("t", who.user_id), c.SetPresence(state), who)
            case 9:
                await self.ask(key, c.Release("because"), reader)
            case _:
                i = self.rnd.randrange(2)
                killed, self.runtimes[i] = self.runtimes[i], Local(self.night.place, doubled=bool(i))
                await killed.stop()
                await self.runtimes[i].start()

    async def worth_it(self) -> bool:
        """Whether everything has happened that the night is for."""
        return {r["type"] for r in await self.night.rows("SELECT DISTINCT type FROM rr.journal")} >= _HAPPENS

    async def run(self, steps: int) -> None:
        await self.runtimes[1].start()
        for uid in _STUDIES:
            await self.night.images(uid)
        for n in range(5 * steps):
            if n >= steps and await self.worth_it():  # on a busy machine offers expire before anybody has taken one
                break
            work = [self.step() for _ in range(self.rnd.randint(1, 4))]
            if self.rnd.random() < 0.5:
                await asyncio.gather(*work)
            else:
                for one in work:
                    await one
        await self.runtimes[1].stop()
        self.night.actors = self.runtimes[0]


@pytest.mark.parametrize("seed", range(3))
async def test_the_books_are_right_after_a_random_night(fresh: Settings, seed: int) -> None:
    async with at_work(fresh) as night:
        body = json.dumps({"capacity": _CAP, "offer_open_s": {"STAT": 1.5, "URGENT": 1.5, "ROUTINE": 1.5}})
        await night.admin.execute("INSERT INTO rr.policy VALUES ('t', 1, $1)", body)
        await night.online(ADA, BOB)
        await Chaos(night, seed).run(40)
        await asyncio.sleep(2.5)  # offers expire, tells are told again, nobody disturbs
        for who in (ADA, BOB):
            await night.ask(radiologist_key("t", who.user_id), c.SetPresence("busy"), who)
        await asyncio.sleep(2.5)
        await check(night)


async def check(night: Night) -> None:
    """Hold every invariant over what the database says, and leave no image untold."""
    async with asyncio.timeout(30):
        while await night.admin.fetchval("SELECT count(*) FROM rr.inbox"):
            await asyncio.sleep(0.1)
    history = await read(night.settings.admin_dsn)
    history.stale_s, history.late_s = 2.0, 5.0
    assert {e.type for e in history.entries} >= _HAPPENS
    assert violations(history) == []
