"""What a socket is told: hello, snapshot, resume, events; once, in order, and nothing of others."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import socketio

from gateway.realtime.hub import Hub
from gateway.realtime.joining import Joining
from readingroom.demo.view import View
from tests.gateway.floor import Floor, open_floor, row, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


@pytest.fixture
async def floor(fresh: Settings) -> AsyncIterator[Floor]:
    async with open_floor(fresh) as made:
        yield made


async def test_a_reader_is_greeted_with_her_streams_and_their_state(floor: Floor) -> None:
    ada = await floor.client("ada")
    assert ada.hello["user"] == "ada"
    assert ada.hello["tenant"] == "t"
    assert ada.hello["role"] == "radiologist"
    assert set(ada.hello["streams"]) == {"user:ada", "tenant:t"}
    assert {s["mode"] for s in ada.hello["streams"].values()} == {"snapshot"}
    assert set(ada.readers) == {"ada", "bob", "rey"}
    assert ada.counters["open"] == 0


async def test_an_event_reaches_its_stream_at_once(floor: Floor) -> None:
    ada = await floor.client("ada")
    began = asyncio.get_running_loop().time()
    await floor.say("t", "tenant:t", "study_changed", {"study_uid": "1.2.3", "row": row()})
    await until(lambda: ada.rows)
    assert asyncio.get_running_loop().time() - began < 0.5
    assert ada.rows["1.2.3"] == row()
    await floor.say("t", "tenant:t", "study_changed", {"study_uid": "1.2.3", "row": None})
    await until(lambda: not ada.rows)


async def test_an_event_without_a_nudge_is_found_within_a_second(floor: Floor) -> None:
    ada = await floor.client("ada")
    await floor.say("t", "user:ada", "study_changed", {"study_uid": "1.2.3", "row": row()}, nudge=False)
    await until(lambda: ada.mine, 2)


async def test_who_comes_back_is_told_what_she_missed_once_and_in_order(floor: Floor) -> None:
    ada = await floor.client("ada")
    for n in range(3):
        await floor.say("t", "tenant:t", "study_changed", {"study_uid": f"1.{n}", "row": row(f"1.{n}")})
    await until(lambda: len(ada.rows) == 3)
    seen: list[int] = []
    ada.on("ev", lambda event: seen.append(event["seq"]))
    await ada.drop()
    for n in range(3, 9):
        await floor.say("t", "tenant:t", "study_changed", {"study_uid": f"1.{n}", "row": row(f"1.{n}")})
    await ada.wait_live(within_s=5)
    await until(lambda: len(ada.rows) == 9)
    assert ada.connections == 2
    assert ada.hello["streams"]["tenant:t"] == {"mode": "resume", "head": 9}
    assert seen == list(range(4, 10))


@pytest.mark.parametrize(
    ("offset", "head", "oldest", "same_epoch", "mode"),
    [
        (0, 3, 1, True, "resume"),
        (None, 3, 1, True, "snapshot"),
        (3, 3, 1, True, "resume"),
        (3, 3, None, True, "resume"),
        (0, 3, 1, False, "snapshot"),
        (2, 1_002, 1, True, "resume"),
        (1, 1_002, 1, True, "snapshot"),
        (4, 3, 1, True, "snapshot"),
        (4, 9, 5, True, "resume"),
        (3, 9, 5, True, "snapshot"),
        (3, 9, None, True, "snapshot"),
    ],
)
async def test_a_stream_resumes_when_all_that_was_missed_is_kept_and_not_too_much(  # noqa: PLR0917
    floor: Floor,
    offset: int | None,
    head: int,
    oldest: int | None,
    same_epoch: bool,  # noqa: FBT001
    mode: str,
) -> None:
    await floor.admin.execute("INSERT INTO rr.stream_head (tenant_id, stream, seq) VALUES ('t', 'user:ada', $1)", head)
    if oldest is not None:
        await floor.admin.execute(
            "INSERT INTO rr.feed (tenant_id, pos, stream, seq, id, type, data)"
            " VALUES ('t', 1, 'user:ada', $1, gen_random_uuid(), 'study_changed', '{}')",
            oldest,
        )
    session = await floor.first.deps.sessions.session(await floor.token("ada"))
    joining = Joining(floor.first.deps.app_db, Hub())
    plan, refused = await joining.plan(session, {"user:ada": offset}, same_epoch=same_epoch)
    assert (plan["user:ada"].mode, plan["user:ada"].head, refused) == (mode, head, {})


async def test_offset_zero_replays_everything_from_the_first_event(floor: Floor) -> None:
    for n in range(5):
        await floor.say("t", "user:ada", "study_changed", {"study_uid": f"1.{n}", "row": row(f"1.{n}")})
    ada = await floor.client("ada", streams=[], connect=False)
    ada.views["user:ada"] = View(0)
    ada._epoch = await floor.admin.fetchval("SELECT epoch FROM rr.tenant_head WHERE tenant_id = 't'")
    await ada.connect()
    assert ada.hello["streams"]["user:ada"] == {"mode": "resume", "head": 5}
    assert len(ada.mine) == 5


async def test_a_gap_is_closed_by_subscribing_again(floor: Floor) -> None:
    ada = await floor.client("ada")
    await floor.say("t", "tenant:t", "study_changed", {"study_uid": "1", "row": row("1")})
    await until(lambda: ada.rows)
    view = ada.views["tenant:t"]
    assert view.seq == 1
    await floor.say("t", "tenant:t", "study_changed", {"study_uid": "2", "row": row("2")})
    await until(lambda: len(ada.rows) == 2)
    ada.views["tenant:t"] = view  # as if the second had been lost
    await floor.say("t", "tenant:t", "study_changed", {"study_uid": "3", "row": row("3")})
    await until(lambda: len(ada.rows) == 3)
    assert ada.connections == 1


async def test_equal_uids_of_two_tenants_never_meet(floor: Floor) -> None:
    ada, una = await floor.client("ada"), await floor.client("una")
    for stream in ("study:1.2.3", "tenant:{}"):
        for client, tenant in ((ada, "t"), (una, "u")):
            await client.ask("subscribe", {"streams": {stream.format(tenant): 0}})
    told: dict[str, list[Any]] = {"t": [], "u": []}
    ada.check = lambda name, payload: told["t"].append((name, payload))
    una.check = lambda name, payload: told["u"].append((name, payload))
    for stream in ("user:ada", "user:una", "site:harbor", "study:1.2.3"):
        await floor.say("t", stream, "study_changed", {"study_uid": "1.2.3", "row": row(accession_number="of t")})
        await floor.say("u", stream, "study_changed", {"study_uid": "1.2.3", "row": row(accession_number="of u")})
    await until(lambda: ada.mine and una.mine)
    await asyncio.sleep(0.2)
    assert {p["data"]["row"]["accession_number"] for _, p in told["t"]} == {"of t"}
    assert {p["data"]["row"]["accession_number"] for _, p in told["u"]} == {"of u"}


ALL = (
    "user:{me}",
    "user:bob",
    "tenant:t",
    "tenant:u",
    "site:harbor",
    "site:hill",
    "study:1.2.3",
    "wall:t",
    "wall:u",
    "x:1",
    "",
)


@pytest.mark.parametrize(
    ("user", "codes"),
    [
        ("ada", "ok not_found ok not_found forbidden forbidden not_found forbidden forbidden forbidden forbidden"),
        ("rey", "ok not_found ok not_found forbidden forbidden not_found forbidden forbidden forbidden forbidden"),
        ("max", "ok not_found ok not_found forbidden forbidden not_found forbidden forbidden forbidden forbidden"),
        ("amy", "ok not_found ok not_found forbidden forbidden not_found forbidden forbidden forbidden forbidden"),
        ("tess", "ok not_found forbidden forbidden ok not_found forbidden forbidden forbidden forbidden forbidden"),
        (
            "vic",
            "ok not_found forbidden forbidden forbidden forbidden forbidden forbidden forbidden forbidden forbidden",
        ),
        (
            "pia",
            "ok not_found forbidden forbidden forbidden forbidden forbidden forbidden forbidden forbidden forbidden",
        ),
        (
            None,
            "forbidden forbidden forbidden forbidden forbidden forbidden forbidden ok not_found forbidden forbidden",
        ),
    ],
)
async def test_each_role_follows_its_streams_and_no_other(floor: Floor, user: str | None, codes: str) -> None:
    client = await floor.client(user, streams=[])
    wanted = [stream.format(me=user or "ada") for stream in ALL if stream]
    answer = await client.ask("subscribe", {"streams": dict.fromkeys(wanted)})
    assert answer["ok"] is True
    got = ["ok" if s in answer["streams"] else answer["refused"][s] for s in wanted]
    assert got == codes.split()[: len(wanted)]


async def test_a_wall_sees_no_patient_and_can_do_nothing(floor: Floor) -> None:
    wall = await floor.client(None)
    assert wall.hello["role"] == "wall"
    assert wall.hello["user"] is None
    assert set(wall.views) == {"wall:t"}
    await floor.say("t", "wall:t", "study_changed", {"study_uid": "1", "row": row("1", patient=None)})
    await until(lambda: wall.rows)
    answer = await wall.ask("accept", {"study_uid": "1", "offer_id": "o", "idem": "i"})
    assert answer["error"] == "forbidden"


async def test_unsubscribing_ends_a_stream_but_never_the_own(floor: Floor) -> None:
    ada = await floor.client("ada")
    answer = await ada.ask("unsubscribe", {"streams": ["tenant:t", "user:ada"]})
    assert set(answer["streams"]) == {"user:ada"}
    await floor.say("t", "tenant:t", "study_changed", {"study_uid": "1", "row": row("1")})
    await floor.say("t", "user:ada", "study_changed", {"study_uid": "1", "row": row("1")})
    await until(lambda: ada.mine)
    assert not ada.rows


@pytest.mark.parametrize("auth", [None, {}, {"ticket": "stale", "tab": "x"}, {"ticket": 1, "tab": "x"}, []])
async def test_a_refused_ticket_is_a_connect_error_with_its_code(floor: Floor, auth: Any) -> None:
    said: list[Any] = []
    sio = socketio.AsyncClient(reconnection=False)
    sio.on("connect_error", said.append)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await sio.connect(floor.first.url, transports=["websocket"], auth=auth, wait_timeout=2)
    await sio.disconnect()
    stale = isinstance(auth, dict) and auth.get("ticket") == "stale"
    assert said[0]["data"] == {"code": "unauthenticated" if stale else "bad_payload"}


async def test_a_ticket_is_good_for_one_socket(floor: Floor) -> None:
    ticket = await floor.ticket("ada")
    first, second = socketio.AsyncClient(reconnection=False), socketio.AsyncClient(reconnection=False)
    await first.connect(floor.first.url, transports=["websocket"], auth={"ticket": ticket, "tab": "x"})
    with pytest.raises(socketio.exceptions.ConnectionError):
        await second.connect(floor.first.url, transports=["websocket"], auth={"ticket": ticket, "tab": "x"})
    await second.disconnect()
    await first.disconnect()


async def test_a_page_from_elsewhere_may_not_connect(floor: Floor) -> None:
    for origin, admitted in (("https://evil.example", False), (floor.first.url, True)):
        sio = socketio.AsyncClient(reconnection=False)
        auth = {"ticket": await floor.ticket("ada"), "tab": "x"}
        try:
            await sio.connect(floor.first.url, transports=["websocket"], auth=auth, headers={"Origin": origin})
            assert admitted
        except socketio.exceptions.ConnectionError:
            assert not admitted
        await sio.disconnect()


async def test_nothing_is_lost_or_told_twice_however_the_network_flaps(floor: Floor) -> None:
    other, chance, total = await floor.gateway(), Random(11), 250
    clients = [await floor.client(user, at=at) for user, at in (("ada", floor.first), ("bob", other), ("max", other))]
    seen: list[list[int]] = [[] for _ in clients]
    for client, seqs in zip(clients, seen, strict=True):
        client.on("ev", lambda event, seqs=seqs: seqs.append(event["seq"]))
    for n in range(total):
        uid = f"1.{n % 40}"
        await floor.say(
            "t",
            "tenant:t",
            "study_changed",
            {"study_uid": uid, "row": row(uid, rev=n) if n % 7 else None},
            nudge=chance.random() < 0.8,
        )
        await asyncio.sleep(chance.random() * 0.03)
        if chance.random() < 0.08:
            client = chance.choice(clients)
            client.session.base_url = chance.choice([floor.first, other]).url
            await client.drop()
    for client, seqs in zip(clients, seen, strict=True):
        await client.wait_live(within_s=10)
        await until(lambda client=client: client.views["tenant:t"].seq == total, 5)  # type: ignore[misc]
        assert seqs == list(range(1, total + 1))
        assert client.rows == clients[0].rows
    assert sum(client.connections for client in clients) > 8
