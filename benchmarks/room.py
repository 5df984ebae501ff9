"""A stack with its tenants filled by hand: groups, people and open studies with their clocks running."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil

from actors.domain.commands import Envelope, ImagesArrived, Patient, PauseClock
from actors.domain.decide import decide
from actors.domain.errors import ReadingRoomError
from actors.domain.facts import Facts
from actors.domain.identity import Principal, study_key
from actors.domain.policy import Policy
from actors.domain.project import By, project
from actors.domain.study import Study
from actors.domain.words import Priority, Role
from actors.study.lookup import fresh_id
from actors.system import NAMESPACE, System, host_name, ray
from readingroom.demo.instance import Instance
from readingroom.settings import Settings
from storage.commit import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from actors.domain.identity import Key
    from actors.domain.unit import Unit

TENANTS = 10
_TOGETHER = 200  # units a batch while seeding
_WARNED_AFTER = timedelta(minutes=90)  # of an urgent study, by the default policy
_GROUP = """
INSERT INTO rr.tenant VALUES ('{0}', 'Group {0}');
INSERT INTO rr.site VALUES ('{0}', 'main', 'Main', NULL, '{0}');
INSERT INTO rr.patient VALUES ('{0}', 'p1', '{0}', '1', 'PHANTOM^Iris', '1961-04-12', 'F');
"""


def tenant_of(number: int) -> str:
    """Return the group that a study or reader of that number belongs to."""
    return f"g{number % TENANTS}"


def study_of(number: int) -> Key:
    """Return the key of a seeded study."""
    return study_key(tenant_of(number), f"1.2.{number}")


def manager(key: Key) -> Principal:
    """Return who may stop a clock."""
    return Principal("max", key.tenant_id, Role.MANAGER)


class Room:
    """One stack, attached to as a gateway is."""

    def __init__(self, data: Path) -> None:
        self.data, self.instance = data, Instance(data)
        self.settings = Settings(data=data)
        self.warned_at: dict[str, datetime] = {}  # entity → when its warning is due
        self.seeded = 0
        self._one = asyncio.Lock()  # a connection does one thing at a time
        self.system: System
        self.admin: asyncpg.Connection[Any]

    async def start(self) -> None:
        """Start the stack, make the groups, attach."""
        await self.instance.start()
        self.admin = await asyncpg.connect(self.settings.admin_dsn)
        for number in range(TENANTS):
            await self.admin.execute(_GROUP.format(tenant_of(number)))
        self.system = System(self.settings)
        await self.system.start()
        await self.answers()

    async def stop(self) -> None:
        """Leave nothing running."""
        if hasattr(self, "system"):
            await self.system.stop()
        if hasattr(self, "admin"):
            await self.admin.close()
        await self.instance.stop()

    # -- the host -----------------------------------------------------------------------------
    @property
    def host_pid(self) -> int:
        """The process of the one shard host."""
        return int((self.settings.run / "shard-host-0.pid").read_text())

    def host_mib(self) -> float:
        """Return the memory of the host, shared pages by their share."""
        pss: float = psutil.Process(self.host_pid).memory_full_info().pss
        return pss / 2**20

    async def health(self) -> dict[str, Any]:
        """Return what the host says of itself."""
        host = await asyncio.to_thread(ray.get_actor, host_name("0"), NAMESPACE)
        said: dict[str, Any] = await host.health.remote()
        return said

    async def answers(self) -> None:
        """Wait until the host answers; a refusal is an answer."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.probe(study_of(10**9))
                except ReadingRoomError:
                    await asyncio.sleep(0.005)
                else:
                    return

    async def probe(self, key: Key) -> str:
        """Ask a study for what is refused: it is read from the journal, and nothing is written."""
        try:
            await self.system.ask(key, Envelope(PauseClock(-1, ""), manager(key)))
        except ReadingRoomError as exc:
            if exc.code in {"retry", "expired", "overloaded"}:
                raise
            return exc.code
        return ""

    async def admin_row(self, key: Key) -> Any:
        """Return where the clock of a study stands."""
        async with self._one:
            return await self.admin.fetchrow(
                "SELECT step, doc #>> '{sla,state}' = 'paused' AS paused FROM rr.study"
                " WHERE tenant_id = $1 AND study_uid = $2",
                key.tenant_id, key.name,
            )  # fmt: skip

    # -- studies ------------------------------------------------------------------------------
    async def seed(self, until: int, *, first: datetime, spread: timedelta) -> None:
        """Add open studies up to that many, through the journal, their warnings due evenly from ``first`` on."""
        lane, number = Lane(self.settings.dsn("rr_host"), timeout_s=60), self.seeded
        while number < until:
            batch = [
                self._unit(n, first + spread * (n - self.seeded) / (until - self.seeded))
                for n in range(number, min(number + _TOGETHER, until))
            ]
            await lane.commit(batch)
            number += len(batch)
        await lane.close()
        self.seeded = until
        await self.admin.execute("ANALYZE rr.study; ANALYZE rr.timer")

    def _unit(self, number: int, warned_at: datetime) -> Unit:
        key = study_of(number)
        patient = Patient("p1", "PHANTOM^Iris", "1", key.tenant_id, "1961-04-12", "F")
        arrived = ImagesArrived(
            "main", patient, 1, accession_number=f"A{number}", modality="CT", body_part="HEAD", procedure="CT head",
            priority=Priority.URGENT,
        )  # fmt: skip
        at = warned_at - _WARNED_AFTER
        facts = Facts(key.tenant_id, "Main", policy=Policy())
        decision = decide(Study(key.name), arrived, None, at, facts)
        _, unit = project(key, Study(key.name), decision, facts, By(None, None, at), fresh_id)
        unit.jobs, unit.patients = [], []  # there are no images to look at
        self.warned_at[key.entity] = warned_at
        return unit

    async def warnings(self, since: datetime) -> list[float]:
        """Return by how many milliseconds each warning that was due since then came late, by its commit."""
        rows = await self.admin.fetch(
            "SELECT data ->> 'study_uid' AS study_uid, at FROM rr.feed"
            " WHERE type = 'sla_warned' AND stream LIKE 'tenant:%' AND at >= $1",
            since,
        )
        due = ((self.warned_at[f"study/{row['study_uid']}"], row["at"]) for row in rows)
        return [max(0.0, (at - due_at).total_seconds() * 1000) for due_at, at in due if due_at >= since]

    async def unwarned(self, since: datetime, until: datetime) -> int:
        """Return how many warnings were due then and have not come."""
        wanted = [entity for entity, at in self.warned_at.items() if since <= at < until]
        known: int = await self.admin.fetchval(
            "SELECT count(*) FROM rr.timer WHERE name = 'sla_warn' AND entity = ANY($1::text[])", wanted
        )
        return known


async def rate(clients: Sequence[Callable[[], Awaitable[object]]], seconds: float, most: int = 10**9) -> float:
    """Let each client ask one thing after another for so long, or so often; return answers a second, of all together."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    end, left, done = began + seconds, most, 0

    async def run(client: Callable[[], Awaitable[object]]) -> None:
        nonlocal left, done
        while left > 0 and loop.time() < end:
            left -= 1
            await client()
            done += 1

    await asyncio.gather(*map(run, clients))
    return done / (loop.time() - began)


async def in_turn(work: Iterable[Callable[[], Awaitable[object]]], together: int) -> None:
    """Do each once, so many at a time."""
    waiting = iter(work)

    async def run() -> None:
        for one in waiting:
            await one()

    await asyncio.gather(*(run() for _ in range(together)))


def soon(seconds: float) -> datetime:
    """Return the instant in so many seconds."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def tenfold(more: float | None, less: float | None) -> float | None:
    """Return how many times the one is of the other."""
    return more / less if more is not None and less and math.isfinite(less) else None
