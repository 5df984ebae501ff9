"""Commands and images without a pause, and what must be true of all of them afterwards."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from actors.domain import commands as c
from actors.domain.identity import Principal, radiologist_key
from actors.domain.words import Role

if TYPE_CHECKING:
    from tests.actors.night import Night

_SENDERS = 12


class Load:
    """Readers who change their presence, each after the answer to the last change, and studies whose images arrive."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.acknowledged: list[tuple[str, str, dict[str, Any]]] = []  # reader, key, answer: in the reader's order
        self.images: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._sender(f"r{n}")) for n in range(_SENDERS)]
        self._tasks.append(asyncio.create_task(self._hospital()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def more(self, answers: int) -> None:
        """Wait for so many more answers."""
        wanted = len(self.acknowledged) + answers
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.02)

    async def _sender(self, who: str) -> None:
        by, n = Principal(who, "t", Role.RADIOLOGIST), 0
        while not self._stop.is_set():
            n += 1
            command, idem = c.SetPresence("busy" if n % 2 else "away"), f"{who}/{n}"
            answer = await self.night.insist(radiologist_key("t", who), command, by, idem)
            self.acknowledged.append((who, idem, answer))

    async def _hospital(self) -> None:
        n = 0
        while not self._stop.is_set():
            n += 1
            uid = f"1.2.{n % 40}"
            await self.night.images(uid, priority="ROUTINE")
            self.images[uid] += 1
            await asyncio.sleep(0.05)

    async def check(self) -> None:
        """Hold what was acknowledged against the journal: each once, in its sender's order; no image forgotten."""
        admin = self.night.admin
        async with asyncio.timeout(30):
            while await admin.fetchval("SELECT count(*) FROM rr.inbox"):
                await asyncio.sleep(0.1)
        rows = await admin.fetch(
            "SELECT entity, version, idem FROM rr.journal WHERE entity LIKE 'radiologist/r%' ORDER BY entity, version"
        )
        written: dict[str, list[str]] = {}
        for row in rows:
            written.setdefault(row["entity"], []).append(row["idem"])
        expected: dict[str, list[str]] = {}
        for who, idem, _ in self.acknowledged:
            expected.setdefault(f"radiologist/{who}", []).append(idem)
        assert written == expected
        assert [a["version"] for who, _, a in self.acknowledged if who == "r0"] == [
            n + 1 for n in range(len(expected["radiologist/r0"]))
        ]
        stored = {
            r["study_uid"]: json.loads(r["doc"]).get("images", 0)
            for r in await admin.fetch("SELECT study_uid, doc FROM rr.study")
        }
        assert stored == dict(self.images)
        assert await admin.fetchval("SELECT count(*) FROM rr.dead_letter") == 0
        gaps = """
            SELECT stream FROM rr.feed GROUP BY stream HAVING max(seq) <> count(*) OR min(seq) <> 1
            UNION ALL SELECT 'pos' FROM rr.feed HAVING max(pos) <> count(*)
        """
        assert await admin.fetch(gaps) == []
        versions = "SELECT entity FROM rr.journal GROUP BY entity HAVING max(version) <> count(*)"
        assert await admin.fetch(versions) == []


async def spread(night: Night) -> dict[str, int]:
    """Return how many shards each host holds."""
    rows = await night.rows("SELECT host, count(*) AS n FROM rr.placement GROUP BY host ORDER BY host")
    return {r["host"]: r["n"] for r in rows}


async def until_spread(night: Night, **wanted: int) -> None:
    """Wait until the hosts hold so many shards each: ``h0=32`` is host 0."""
    counts = {name.removeprefix("h"): n for name, n in wanted.items()}
    seen: dict[str, int] = {}
    try:
        async with asyncio.timeout(30):
            while (seen := await spread(night)) != counts:
                await asyncio.sleep(0.05)
    except TimeoutError:
        hosts = await night.rows(
            "SELECT host, node, pid, epoch, leaving, surplus, now() - seen_at AS unseen FROM rr.shard_host"
        )
        raise AssertionError(seen, [dict(h) for h in hosts]) from None
