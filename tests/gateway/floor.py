"""A gateway on a real socket, database and Valkey, with the entities pretended or in process."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import asyncpg
from aiohttp import web
from redis.asyncio import Redis
from uuid_utils import uuid7

from actors.domain.study import Study, dump
from actors.domain.words import Status
from gateway.app import build
from gateway.deps import Deps
from gateway.wire import conform
from readingroom.demo.client import LiveClient
from storage import sessions
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from readingroom.settings import Settings

PEOPLE = {
    "ada": ("t", "radiologist", []), "bob": ("t", "radiologist", []), "rey": ("t", "resident", []),
    "max": ("t", "manager", []), "amy": ("t", "admin", []), "tess": ("t", "technologist", ["harbor"]),
    "vic": ("t", "viewer", ["harbor"]), "pia": ("t", "referring_physician", ["harbor"]),
    "una": ("u", "radiologist", []), "ugo": ("u", "manager", []), "uta": ("u", "technologist", ["harbor"]),
}  # fmt: skip
_WORLD = """
INSERT INTO rr.tenant VALUES ('t', 'Night Group'), ('u', 'Day Group');
INSERT INTO rr.tenant_head (tenant_id) VALUES ('t'), ('u');
INSERT INTO rr.site VALUES ('t', 'harbor', 'Harbor', NULL, 'harbor'), ('t', 'hill', 'Hill', NULL, 'hill'),
  ('u', 'harbor', 'Harbor', NULL, 'harbor');
"""
_SAY = """
WITH head AS (
  INSERT INTO rr.tenant_head AS h (tenant_id, pos) VALUES ($1, 1)
  ON CONFLICT (tenant_id) DO UPDATE SET pos = h.pos + 1 RETURNING pos
), stream AS (
  INSERT INTO rr.stream_head AS s (tenant_id, stream, seq) VALUES ($1, $2, 1)
  ON CONFLICT (tenant_id, stream) DO UPDATE SET seq = s.seq + 1 RETURNING seq
)
INSERT INTO rr.feed (tenant_id, pos, stream, seq, id, type, data)
SELECT $1, head.pos, $2, stream.seq, $3, $4, $5 FROM head, stream RETURNING pos
"""


class Pretended:
    """Entities that answer what the test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[Key, Envelope]] = []
        self.answer: Callable[[Key, Envelope], Any] = lambda _key, _envelope: {"version": 1}

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        self.asked.append((key, envelope))
        result = self.answer(key, envelope)
        return await result if asyncio.iscoroutine(result) else result  # type: ignore[no-any-return]

    def commands(self, name: str) -> list[Any]:
        return [e.command for _, e in self.asked if type(e.command).__name__ == name]


class Gateway:
    """One gateway process, as it were."""

    def __init__(self, settings: Settings, refs: Any) -> None:
        self._settings, self._refs = settings, refs

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self.dbs = {}
        for role in ("rr_app", "rr_login", "rr_ingest", "rr_delivery"):
            self.dbs[role] = await Database(self._settings.dsn(role), max_size=4).open()
            self._stack.push_async_callback(self.dbs[role].close)
        valkey: Redis = Redis.from_url(self._settings.valkey_url, socket_connect_timeout=1, socket_timeout=None)
        self._stack.push_async_callback(valkey.aclose)
        self.deps = Deps(self._settings, self._refs, self.dbs, valkey)
        runner = web.AppRunner(build(self.deps), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()


class Floor:
    """Two tenants with people of every role, one gateway to begin with, and live clients that are ended after."""

    def __init__(self, settings: Settings, admin: asyncpg.Connection[Any], stack: AsyncExitStack) -> None:
        self.settings, self.admin, self._stack = settings, admin, stack
        self.refs: Any = Pretended()
        self.valkey: Redis = Redis.from_url(settings.valkey_url)
        self.first: Gateway

    async def gateway(self) -> Gateway:
        return await self._stack.enter_async_context(Gateway(self.settings, self.refs))

    async def token(self, user: str | None, *, kind: str = "api", tenant: str = "t", seconds: float = 3600) -> str:
        tenant_id = PEOPLE[user][0] if user else tenant
        login = sessions.Login(str(uuid7()), user, tenant_id)
        async with self.first.dbs["rr_login"].scope() as conn:
            return await sessions.issue(conn, kind, login, seconds)

    async def client(
        self, user: str | None, *, connect: bool = True, at: Gateway | None = None, **more: Any
    ) -> LiveClient:
        token = more.pop("token", None) or await self.token(user, kind="api" if user else "wall")
        if user is None:
            more.setdefault("streams", [])
        made = LiveClient((at or self.first).url, token=token, **more)
        made.check = conform
        self._stack.push_async_callback(made.close)
        if connect:
            await made.connect(within_s=10)
        return made

    async def ticket(self, user: str) -> str:
        session = await self.first.deps.sessions.session(await self.token(user))
        return await self.first.deps.sessions.ticket(session)

    async def study(self, tenant: str, study_uid: str, site_id: str = "harbor") -> None:
        """Make an open study that nothing has happened to."""
        made = Study(study_uid, site_id, "p", status=Status.UNREAD, step=1, rev=1)
        await self.admin.execute(
            "INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, patient_id,"
            " accession_number, flags, doc) VALUES ($1, $2, $3, 1, 1, 'unread', true, 'STAT', 'p', '', '{}', $4)",
            tenant, study_uid, site_id, json.dumps(dump(made)),
        )  # fmt: skip

    async def say(self, tenant: str, stream: str, kind: str, data: dict[str, Any], *, nudge: bool = True) -> str:
        event_id = str(uuid7())
        pos = await self.admin.fetchval(_SAY, tenant, stream, event_id, kind, json.dumps(data))
        if nudge:
            await self.valkey.publish("feed", f"{tenant} {pos}")
        return event_id


async def until(true: Callable[[], Any], within_s: float = 5) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_floor(settings: Settings) -> AsyncIterator[Floor]:
    """Open the floor and clear it away."""
    admin = await asyncpg.connect(settings.admin_dsn)
    await admin.execute(_WORLD)
    for user, (tenant, role, sites) in PEOPLE.items():
        await admin.execute(
            "INSERT INTO rr.person (user_id, email, name, password_hash) VALUES ($1, $1 || '@x', initcap($1), '')", user
        )
        await admin.execute(
            "INSERT INTO rr.membership (tenant_id, user_id, role, sites) VALUES ($1, $2, $3, $4)",
            tenant, user, role, sites,
        )  # fmt: skip
    async with AsyncExitStack() as stack:
        floor = Floor(settings, admin, stack)
        await floor.valkey.flushdb()
        stack.push_async_callback(admin.close)
        stack.push_async_callback(floor.valkey.aclose)
        floor.first = await floor.gateway()
        yield floor


def row(study_uid: str = "1.2.3", **fields: Any) -> dict[str, Any]:
    """A wire row."""
    return {
        "study_uid": study_uid, "accession_number": "A1", "site": {"id": "harbor", "name": "Harbor"},
        "patient": {"name": "PHANTOM^Iris", "mrn": "1", "birth_date": "1961-04-12", "sex": "F"}, "modality": "CT",
        "body_part": "HEAD", "laterality": "", "procedure": "Head CT", "priority": "STAT", "acuity": "pending",
        "critical": None, "status": "unread",
        "readiness": {"state": "incomplete", "received": 1, "expected": None}, "sla": None, "flags": [], "offer": None,
        "assigned_to": None, "second_reader": None, "second_read": None, "reading_by": None,
        "ai": [], "report": None, "priors": 0, "images": 1, "version": 1, "rev": 1,
    } | fields  # fmt: skip
