"""Two groups with their people, and a gateway on a real socket; every answer is held against its schema."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from aiohttp import web
from redis.asyncio import Redis
from uuid_utils import uuid7

from actors.domain.identity import Key, study_key
from actors.domain.words import Role
from gateway.api.table import ROUTES
from gateway.app import build
from gateway.deps import Deps
from gateway.schema import Problem
from storage import admin, sessions
from storage.admin import Person
from storage.pool import Database
from storage.sessions import Login

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from actors.domain.commands import Envelope
    from gateway.api.route import Route
    from readingroom.settings import Settings

PASSWORD = "correct horse"
ROLES = ("rr_app", "rr_login", "rr_ingest", "rr_delivery")
ORDER = {
    "accession_number": "A1", "priority": "STAT", "procedure": "CT head", "modality": "CT", "body_part": "HEAD",
    "patient": {"mrn": "1234", "name": "PHANTOM^Iris", "birth_date": "1961-04-12", "sex": "F"},
}  # fmt: skip


def _route(method: str, path: str) -> Route | None:
    for route in ROUTES:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path))
        if route.method == method and re.fullmatch(pattern, path):
            return route
    return None


class Scripted:
    """Entities that answer from a script and remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Key, Envelope]] = []
        self.answer: Callable[[Key, Envelope], Awaitable[dict[str, Any]]] | dict[str, Any] | Exception = {}

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        self.asked.append((key, envelope))
        if isinstance(self.answer, Exception):
            raise self.answer
        return dict(self.answer) if isinstance(self.answer, dict) else await self.answer(key, envelope)


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        return str(self.json.get("code"))


class World:
    """Tenants ``north`` (sites main, harbor) and ``south``, one person a role, and their tokens."""

    def __init__(self, settings: Settings, deps: Deps, refs: Any, http: aiohttp.ClientSession, url: str) -> None:
        self.settings, self.deps, self.refs, self.http, self.url = settings, deps, refs, http, url
        self.ids: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.admin_db: Database = deps.dbs["rr_admin"]

    async def person(self, who: str, tenant: str, role: Role, *sites: str) -> None:
        async with self.admin_db.scope() as conn:
            person = Person(f"{who}@example.org", role, tenant, who.title(), PASSWORD, sites)
            self.ids[who], _ = await admin.add_person(conn, person)
            login = Login(str(uuid7()), self.ids[who], tenant)
            self.tokens[who] = await sessions.issue(conn, "api", login, 3600)

    async def call(
        self, method: str, path: str, body: Any = None, *, who: str | None = None, raw: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {self.tokens[who]}"
        data = raw if raw is not None else None if body is None else msgspec.json.encode(body)
        async with self.http.request(method, self.url + path, data=data, headers=sent) as response:
            answer = Answer(response.status, response.headers, await response.read())
        route = _route(method, path.partition("?")[0])
        if answer.status >= 400:
            msgspec.convert(answer.json, Problem)
            assert answer.headers["Content-Type"].startswith("application/problem+json")
        elif route is not None and route.answer is not None:
            msgspec.convert(answer.json, route.answer)
        return answer

    async def get(self, path: str, who: str | None = None, **more: Any) -> Answer:
        return await self.call("GET", path, who=who, **more)

    async def post(self, path: str, body: Any = None, who: str | None = None, **more: Any) -> Answer:
        return await self.call("POST", path, body, who=who, **more)

    async def put(self, path: str, body: Any = None, who: str | None = None, **more: Any) -> Answer:
        return await self.call("PUT", path, body, who=who, **more)

    async def ordered(self, accession: str, who: str = "tess", **more: Any) -> dict[str, Any]:
        answer = await self.post("/api/orders", {**ORDER, "accession_number": accession, **more}, who)
        assert answer.status in {200, 201}, answer.json
        row: dict[str, Any] = answer.json
        return row

    async def sql(self, statement: str, *args: Any) -> Any:
        """Run a statement as the database's owner."""
        db = await Database(self.settings.admin_dsn, max_size=1).open()
        try:
            async with db.scope() as conn:
                return await conn.fetch(statement, *args)
        finally:
            await db.close()

    async def images(self, study_uid: str, site: str = "harbor", tenant: str = "north", count: int = 1) -> None:
        """Do what ingest does: rows and an inbox entry; the patient is the order's, else one of their own."""
        await self.sql(
            "INSERT INTO rr.patient VALUES ($1, 'p1', $2, '77', 'ALONE^Al', '1950-01-01', 'M') ON CONFLICT DO NOTHING",
            tenant, site,
        )  # fmt: skip
        known = await self.sql(
            "SELECT patient_id FROM rr.study WHERE tenant_id = $1 AND study_uid = $2", tenant, study_uid
        )
        patient_id = known[0]["patient_id"] if known else "p1"
        await self.sql(
            "INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, header, images)"
            " VALUES ($1, $2, $3, $5, $2, '{}', $4)",
            tenant, study_uid, site, count, patient_id,
        )  # fmt: skip
        body = {"kind": "images", "site_id": site, "patient_id": patient_id, "modality": "CT", "body_part": "HEAD",
                "priority": "STAT"}  # fmt: skip
        await self.sql(
            "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES ($1, $2, $3, $4::jsonb)",
            tenant, study_uid, study_key(tenant, study_uid).shard, msgspec.json.encode(body).decode(),
        )  # fmt: skip


@asynccontextmanager
async def world(settings: Settings, refs: Any) -> AsyncIterator[World]:
    """Start a gateway for these entities, and populate both groups."""
    dbs = {role: await Database(settings.dsn(role)).open() for role in (*ROLES, "rr_admin")}
    valkey: Redis = Redis.from_url(settings.valkey_url, socket_timeout=None)
    await valkey.flushall()
    deps = Deps(settings, refs, dbs, valkey)
    runner = web.AppRunner(build(deps), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            made = World(settings, deps, refs, http, url)
            await _people(made)
            yield made
    finally:
        await runner.cleanup()
        await valkey.aclose()
        for db in dbs.values():
            await db.close()


async def _people(made: World) -> None:
    async with made.admin_db.scope() as conn:
        for name in ("North", "South"):
            tenant_id = await admin.add_tenant(conn, name)
            await admin.add_site(conn, tenant_id, "Harbor")
        await admin.add_person(conn, Person("opal@example.org", Role.OPERATOR, None, "Opal", PASSWORD))
    for who, role in (
        ("ada", Role.RADIOLOGIST), ("bob", Role.RADIOLOGIST), ("rei", Role.RESIDENT), ("max", Role.MANAGER),
        ("amy", Role.ADMIN),
    ):  # fmt: skip
        await made.person(who, "north", role)
    await made.person("tess", "north", Role.TECHNOLOGIST, "harbor")
    await made.person("mia", "north", Role.TECHNOLOGIST, "main")
    await made.person("vic", "north", Role.VIEWER, "harbor")
    await made.person("pam", "north", Role.REFERRING_PHYSICIAN, "harbor")
    await made.person("sam", "south", Role.MANAGER)
