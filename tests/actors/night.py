"""A tenant at work for tests: hosts in this process or on Ray, and the database to look into."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg
import msgspec
from redis.asyncio import Redis

from actors.domain import commands as c
from actors.domain.errors import ReadingRoomError
from actors.domain.identity import Principal, radiologist_key, study_key
from actors.domain.study import Study
from actors.domain.words import Role
from actors.local import Local
from actors.shard import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from readingroom.settings import Settings

ADA = Principal("ada", "t", Role.RADIOLOGIST)
BOB = Principal("bob", "t", Role.RADIOLOGIST)
MAX = Principal("max", "t", Role.MANAGER)
PATIENT = c.Patient("p1", "PHANTOM^Iris", "1", "harbor", "1961-04-12", "F")
_AGAIN = frozenset({"retry", "expired", "overloaded"})
# What the doc of a study leaves out: whatever is as it was at first.
FIRST = {name: msgspec.to_builtins(getattr(Study(""), name)) for name in Study.__struct_fields__}

TENANT = """
INSERT INTO rr.tenant VALUES ('t', 'Night Group');
INSERT INTO rr.site VALUES ('t', 'harbor', 'Harbor', NULL, 'harbor');
INSERT INTO rr.person (user_id, email, name, password_hash)
  SELECT u, u || '@x', initcap(u), '' FROM unnest('{ada,bob,max}'::text[]) AS u;
INSERT INTO rr.membership (tenant_id, user_id, role) VALUES
  ('t', 'ada', 'radiologist'), ('t', 'bob', 'radiologist'), ('t', 'max', 'manager');
"""


class Actors(Protocol):
    """The runtime under test."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def add(self, name: str) -> Any: ...

    async def remove(self, name: str) -> None: ...

    async def ask(self, key: Any, envelope: c.Envelope) -> dict[str, Any]: ...


class Night:
    """A reading group with two readers, a manager and one hospital."""

    def __init__(self, settings: Settings, admin: asyncpg.Connection[Any], actors: Actors) -> None:
        self.settings, self.admin, self.actors = settings, admin, actors
        self.place = place(settings)
        self._one = asyncio.Lock()  # a connection does one thing at a time
        self.valkey: Redis = Redis.from_url(settings.valkey_url)

    async def ask(self, key: Any, command: Any, by: Principal | None = None, **more: Any) -> dict[str, Any]:
        return await self.actors.ask(key, c.Envelope(command, by, **more))

    async def study(self, study_uid: str, command: Any, by: Principal | None = None, **more: Any) -> dict[str, Any]:
        return await self.ask(study_key("t", study_uid), command, by, **more)

    async def insist(self, key: Any, command: Any, by: Principal, idem: str) -> dict[str, Any]:
        """Do what clients do: the same key until there is an answer."""
        async with asyncio.timeout(90):
            while True:
                try:
                    return await self.ask(key, command, by, idem=idem)
                except ReadingRoomError as exc:
                    if exc.code not in _AGAIN:
                        raise

    async def online(self, *who: Principal) -> None:
        for person in who:
            await self.ask(radiologist_key("t", person.user_id), c.ObservePresence(connected=True))

    async def images(self, study_uid: str, *, accession: str = "", priority: str = "STAT", count: int = 1,
                     patient: str = "p1") -> None:  # fmt: skip
        """Do what ingest does: rows and an inbox entry in one transaction."""
        async with self._one, self.admin.transaction():
            await self.admin.execute(
                "INSERT INTO rr.patient VALUES ('t', $1, 'harbor', $2, 'PHANTOM^Iris', '1961-04-12', 'F')"
                " ON CONFLICT DO NOTHING",
                patient, patient.removeprefix("p"),
            )  # fmt: skip
            await self.admin.execute(
                "INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, header, images)"
                " VALUES ('t', $1, 'harbor', $3, $1, '{}', $2)"
                " ON CONFLICT (tenant_id, study_uid) DO UPDATE SET images = rr.dicom_study.images + excluded.images",
                study_uid, count, patient,
            )  # fmt: skip
            body = {"kind": "images", "site_id": "harbor", "patient_id": patient, "accession_number": accession,
                    "modality": "CT", "body_part": "HEAD", "priority": priority}  # fmt: skip
            await self.admin.execute(
                "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES ('t', $1, $2, $3)",
                study_uid, study_key("t", study_uid).shard, json.dumps(body),
            )  # fmt: skip
        await self.valkey.publish("inbox", str(study_key("t", study_uid).shard))

    async def rows(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """Look into the database; others may do so at the same time."""
        async with self._one:
            return await self.admin.fetch(statement, *args)

    async def doc(self, study_uid: str) -> dict[str, Any]:
        async with self._one:
            text = await self.admin.fetchval("SELECT doc FROM rr.study WHERE study_uid = $1", study_uid)
        return FIRST | json.loads(text) if text else {"status": "unknown"}

    async def until(self, study_uid: str, seen: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not seen(doc := await self.doc(study_uid)):
                await asyncio.sleep(0.02)
        return doc

    async def offered(self, study_uid: str) -> dict[str, Any]:
        return (await self.until(study_uid, lambda d: d.get("offer")))["offer"]  # type: ignore[no-any-return]

    async def status(self, study_uid: str, status: str) -> dict[str, Any]:
        return await self.until(study_uid, lambda d: d["status"] == status)


def place(settings: Settings) -> Place:
    return Place(settings.dsn("rr_host"), settings.dsn("rr_timer"), settings.valkey_url)


@asynccontextmanager
async def at_work(settings: Settings, actors: Actors | None = None) -> AsyncIterator[Night]:
    """A tenant in a fresh database with its actors begun."""
    admin = await asyncpg.connect(settings.admin_dsn)
    await admin.execute(TENANT)
    night = Night(settings, admin, actors or Local(place(settings)))
    await night.actors.start()
    try:
        yield night
    finally:
        await night.actors.stop()
        await night.valkey.aclose()
        await admin.close()
