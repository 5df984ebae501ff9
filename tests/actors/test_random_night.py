"""A random night over two copies of every host: whatever is lost, doubled or killed, the books are right at the end."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.assignment.table import OVER_CAP
from actors.domain.identity import radiologist_key, study_key, tenant_key
from actors.domain.replay import replay
from actors.domain.study import load
from actors.domain.tally import COUNTERS, tally
from actors.domain.words import DeclineReason, SignKind
from actors.local import Local
from storage import journal
from storage.pool import Database
from tests.actors.night import ADA, BOB, MAX, Night, at_work

if TYPE_CHECKING:
    from actors.domain.identity import Principal
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

_STUDIES = [f"1.2.{n}" for n in range(8)]
_CAP = 3


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
        uid, who = self.rnd.choice(_STUDIES), self.rnd.choice([ADA, BOB])
        key, doc = study_key("t", uid), await self.night.doc(uid)
        offer = doc.get("offer") or {"offer_id": "none", "radiologist_id": who.user_id}
        reader = {"ada": ADA, "bob": BOB}[doc.get("assigned_to") or offer["radiologist_id"]]
        match self.rnd.randrange(11):
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

    async def run(self, steps: int) -> None:
        await self.runtimes[1].start()
        for uid in _STUDIES:
            await self.night.images(uid)
        for _ in range(steps):
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
    """Hold the read rows against the journal, and everything derived against the read rows."""
    admin = night.admin
    assert await admin.fetchval("SELECT count(*) FROM rr.inbox") == 0
    studies = {
        r["study_uid"]: load(json.loads(r["doc"])) for r in await admin.fetch("SELECT study_uid, doc FROM rr.study")
    }
    db = await Database(night.settings.dsn("rr_host")).open()
    async with db.scope(["t"]) as conn:
        for uid, study in studies.items():
            assert replay(uid, await journal.read(conn, "t", f"study/{uid}")) == study
    await db.close()

    live = Counter(s.load_of for s in studies.values() if s.load_of)
    loads = {r["user_id"]: r["load"] for r in await admin.fetch("SELECT user_id, load FROM rr.reader")}
    assert {u: n for u, n in loads.items() if n} == dict(live)
    shown = json.loads(await admin.fetchval("SELECT counters FROM rr.stream_head WHERE stream = 'tenant:t'"))
    total = Counter()
    for study in studies.values():
        total.update(tally(study))
    finals = await admin.fetchval("SELECT count(*) FROM rr.journal WHERE type = 'FinalSigned'")
    assert shown == {name: total[name] for name in COUNTERS} | {"final_today": finals}

    gaps = "SELECT stream FROM rr.feed GROUP BY stream HAVING max(seq) <> count(*) OR min(seq) <> 1"
    assert await admin.fetch(gaps) == []
    assert await admin.fetchval("SELECT max(pos) = count(*) FROM rr.feed")
    await check_offers(night)


async def check_offers(night: Night) -> None:
    """One winner an offer, one offer at a time, and nobody over her capacity but by a manager or one STAT."""
    rows = await night.admin.fetch(
        "SELECT j.entity, j.type, j.body, f.pos FROM rr.journal j JOIN LATERAL (SELECT min(pos) AS pos FROM rr.feed"
        " WHERE stream = 'study:' || substr(j.entity, 7) AND data->'row'->>'rev' = j.version::text) f ON true"
        " WHERE j.entity LIKE 'study/%' ORDER BY f.pos"
    )
    accepted: Counter[str] = Counter()
    holder: dict[str, tuple[str, bool]] = {}  # study → reader, and whether a manager gave it
    for row in rows:
        uid, kind, body = row["entity"], row["type"], json.loads(row["body"])
        match kind:
            case "Offered":
                assert uid not in holder, "offered while somebody has it"
                holder[uid] = (body["radiologist_id"], False)
            case "Assigned":
                holder[uid] = (body["radiologist_id"], body["how"] == "manager")
            case "Accepted":
                accepted[body["offer_id"]] += 1
            case "Declined" | "OfferExpired" | "Released" | "PrelimSigned" | "FinalSigned" | "Cancelled":
                holder.pop(uid, None)
        if kind in {"Offered", "Assigned"} and not holder[uid][1]:
            who = holder[uid][0]
            assert sum(h == (who, False) for h in holder.values()) <= _CAP + OVER_CAP
    assert all(n == 1 for n in accepted.values())
