"""How sockets end, and what happens when something dies: told why, closed in time, nothing lost."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.realtime import connection as connections
from gateway.realtime.frames import frame
from gateway.realtime.server import Live
from readingroom import embedded
from readingroom.settings import Settings
from tests.conftest import short_directory
from tests.gateway.floor import Floor, Gateway, open_floor, row, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.postgres


@pytest.fixture
async def floor(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    lives: list[Live] = []
    begun = Live.__init__

    def remember(self: Live, deps: Any) -> None:
        begun(self, deps)
        lives.append(self)

    monkeypatch.setattr(Live, "__init__", remember)
    async with open_floor(fresh) as made:
        made.lives = lives  # type: ignore[attr-defined]
        yield made


@asynccontextmanager
async def raw(floor: Floor, auth: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A socket that does only what the test says."""
    address = floor.first.url + "/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as ws:
        assert (await ws.receive_str()).startswith("0{")
        if auth is not None:
            await ws.send_str("40" + json.dumps(auth))
            assert (await ws.receive_str()).startswith("40{")
            assert (await ws.receive_str()).startswith('42["hello"')
        yield ws


async def closes(ws: aiohttp.ClientWebSocketResponse, within_s: float) -> list[str]:
    """Return what is still said until the socket closes."""
    async with asyncio.timeout(within_s):
        return [message.data async for message in ws]


# -- losing access ------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["logout", "deactivation", "role", "membership"])
async def test_who_loses_access_is_told_and_closed_within_a_second(floor: Floor, how: str) -> None:
    ada, bob = await floor.client("ada"), await floor.client("bob")
    session = await floor.first.deps.sessions.session(ada.session.token or "")
    await floor.admin.execute(
        {
            "logout": "UPDATE rr.token SET revoked_at = now() WHERE user_id = 'ada'",
            "deactivation": "UPDATE rr.person SET active = false WHERE user_id = 'ada'",
            "role": "UPDATE rr.membership SET role = 'resident' WHERE user_id = 'ada'",
            "membership": "UPDATE rr.membership SET active = false WHERE user_id = 'ada'",
        }[how]
    )
    began = asyncio.get_running_loop().time()
    await floor.valkey.publish("auth", session.family if how == "logout" else "user:ada")
    await until(lambda: ada.byes and not ada.live, 2)
    assert asyncio.get_running_loop().time() - began < 1
    assert ada.byes == ["unauthenticated"]
    assert bob.live
    if how == "role":  # she may come back as what she is now
        await ada.wait_live(within_s=5)
        assert ada.hello["role"] == "resident"


async def test_without_valkey_lost_access_is_found_by_the_sweep(floor: Floor) -> None:
    ada = await floor.client("ada")
    await floor.admin.execute("UPDATE rr.token SET revoked_at = now() WHERE user_id = 'ada'")
    await until(lambda: ada.byes, 7)


async def test_a_nudge_that_changes_nothing_ends_nothing(floor: Floor) -> None:
    ada = await floor.client("ada")
    await floor.valkey.publish("auth", "tenant:t")
    await asyncio.sleep(0.5)
    assert ada.live
    assert not ada.byes


async def test_a_socket_outlives_its_token_by_reauthenticating(floor: Floor) -> None:
    ada = await floor.client("ada")
    before = ada.hello["expires_at"]
    ticket = await floor.ticket("ada")
    answer = await ada.ask("reauth", {"ticket": ticket})
    assert answer["ok"] is True
    assert answer["expires_at"] >= before
    assert (await ada.ask("reauth", {"ticket": ticket}))["error"] == "unauthenticated"
    assert (await ada.ask("reauth", {"ticket": await floor.ticket("bob")}))["error"] == "unauthenticated"
    assert ada.live


async def test_a_token_that_expired_has_a_grace_and_then_the_socket_ends(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.realtime.rights.SWEEP_S", 0.2)
    monkeypatch.setattr("gateway.realtime.rights.GRACE_S", 2.0)
    token = await floor.token("ada", kind="access", seconds=1.5)
    gateway = await floor.gateway()
    ada = await floor.client("ada", token=token, at=gateway, streams=[])
    await asyncio.sleep(2.2)
    assert not ada.byes
    await until(lambda: ada.byes, 4)


# -- readers that do not keep up ----------------------------------------------------------------
async def test_who_acknowledges_nothing_is_closed_and_who_does_is_not(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ACK_S", 1.0)
    ada = await floor.client("ada", streams=[])
    async with raw(floor, {"ticket": await floor.ticket("bob"), "tab": "x"}) as ws:
        for _ in range(6):
            for user in ("ada", "bob"):
                await floor.say("t", f"user:{user}", "study_changed", {"study_uid": "1", "row": row("1")})
            await asyncio.sleep(0.3)
        said = await closes(ws, 3)
    assert any('42["bye",{"code":"overloaded"}]' in text for text in said)
    assert ada.live
    assert not ada.byes


async def test_a_silent_stream_needs_no_acknowledgement(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ACK_S", 0.6)
    async with raw(floor, {"ticket": await floor.ticket("bob"), "tab": "x"}) as ws:
        await asyncio.sleep(1.5)
        await ws.send_str('420["time",{"t0":1}]')
        async with asyncio.timeout(2):
            while not (await ws.receive_str()).startswith("430["):
                pass


async def test_a_reader_that_does_not_read_is_cut(floor: Floor) -> None:
    [live] = floor.lives  # type: ignore[attr-defined]
    async with raw(floor, {"ticket": await floor.ticket("bob"), "tab": "x"}) as ws:
        transport = ws.get_extra_info("socket")
        ws._reader._protocol.pause_reading()  # type: ignore[attr-defined]
        assert transport is not None
        await until(lambda: len(live.hub) == 1)
        for _ in range(80):
            await floor.say(
                "t", "user:bob", "study_changed", {"study_uid": "1", "row": row("1", procedure="x" * 300_000)}
            )
            if not live.hub.connections:
                break
        await until(lambda: not live.hub.connections, 2)


async def test_order_holds_between_the_fast_path_and_the_queue(floor: Floor) -> None:
    [live] = floor.lives  # type: ignore[attr-defined]
    chance, total = Random(7), 3_000
    async with raw(floor, {"ticket": await floor.ticket("bob"), "tab": "x"}) as ws:
        await until(lambda: live.hub.connections)
        [connection] = live.hub.connections.values()
        for n in range(total):
            message = frame("numbered", {"n": n})
            if chance.random() < 0.3:  # as python-socketio sends answers and pings
                connection.outlet._queue.put_nowait(message.packet())
            else:
                connection.send(message)
            if chance.random() < 0.2:
                await asyncio.sleep(0)
        seen: list[int] = []
        async with asyncio.timeout(10):
            while len(seen) < total:
                text = await ws.receive_str()
                if text.startswith('42["numbered"'):
                    seen.append(json.loads(text[2:])[1]["n"])
    assert seen == list(range(total))
    assert connection.outlet.waiting_bytes == 0


# -- what is no message of ours -----------------------------------------------------------------
@pytest.mark.parametrize("text", ["4", "49", "42", "42{}", "42[]", '45{"a"', "451-[]", '42/other,["x"]', b"\x00\x01"])
async def test_what_is_no_packet_ends_the_connection(floor: Floor, text: str | bytes) -> None:
    async with raw(floor, {"ticket": await floor.ticket("bob"), "tab": "x"}) as ws:
        await (ws.send_bytes(text) if isinstance(text, bytes) else ws.send_str(text))
        await closes(ws, 3)


async def test_a_connection_that_shows_no_ticket_is_cut(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.realtime.engine._CLAIM_S", 0.3)
    async with raw(floor, None) as ws:
        await closes(ws, 2)


async def test_polling_is_not_spoken(floor: Floor) -> None:
    async with aiohttp.ClientSession() as http:
        for method in ("GET", "POST"):
            async with http.request(method, floor.first.url + "/socket.io/?EIO=4&transport=polling") as answer:
                assert answer.status in {400, 405}


# -- what dies ----------------------------------------------------------------------------------
async def test_clients_of_a_gateway_that_ends_go_on_at_another(floor: Floor) -> None:
    other = await floor.gateway()
    async with Gateway(floor.settings, floor.refs) as dying:
        ada = await floor.client("ada", at=dying)
        await floor.say("t", "tenant:t", "study_changed", {"study_uid": "1", "row": row("1")})
        await until(lambda: ada.rows)
        ada.session.base_url = other.url
    assert ada.byes == ["retry"]
    await floor.say("t", "tenant:t", "study_changed", {"study_uid": "2", "row": row("2")})
    await ada.wait_live(within_s=5)
    assert set(ada.rows) == {"1", "2"}
    assert ada.hello["streams"]["tenant:t"]["mode"] == "resume"


async def test_lost_database_connections_lose_no_event(floor: Floor) -> None:
    ada = await floor.client("ada")
    seen: list[int] = []
    ada.on("ev", lambda event: seen.append(event["seq"]))
    for n in range(60):
        if n % 6 == 0:
            await floor.admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'rr_app' AND datname = current_database()"
            )
        await floor.say("t", "tenant:t", "study_changed", {"study_uid": str(n), "row": row(str(n))})
    await until(lambda: len(ada.rows) == 60, 10)
    assert seen == list(range(1, 61))


async def test_a_restored_feed_sends_everybody_to_snapshots(floor: Floor) -> None:
    ada = await floor.client("ada")
    for n in range(3):
        await floor.say("t", "tenant:t", "study_changed", {"study_uid": str(n), "row": row(str(n))})
    await until(lambda: len(ada.rows) == 3)
    await floor.admin.execute("DELETE FROM rr.feed; UPDATE rr.stream_head SET seq = 1;"
                              "UPDATE rr.tenant_head SET pos = 1, epoch = 'another' WHERE tenant_id = 't'")  # fmt: skip
    await until(lambda: ada.byes, 4)
    await ada.wait_live(within_s=5)
    assert ada.hello["epoch"] == "another"
    assert ada.views["tenant:t"].seq == 1
    assert not ada.rows


async def test_valkey_may_die_at_any_time(floor: Floor) -> None:
    with short_directory() as directory:
        settings = Settings(data=directory)
        embedded.prepare(settings)
        valkey = embedded.start_valkey(settings)
        embedded.wait_for(settings.run / "valkey.sock", valkey)
        floor.settings.redis_url = settings.valkey_url
        try:
            gateway = await floor.gateway()
            ada = await floor.client("ada", at=gateway)
            valkey.send_signal(signal.SIGKILL)
            valkey.wait()
            began = asyncio.get_running_loop().time()
            await floor.say("t", "tenant:t", "study_changed", {"study_uid": "1", "row": row("1")}, nudge=False)
            await until(lambda: ada.rows)
            assert asyncio.get_running_loop().time() - began < 2
            bob = await floor.client("bob", at=gateway)
            assert bob.live
            assert ada.live
        finally:
            valkey.kill()
            valkey.wait()


# -- alerts -------------------------------------------------------------------------------------
async def test_a_breach_told_before_the_journal_reaches_managers_and_the_reader_once(floor: Floor) -> None:
    manager, ada, una = await floor.client("max"), await floor.client("ada", streams=[]), await floor.client("una")
    tess, bob = await floor.client("tess"), await floor.client("bob", streams=[])
    alerts: dict[str, list[Any]] = {}
    for name, client in (("max", manager), ("ada", ada), ("una", una), ("tess", tess), ("bob", bob)):
        client.on("alert", alerts.setdefault(name, []).append)
    await floor.say("t", "user:ada", "study_changed", {"study_uid": "1", "row": row("1", assigned_to="ada")})
    await until(lambda: ada.mine)
    said = {"id": "0190-1", "study_uid": "1", "due_at": "2026-11-24T10:00:00.000Z", "provisional": True}
    await floor.valkey.publish("alert", json.dumps({"tenant_id": "t"} | said))
    await until(lambda: alerts["max"] and alerts["ada"])
    await asyncio.sleep(0.1)
    assert alerts == {"max": [said], "ada": [said], "una": [], "tess": [], "bob": []}
