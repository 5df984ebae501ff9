"""What holds for every call: documents, health, figures, headers, refusals of the inside."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
from openapi_spec_validator import validate

from actors.domain.errors import Expired, Overloaded, Retry, StaleVersion
from actors.domain.permissions import GRANTS
from gateway.api.table import ROUTES
from tests.gateway.rest import ORDER, Scripted, World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings


@pytest.fixture
async def rest(fresh: Settings) -> AsyncIterator[World]:
    async with world(fresh, Scripted()) as made:
        yield made


async def test_the_openapi_document_is_valid_and_holds_every_call(rest: World) -> None:
    document = (await rest.get("/api/openapi.json")).json
    validate(document)
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert told == {(r.method, r.path) for r in ROUTES}
    names = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(names) == len(set(names))
    assert all(o["summary"] for methods in document["paths"].values() for o in methods.values())


def test_every_call_stands_in_the_table_of_permissions() -> None:
    assert {r.call for r in ROUTES if r.call is not None} <= set(GRANTS)
    opened = {
        "/api/auth/login",
        "/api/auth/refresh",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
        "/api/docs",
    }
    assert {r.path for r in ROUTES if r.public} == opened
    assert all(r.call is not None or r.public or r.path.startswith("/api/auth/") for r in ROUTES)


async def test_the_page_of_calls_loads_nothing(rest: World) -> None:
    answer = await rest.get("/api/docs")
    text = answer.body.decode()
    assert "/api/studies/{study_uid}/history" in text
    assert "<script" not in text
    assert "http://" not in text.replace(rest.url, "")
    assert "https://" not in text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_answers_carry_the_headers_that_protect_pages(rest: World) -> None:
    for path in ("/healthz", "/api/studies", "/api/nowhere"):
        headers = (await rest.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert (await rest.get("/api/studies")).headers["Cache-Control"] == "no-store"


async def test_what_is_not_there_is_a_problem_too(rest: World) -> None:
    for method, path in (("GET", "/api/nowhere"), ("DELETE", "/api/orders"), ("GET", "/api/studies/%00")):
        answer = await rest.call(method, path, who="max")
        assert (answer.status, answer.code) == (404, "not_found")


async def test_alive_needs_nothing_and_ready_names_the_parts(rest: World) -> None:
    assert (await rest.get("/healthz")).json == {"status": "alive"}
    ready = await rest.get("/readyz")
    assert ready.json == {"status": "ready", "parts": {"database": True, "valkey": True, "actors": True}}
    rest.refs.answer = Retry()
    not_ready = await rest.http.get(rest.url + "/readyz")
    assert (not_ready.status, (await not_ready.json())["parts"]["actors"]) == (503, False)


async def test_figures_are_for_loopback_and_operators(rest: World) -> None:
    await rest.get("/api/studies/1.2.3", "max")
    answer = await rest.get("/metrics")
    assert 'rr_http_requests_total{method="GET",route="/api/studies/{study_uid}",status="404"}' in answer.body.decode()
    assert "1.2.3" not in answer.body.decode()
    proxied = {"X-Forwarded-For": "203.0.113.7"}
    assert (await rest.get("/metrics", headers=proxied)).code == "unauthenticated"
    assert (await rest.get("/metrics", "amy", headers=proxied)).code == "forbidden"
    login = await rest.post("/api/auth/login", {"email": "opal@example.org", "password": "correct horse"})
    bearer = {"Authorization": f"Bearer {login.json['access_token']}"}
    assert (await rest.get("/metrics", headers=proxied | bearer)).status == 200


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (StaleVersion("", {"row": {"study_uid": "1.2", "ai": []}}), 409, "stale_version"), (Retry(), 503, "retry"),
        (Expired(), 408, "expired"), (Overloaded(), 429, "overloaded"), (TimeoutError(), 503, "retry"),
        (asyncpg.ConnectionDoesNotExistError("secret"), 503, "retry"), (ConnectionRefusedError("secret"), 503, "retry"),
        (RuntimeError("secret MRN 1234"), 500, "error"),
    ],
)  # fmt: skip
async def test_what_entities_refuse_is_said_as_a_problem(
    rest: World, refusal: Exception, status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rest.refs.answer = refusal
    answer = await rest.post("/api/orders", ORDER, "tess")
    assert (answer.status, answer.code) == (status, code)
    assert b"secret" not in answer.body
    said = capsys.readouterr()
    assert "secret" not in said.out + said.err
    if status in {429, 503}:
        assert int(answer.headers["Retry-After"]) >= 1
    if code == "stale_version":
        assert answer.json["row"] == {"study_uid": "1.2"}


async def test_entities_hear_who_asks_under_which_key_and_until_when(rest: World) -> None:
    rest.refs.answer = StaleVersion()
    began = time.time()
    await rest.post("/api/orders", ORDER, "tess", headers={"Idempotency-Key": "mine"})
    await rest.post("/api/orders", ORDER, "tess")
    (key, first), (_, second) = rest.refs.asked
    assert (key.tenant_id, first.by.user_id, first.by.sites) == ("north", rest.ids["tess"], frozenset({"harbor"}))
    assert first.idem == "mine"
    assert second.idem not in {None, "mine"}
    assert began + 9 < first.deadline < time.time() + 11


async def test_the_database_away_is_said_as_retry(rest: World) -> None:
    for db in rest.deps.dbs.values():
        await db.pool.expire_connections()
    name = rest.settings.admin_dsn.rpartition("@/")[2].partition("?")[0]
    conn: Any = await asyncpg.connect(rest.settings.admin_dsn.replace(f"@/{name}?", "@/postgres?"))
    await conn.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
    await conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    try:
        await asyncio.sleep(0.6)
        answer = await rest.get("/api/studies", "max")
        assert (answer.status, answer.code) == (503, "retry")
        ready = await rest.http.get(rest.url + "/readyz")
        assert (await ready.json())["parts"]["database"] is False
        assert (await rest.get("/healthz")).status == 200
    finally:
        await conn.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        await conn.close()
    assert (await rest.get("/api/studies", "max")).status == 200


async def test_a_client_that_goes_away_breaks_nothing(rest: World) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'{"a":'
        raise asyncio.CancelledError

    with pytest.raises((aiohttp.ClientError, asyncio.CancelledError)):
        await rest.call("POST", "/api/orders", raw=half(), who="tess")
    assert (await rest.get("/healthz")).status == 200
