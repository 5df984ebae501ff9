"""Log-in, sessions and tickets over a real socket and a real database."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pyotp
import pytest

from actors.domain.errors import Unauthenticated
from actors.domain.words import Role
from gateway.auth import COOKIE
from readingroom.demo.session import Session
from storage import admin, credentials, sessions
from storage.admin import Person
from storage.credentials import digest
from storage.sessions import Login
from tests.gateway.rest import PASSWORD, Scripted, World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings


@pytest.fixture
async def rest(fresh: Settings) -> AsyncIterator[World]:
    async with world(fresh, Scripted()) as made:
        yield made


async def login(rest: World, who: str = "ada", **more: Any) -> dict[str, Any]:
    answer = await rest.post("/api/auth/login", {"email": f"{who}@example.org", "password": PASSWORD, **more})
    assert answer.status == 200, answer.json
    begun: dict[str, Any] = answer.json
    return begun


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_password_costs_who_guesses_it_what_owasp_asks_for() -> None:
    assert credentials._NOBODY.startswith("$argon2id$v=19$m=19456,t=2,p=1$")  # made before tests were made quick


async def test_login_says_who_one_is(rest: World) -> None:
    begun = await login(rest)
    user = begun["user"]
    assert (user["id"], user["role"], user["tenant_id"], user["email"]) == (
        rest.ids["ada"], "radiologist", "north", "ada@example.org",
    )  # fmt: skip
    assert user["sites"] == [{"id": "harbor", "name": "Harbor"}, {"id": "main", "name": "main"}]
    assert user["memberships"] == [{"tenant_id": "north", "name": "North", "role": "radiologist"}]
    me = await rest.get("/api/auth/me", headers=bearer(begun["access_token"]))
    assert me.json == user
    assert begun["expires_in"] == 600


async def test_a_site_bound_person_has_her_sites_only(rest: World) -> None:
    assert (await login(rest, "tess"))["user"]["sites"] == [{"id": "harbor", "name": "Harbor"}]


@pytest.mark.parametrize(
    ("email", "password"), [("ada@example.org", "wrong"), ("nobody@example.org", PASSWORD), ("", "")]
)
async def test_wrong_password_and_unknown_address_are_refused_alike(rest: World, email: str, password: str) -> None:
    answer = await rest.post("/api/auth/login", {"email": email, "password": password})
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.json["detail"] == "The e-mail address, the password or the code is not right."


async def test_unknown_address_takes_as_long_as_a_wrong_password(rest: World) -> None:
    async def took(email: str) -> float:
        times = []
        for _ in range(4):
            began = time.perf_counter()
            await rest.post("/api/auth/login", {"email": email, "password": "wrong"})
            times.append(time.perf_counter() - began)
        return min(times)

    known, unknown = await took("ada@example.org"), await took("nobody@example.org")
    assert unknown > known / 3


async def test_eleventh_login_a_minute_is_too_many(rest: World) -> None:
    body = {"email": "ada@example.org", "password": "wrong"}
    codes = [(await rest.post("/api/auth/login", body)).status for _ in range(10)]
    last = await rest.post("/api/auth/login", {"email": "ADA@example.org", "password": PASSWORD})
    if 429 not in codes and last.status != 429:  # the minute turned in between
        codes = [(await rest.post("/api/auth/login", body)).status for _ in range(11)]
        last = await rest.post("/api/auth/login", body)
    assert (last.status, last.code) == (429, "overloaded")
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert (await login(rest, "bob"))["user"]["name"] == "Bob"


async def test_no_session_and_a_made_up_token_are_unauthenticated(rest: World) -> None:
    for headers in ({}, bearer("made-up"), {"Authorization": "Basic YTpi"}, {"Cookie": f"{COOKIE}=made-up"}):
        answer = await rest.get("/api/auth/me", headers=headers)
        assert (answer.status, answer.code) == (401, "unauthenticated")


async def test_expired_token_is_unauthenticated(rest: World) -> None:
    token = (await login(rest))["access_token"]
    assert (await rest.get("/api/auth/me", headers=bearer(token))).status == 200
    await rest.sql("UPDATE rr.token SET expires_at = now() - interval '1 s' WHERE token_hash = $1", digest(token))
    await asyncio.sleep(0.6)
    assert (await rest.get("/api/auth/me", headers=bearer(token))).code == "unauthenticated"


async def test_only_hashes_of_credentials_are_stored(rest: World) -> None:
    begun = await login(rest)
    hashes = {bytes(r["token_hash"]) for r in await rest.sql("SELECT token_hash FROM rr.token")}
    assert {digest(begun["access_token"]), digest(begun["refresh_token"])} <= hashes


async def test_refresh_rotates_and_reuse_ends_the_login(rest: World) -> None:
    first = await login(rest)
    second = (await rest.post("/api/auth/refresh", {"refresh_token": first["refresh_token"]})).json
    assert second["refresh_token"] != first["refresh_token"]
    assert (await rest.get("/api/auth/me", headers=bearer(second["access_token"]))).status == 200
    again = await rest.post("/api/auth/refresh", {"refresh_token": first["refresh_token"]})
    assert again.code == "unauthenticated"
    for token in (first["access_token"], second["access_token"]):
        assert (await rest.get("/api/auth/me", headers=bearer(token))).code == "unauthenticated"
    assert (await rest.post("/api/auth/refresh", {"refresh_token": second["refresh_token"]})).status == 401


async def test_a_client_whose_token_ran_out_refreshes_it_once_and_goes_on(rest: World) -> None:
    person = Session(rest.url)
    await person.login("ada@example.org", PASSWORD, None)
    try:
        before = person.token
        await rest.sql("UPDATE rr.token SET expires_at = now() WHERE kind = 'access'")
        await asyncio.sleep(0.6)  # gateways remember a token half a second
        said = await asyncio.gather(*(person.rest("GET", "/api/auth/me") for _ in range(3)))
        assert [status for status, _ in said] == [200] * 3
        assert person.token != before
    finally:
        await person.close()


async def test_an_access_token_does_not_refresh(rest: World) -> None:
    token = (await login(rest))["access_token"]
    assert (await rest.post("/api/auth/refresh", {"refresh_token": token})).status == 401


async def test_logout_ends_every_token_of_the_login_and_no_other(rest: World) -> None:
    one, other = await login(rest), await login(rest)
    assert (await rest.post("/api/auth/logout", headers=bearer(one["access_token"]))).status == 200
    assert (await rest.get("/api/auth/me", headers=bearer(one["access_token"]))).status == 401
    assert (await rest.post("/api/auth/refresh", {"refresh_token": one["refresh_token"]})).status == 401
    assert (await rest.get("/api/auth/me", headers=bearer(other["access_token"]))).status == 200


async def test_several_groups_and_none_named_asks_to_choose(rest: World) -> None:
    async with rest.admin_db.scope() as conn:
        await admin.add_person(conn, Person("ada@example.org", Role.MANAGER, "south"))
    body = {"email": "ada@example.org", "password": PASSWORD}
    asked = await rest.post("/api/auth/login", body)
    assert (asked.status, asked.code) == (409, "choose_tenant")
    assert [t["tenant_id"] for t in asked.json["tenants"]] == ["north", "south"]
    south = await login(rest, tenant="South")
    assert (south["user"]["tenant_id"], south["user"]["role"]) == ("south", "manager")
    assert (await rest.post("/api/auth/login", {**body, "tenant": "west"})).status == 401


async def test_switching_ends_the_session_in_the_group_before(rest: World) -> None:
    async with rest.admin_db.scope() as conn:
        await admin.add_person(conn, Person("ada@example.org", Role.MANAGER, "south"))
    north = bearer((await login(rest, tenant="north"))["access_token"])
    switched = await rest.post("/api/auth/tenant", {"tenant": "south"}, headers=north)
    assert switched.json["user"]["tenant_id"] == "south"
    assert (await rest.get("/api/auth/me", headers=north)).status == 401
    south = bearer(switched.json["access_token"])
    assert (await rest.post("/api/auth/tenant", {"tenant": "west"}, headers=south)).code == "not_found"


async def test_an_operator_logs_in_without_a_group(rest: World) -> None:
    begun = await login(rest, "opal")
    assert (begun["user"]["role"], begun["user"]["tenant_id"], begun["user"]["sites"]) == ("operator", None, [])
    assert (await rest.get("/api/studies", headers=bearer(begun["access_token"]))).code == "forbidden"


async def test_one_time_code_is_asked_for_and_accepted_once(rest: World) -> None:
    secret = pyotp.random_base32()
    await rest.sql("UPDATE rr.person SET totp_secret = $1 WHERE email = 'ada@example.org'", secret)
    body = {"email": "ada@example.org", "password": PASSWORD}
    missing = await rest.post("/api/auth/login", body)
    assert (missing.code, missing.json["field"]) == ("unauthenticated", "otp")
    assert (await rest.post("/api/auth/login", {**body, "otp": "000000x"})).status == 401
    code = pyotp.TOTP(secret).now()
    assert (await rest.post("/api/auth/login", {**body, "otp": code})).status == 200
    assert (await rest.post("/api/auth/login", {**body, "otp": code})).status == 401


async def test_deactivated_person_is_out_within_a_second(rest: World) -> None:
    assert (await rest.get("/api/auth/me", "ada")).status == 200
    async with rest.admin_db.scope() as conn:
        await admin.deactivate(conn, rest.ids["ada"], "north")
    await asyncio.sleep(0.6)
    assert (await rest.get("/api/auth/me", "ada")).status == 401


class Browser:
    """Keeps its cookie, as a browser does."""

    def __init__(self, rest: World) -> None:
        self.rest, self.http = rest, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> aiohttp.ClientResponse:
        response = await self.http.request(method, self.rest.url + path, json=body, headers=headers)
        await response.read()
        return response


@pytest.fixture
async def browser(rest: World) -> AsyncIterator[Browser]:
    made = Browser(rest)
    response = await made.send("POST", "/api/auth/login", {"email": "ada@example.org", "password": PASSWORD})
    cookie = response.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", "")
    yield made
    await made.http.close()


async def test_the_cookie_is_a_session_until_logout(browser: Browser) -> None:
    assert (await browser.send("GET", "/api/auth/me")).status == 200
    assert (await browser.send("POST", "/api/auth/logout")).status == 200
    assert (await browser.send("GET", "/api/auth/me")).status == 401


async def test_the_cookie_slides_while_in_use_but_no_token_does(browser: Browser) -> None:
    rest = browser.rest
    left = "SELECT extract(epoch FROM max(expires_at) - now())::int AS s FROM rr.token WHERE kind = 'access'"
    await rest.sql("UPDATE rr.token SET expires_at = now() + interval '20 s' WHERE kind = 'access'")
    await browser.send("GET", "/api/auth/me")
    assert (await rest.sql(left))[0]["s"] > 590
    await rest.sql("UPDATE rr.token SET created_at = now() - interval '12 h' WHERE kind = 'access'")
    await rest.sql("UPDATE rr.token SET expires_at = now() + interval '20 s' WHERE kind = 'access'")
    await asyncio.sleep(0.6)
    await browser.send("GET", "/api/auth/me")
    assert (await rest.sql(left))[0]["s"] <= 20


async def test_another_sites_page_may_not_write_with_the_cookie(browser: Browser) -> None:
    for origin in ("https://evil.example", "null"):
        refused = await browser.send("POST", "/api/auth/socket-ticket", Origin=origin)
        assert refused.status == 403
        assert (await refused.json(content_type=None))["code"] == "forbidden"
        body = {"email": "ada@example.org", "password": PASSWORD}
        assert (await browser.send("POST", "/api/auth/login", body, Origin=origin)).status == 403
    assert (await browser.send("POST", "/api/auth/socket-ticket", Origin=browser.rest.url)).status == 200
    assert (await browser.send("GET", "/api/auth/me", Origin="https://evil.example")).status == 200


async def test_a_ticket_connects_one_socket_of_its_login(rest: World) -> None:
    begun = await login(rest)
    given = (await rest.post("/api/auth/socket-ticket", headers=bearer(begun["access_token"]))).json
    assert given["expires_in"] <= 30
    session = await rest.deps.sessions.redeem(given["ticket"])
    assert (session.who.user_id, session.who.tenant_id) == (rest.ids["ada"], "north")
    with pytest.raises(Unauthenticated):
        await rest.deps.sessions.redeem(given["ticket"])
    assert (await rest.get("/api/auth/me", headers=bearer(given["ticket"]))).status == 401


async def test_a_ticket_of_an_ended_login_is_refused(rest: World) -> None:
    begun = await login(rest)
    token = bearer(begun["access_token"])
    ticket = (await rest.post("/api/auth/socket-ticket", headers=token)).json["ticket"]
    await rest.post("/api/auth/logout", headers=token)
    with pytest.raises(Unauthenticated):
        await rest.deps.sessions.redeem(ticket)


async def test_tickets_are_limited(rest: World) -> None:
    codes = [(await rest.post("/api/auth/socket-ticket", who="ada")).status for _ in range(125)]
    assert codes.count(429) >= 5
    assert codes[0] == 200


async def test_a_wall_gets_tickets_and_nothing_else(rest: World) -> None:
    async with rest.admin_db.scope() as conn:
        wall = bearer(await sessions.issue(conn, "wall", Login("wall-1", None, "north"), 60))
    given = await rest.post("/api/auth/socket-ticket", headers=wall)
    session = await rest.deps.sessions.redeem(given.json["ticket"])
    assert (session.wall, session.who.tenant_id, session.who.sites) == (True, "north", frozenset())
    for path in ("/api/auth/me", "/api/studies", "/api/board", "/api/worklist"):
        assert (await rest.get(path, headers=wall)).code == "forbidden"


async def test_gateways_hear_whose_rights_changed(rest: World) -> None:
    heard: list[str] = []
    rest.deps.sessions.listeners.append(heard.append)
    begun = await login(rest)
    family = (await rest.deps.sessions.session(begun["access_token"])).family
    await rest.post("/api/auth/logout", headers=bearer(begun["access_token"]))
    async with asyncio.timeout(3):
        while family not in heard:
            await asyncio.sleep(0.02)


async def test_logins_are_audited(rest: World) -> None:
    await login(rest)
    await rest.post("/api/auth/login", {"email": "ada@example.org", "password": "wrong"})
    acts = [
        (r["act"], r["user_id"]) for r in await rest.sql("SELECT act, user_id FROM rr.access WHERE act LIKE 'login%'")
    ]
    assert acts == [("login", rest.ids["ada"]), ("login_refused", rest.ids["ada"])]
