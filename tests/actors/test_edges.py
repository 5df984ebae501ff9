"""What happens between the steps of the main job: time passes, people leave, servers die, hosts are doubled."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from redis.asyncio import Redis

from actors.domain import commands as c
from actors.domain.errors import BadPayload, Failed, NotEligible, Retry, StaleVersion
from actors.domain.identity import Principal, minted_study_uid, radiologist_key, study_key, tenant_key
from actors.domain.study import SHAPE
from actors.domain.words import DeclineReason, Priority, Role, SignKind
from actors.local import Local
from storage import staff
from tests.actors.night import ADA, BOB, MAX, PATIENT, Night, at_work, place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


@pytest.fixture
async def night(fresh: Settings) -> AsyncIterator[Night]:
    async with at_work(fresh) as made:
        yield made


async def soon(check: Callable[[], Awaitable[Any]], *, within_s: float = 15) -> Any:
    async with asyncio.timeout(within_s):
        while not (seen := await check()):
            await asyncio.sleep(0.02)
    return seen


async def policy(night: Night, **body: Any) -> None:
    await night.admin.execute(
        "INSERT INTO rr.policy SELECT 't', count(*) + 1, $1 FROM rr.policy WHERE tenant_id = 't'", json.dumps(body)
    )
    await asyncio.sleep(1.1)  # acts within a second


async def events(night: Night, entity: str) -> list[str]:
    return [r["type"] for r in await night.admin.fetch(
        "SELECT type FROM rr.journal WHERE entity = $1 ORDER BY version", entity)]  # fmt: skip


async def presence(night: Night, user_id: str) -> str | None:
    return await night.admin.fetchval("SELECT state FROM rr.reader WHERE user_id = $1", user_id)  # type: ignore[no-any-return]


async def test_an_offer_that_expires_goes_to_the_next_and_its_reader_is_away(night: Night) -> None:
    await policy(night, offer_open_s={"STAT": 0.4})
    await night.online(ADA, BOB)
    await night.images("1.2.3")
    first = await night.offered("1.2.3")
    doc = await night.until("1.2.3", lambda d: d.get("offer") and d["offer"]["offer_id"] != first["offer_id"])
    assert doc["offer"]["radiologist_id"] != first["radiologist_id"]
    await soon(lambda: _is(presence(night, first["radiologist_id"]), "away"))


async def _is(seen: Awaitable[Any], wanted: Any) -> bool:
    return await seen == wanted  # type: ignore[no-any-return]


async def test_a_clock_warns_and_breaches_once_also_over_a_restart(night: Night) -> None:
    await policy(night, sla={"STAT": {"due_s": 2.5, "warn_s": 0.2}})
    await night.images("1.2.3")
    await night.until("1.2.3", lambda d: d.get("sla") and d["sla"]["state"] == "warned")
    await night.actors.stop()
    night.actors = Local(night.place)  # its timers were in memory; they are in the database too
    await night.actors.start()
    doc = await night.until("1.2.3", lambda d: d["sla"]["state"] == "breached")
    await asyncio.sleep(0.5)
    kinds = await events(night, "study/1.2.3")
    assert (kinds.count("SlaWarned"), kinds.count("SlaBreached")) == (1, 1)
    assert await night.admin.fetchval("SELECT count(*) FROM rr.timer WHERE name LIKE 'sla%'") == 0
    late = await night.admin.fetchval(
        "SELECT extract(epoch FROM at - $1::timestamptz) FROM rr.journal WHERE type = 'SlaBreached'",
        await night.admin.fetchval("SELECT $1::text::timestamptz", doc["sla"]["due_at"]),
    )
    assert 0 <= late < 1


@asynccontextmanager
async def away(night: Night) -> AsyncIterator[None]:
    """PostgreSQL cuts every connection of this database and takes no new ones."""
    name = await night.admin.fetchval("SELECT current_database()")
    root = await asyncpg.connect(night.settings.admin_dsn.replace(f"/{name}?", "/postgres?"))
    await night.admin.close()
    await root.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    await root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    try:
        yield
    finally:
        await root.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        await root.close()
        night.admin = await asyncpg.connect(night.settings.admin_dsn)


async def test_while_the_database_is_away_commands_are_refused_and_breaches_announced(night: Night) -> None:
    await policy(night, sla={"STAT": {"due_s": 1.5, "warn_s": 0.1}})
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    due_at = (await night.doc("1.2.3"))["sla"]["due_at"]
    valkey: Redis = Redis.from_url(night.settings.valkey_url, decode_responses=True)
    async with valkey.pubsub() as heard:
        await heard.subscribe("alert")
        async with away(night):
            with pytest.raises(Retry):
                await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="a")
            alert = json.loads(await soon(lambda: _text(heard)))
        doc = await night.until("1.2.3", lambda d: d["sla"]["state"] == "breached")
    await valkey.aclose()
    body = json.loads(await night.admin.fetchval("SELECT body FROM rr.journal WHERE type = 'SlaBreached'"))
    assert (alert["id"], alert["provisional"], alert["study_uid"]) == (body["alert_id"], True, "1.2.3")
    assert doc["sla"]["due_at"] == due_at
    answer = await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA, idem="a")
    assert answer["row"]["status"] == "assigned"


async def _text(heard: Any) -> str | None:
    message = await heard.get_message(ignore_subscribe_messages=True, timeout=0.05)
    return message and message["data"]  # type: ignore[no-any-return]


async def test_images_are_folded_to_one_event_a_second(night: Night) -> None:
    for _ in range(40):
        await night.images("1.2.3", priority="ROUTINE")
        await asyncio.sleep(0.05)
    await night.until("1.2.3", lambda d: d.get("images") == 40)
    kinds = await events(night, "study/1.2.3")
    assert kinds.count("ImagesReceived") <= 5
    assert await night.admin.fetchval("SELECT count(*) FROM rr.inbox") == 0


async def test_images_without_a_nudge_are_found(night: Night) -> None:
    night.valkey.publish = _silent  # type: ignore[method-assign]
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")


async def _silent(*_: object) -> int:
    return 0


async def test_two_hosts_of_the_same_shards_grant_one_offer(night: Night) -> None:
    other = Local(night.place, doubled=True)
    await other.start()
    try:
        await night.online(ADA, BOB)
        for n in range(6):
            await night.images(f"1.2.{n}", patient=f"p{n}")  # one patient's would stay together
        for n in range(6):
            await night.offered(f"1.2.{n}")
        await asyncio.sleep(1.5)
        for n in range(6):
            assert (await events(night, f"study/1.2.{n}")).count("Offered") == 1
        loads = await night.admin.fetch("SELECT load FROM rr.reader ORDER BY user_id")
        assert [r["load"] for r in loads] == [3, 3]
    finally:
        await other.stop()


async def test_capacity_holds_and_a_stat_may_pass_it_by_one(night: Night) -> None:
    await policy(night, capacity=2)
    await night.online(ADA)
    for n in range(5):
        await night.images(f"1.2.{n}")
    await soon(lambda: _is(night.admin.fetchval("SELECT load FROM rr.reader WHERE user_id = 'ada'"), 3))
    await asyncio.sleep(1.2)
    assert await night.admin.fetchval("SELECT load FROM rr.reader WHERE user_id = 'ada'") == 3
    assert await night.admin.fetchval("SELECT count(*) FROM rr.study WHERE (doc->>'over_cap')::bool") == 1
    uid = await night.admin.fetchval("SELECT study_uid FROM rr.study WHERE status = 'offered' ORDER BY 1 LIMIT 1")
    offer = (await night.doc(uid))["offer"]
    await night.study(uid, c.Decline(offer["offer_id"], DeclineReason.OUTSIDE_COMPETENCE), ADA)
    await soon(lambda: _is(night.admin.fetchval("SELECT count(*) FROM rr.study WHERE status = 'offered'"), 3))
    assert (await night.doc(uid))["status"] == "unread"


async def test_a_changed_capacity_acts_within_a_second(night: Night) -> None:
    await policy(night, capacity=1)
    await night.online(ADA)
    for n in range(3):
        await night.images(f"1.2.{n}", priority="STAT")
    await soon(lambda: _is(night.admin.fetchval("SELECT load FROM rr.reader WHERE user_id = 'ada'"), 2))
    await night.admin.execute("UPDATE rr.membership SET capacity = 4 WHERE user_id = 'ada'")
    check = lambda: _is(night.admin.fetchval("SELECT load FROM rr.reader WHERE user_id = 'ada'"), 3)  # noqa: E731
    await soon(check, within_s=3)


async def changes(night: Night, user_id: str) -> list[dict[str, Any]]:
    """What the feed told of a reader."""
    rows = await night.admin.fetch("SELECT data FROM rr.feed WHERE type = 'reader_changed' ORDER BY pos")
    told = [json.loads(r["data"])["reader"] for r in rows]
    return [r for r in told if r["radiologist_id"] == user_id]


async def test_a_changed_roster_is_told_and_acted_upon(night: Night) -> None:
    await night.online(ADA)
    await soon(lambda: changes(night, "bob"))
    await night.admin.execute("UPDATE rr.membership SET capacity = 3 WHERE user_id = 'bob'")
    await soon(lambda: _last(night, "bob", "capacity", 3), within_s=5)
    await night.admin.execute(
        "INSERT INTO rr.shift (tenant_id, user_id, starts_at, ends_at) VALUES ('t', 'ada', '2026-01-01', '2126-01-01')"
    )
    await soon(lambda: _last(night, "ada", "shift_ends_at", "2126-01-01T00:00:00.000Z"), within_s=5)
    await night.admin.execute(
        "INSERT INTO rr.absence (tenant_id, absence_id, user_id, starts_at, ends_at)"
        " VALUES ('t', 'a1', 'ada', now(), now() + interval '1 day')"
    )
    await soon(lambda: _last(night, "ada", "shift_ends_at", None), within_s=5)
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
    await asyncio.sleep(1.5)
    assert (await night.doc("1.2.3"))["status"] == "unread"  # she is away, whatever her sockets say
    await night.admin.execute("DELETE FROM rr.absence")
    assert (await night.offered("1.2.3"))["radiologist_id"] == "ada"


async def _last(night: Night, user_id: str, field: str, value: object) -> bool:
    return (await changes(night, user_id))[-1][field] == value


async def test_a_shift_that_ends_by_itself_is_told(night: Night) -> None:
    await night.admin.execute(
        "INSERT INTO rr.shift (tenant_id, user_id, starts_at, ends_at)"
        " VALUES ('t', 'ada', now() - interval '1 h', now() + interval '4 s')"
    )
    await night.online(ADA)
    await soon(lambda: _last(night, "ada", "presence", "online"))
    assert (await changes(night, "ada"))[-1]["shift_ends_at"] is not None
    await soon(lambda: _last(night, "ada", "shift_ends_at", None), within_s=10)


async def test_a_quiet_tenant_does_not_read_its_readers_again(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    await night.online(ADA)
    await asyncio.sleep(1.2)
    reads = []
    members = staff.members

    async def counted(*args: Any) -> Any:
        reads.append(args)
        return await members(*args)

    monkeypatch.setattr(staff, "members", counted)
    await asyncio.sleep(3.2)
    assert reads == []
    await night.admin.execute("UPDATE rr.membership SET capacity = 2 WHERE user_id = 'ada'")
    await soon(lambda: _is(_len(reads), 1), within_s=5)


async def _len(found: list[Any]) -> int:
    return len(found)


async def test_who_reads_for_another_group_is_busy_here(night: Night) -> None:
    await night.admin.execute("""
        INSERT INTO rr.tenant VALUES ('u', 'Day Group');
        INSERT INTO rr.membership (tenant_id, user_id, role) VALUES ('u', 'ada', 'radiologist');
        INSERT INTO rr.reader (tenant_id, user_id, state, study_uid) VALUES ('u', 'ada', 'online', '9.9');
    """)
    await asyncio.sleep(2.2)
    await night.online(ADA)
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
    await asyncio.sleep(0.5)
    assert (await night.doc("1.2.3"))["status"] == "unread"
    await night.admin.execute("UPDATE rr.reader SET study_uid = NULL WHERE tenant_id = 'u'")
    await soon(lambda: _is(_reader(night), "ada"), within_s=5)


async def _reader(night: Night) -> str | None:
    return ((await night.doc("1.2.3")).get("offer") or {}).get("radiologist_id")


async def test_managers_hear_once_that_nobody_is_there(night: Night) -> None:
    await night.images("1.2.3")
    count = "SELECT count(*) FROM rr.feed WHERE stream = 'user:max' AND type = 'message_received'"
    await soon(lambda: night.admin.fetchval(count))
    await asyncio.sleep(2.2)
    assert await night.admin.fetchval(count) == 1
    message = json.loads(await night.admin.fetchval("SELECT data FROM rr.feed WHERE stream = 'user:max'"))["message"]
    assert set(message) == {"message_id", "by", "to", "study_uid", "text", "at"}


async def test_a_newer_draft_wins_and_the_refused_text_is_kept(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA)
    await night.study("1.2.3", c.SaveDraft(0, {"impression": "first"}), ADA)
    await night.study("1.2.3", c.SaveDraft(1, {"impression": "second"}), ADA)
    with pytest.raises(StaleVersion) as caught:
        await night.study("1.2.3", c.SaveDraft(1, {"impression": "third"}), ADA)
    assert caught.value.fields["report_version"] == 2
    assert caught.value.fields["sections"]["impression"] == "second"
    kept = await night.admin.fetchval("SELECT sections->>'impression' FROM rr.report_conflict")
    assert kept == "third"


async def test_an_order_that_was_joined_answers_under_both_names(night: Night) -> None:
    order = c.Order("harbor", "A1", Priority.STAT, "CT head", "CT", PATIENT, expected_instances=1)
    minted = minted_study_uid("t", "harbor", "A1")
    await night.study(minted, c.ReceiveOrder(order))
    await night.images("1.2.3", accession="A1", priority="")
    await night.until("1.2.3", lambda d: d.get("ordered"))
    again = await night.study(minted, c.ReceiveOrder(order))
    assert (again["row"]["study_uid"], again["row"]["status"]) == ("1.2.3", "unread")
    assert (await night.doc(minted))["moved_to"] == "1.2.3"
    counters = json.loads(await night.admin.fetchval("SELECT counters FROM rr.stream_head WHERE stream = 'tenant:t'"))
    assert (counters["open"], counters["unread"]) == (1, 1)


async def test_an_order_whose_host_was_lost_meets_its_images_at_the_next_start(night: Night) -> None:
    await night.images("1.2.3", accession="A1", priority="")
    await night.status("1.2.3", "unread")
    await night.actors.stop()
    alone = Local(night.place)
    await alone.start()
    order = c.Order("harbor", "A1", Priority.STAT, "CT head", "CT", PATIENT)
    host = alone.hosts["0"]
    host.tell = lambda *_: None  # type: ignore[method-assign]  # it is lost before it tells anybody
    host.spawn = lambda work: work.close()  # type: ignore[method-assign]
    await alone.ask(study_key("t", minted_study_uid("t", "harbor", "A1")), c.Envelope(c.ReceiveOrder(order)))
    await alone.stop()
    assert not (await night.doc("1.2.3"))["ordered"]
    night.actors = Local(night.place)
    await night.actors.start()
    await night.until("1.2.3", lambda d: d["ordered"])


async def test_who_is_off_can_neither_accept_nor_decline_nor_read_nor_write(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    accept = c.Accept(offer["offer_id"])
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("off"), ADA)
    for command in (accept, c.Decline(offer["offer_id"], DeclineReason.OTHER)):
        with pytest.raises(NotEligible):
            await night.study("1.2.3", command, ADA)
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("online"), ADA)
    await night.study("1.2.3", accept, ADA)
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("off"), ADA)
    for command in (c.StartReading(), c.SaveDraft(0, {"impression": "x"})):
        with pytest.raises(NotEligible):
            await night.study("1.2.3", command, ADA)
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("busy"), ADA)
    assert (await night.study("1.2.3", c.StartReading(), ADA))["row"]["status"] == "reading"


async def test_a_repeated_next_case_is_one_case_after_the_host_was_lost(night: Night) -> None:
    for n in range(2):
        await night.images(f"1.2.{n}")
        await night.status(f"1.2.{n}", "unread")
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("busy"))
    first = await night.ask(tenant_key("t"), c.NextCase(), ADA, idem="n")
    await night.actors.stop()
    night.actors = Local(night.place)
    await night.actors.start()
    assert await night.ask(tenant_key("t"), c.NextCase(), ADA, idem="n") == first
    assert await night.admin.fetchval("SELECT count(*) FROM rr.study WHERE status = 'assigned'") == 1


async def test_a_spent_key_does_not_hold_a_case_back(night: Night) -> None:
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
    await night.ask(radiologist_key("t", "ada"), c.SetPresence("busy"), ADA, idem="k")
    with pytest.raises(BadPayload):
        await night.ask(tenant_key("t"), c.NextCase(), ADA, idem="k")
    taken = await night.ask(tenant_key("t"), c.NextCase(), ADA, idem="n")
    assert taken["row"]["study_uid"] == "1.2.3"


async def test_a_manager_takes_a_study_from_its_reader_and_she_cannot_sign_it(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    taken = await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA)
    draft = await night.study("1.2.3", c.SaveDraft(0, {"impression": "x"}), ADA)
    assert draft["version"] > taken["version"]
    with pytest.raises(StaleVersion) as caught:
        await night.ask(tenant_key("t"), c.AssignStudy("1.2.3", "bob", taken["version"], override=True), MAX)
    assert caught.value.fields["row"]["version"] == draft["version"]
    moved = await night.ask(tenant_key("t"), c.AssignStudy("1.2.3", "bob", draft["version"], override=True), MAX)
    assert moved["row"]["assigned_to"] == "bob"
    with pytest.raises(Exception, match="not assigned"):
        await night.study("1.2.3", c.Sign(SignKind.FINAL, 1), ADA)
    loads = await night.admin.fetch("SELECT user_id, load FROM rr.reader WHERE load <> 0")
    assert [tuple(r) for r in loads] == [("bob", 1)]


async def test_midnight_begins_a_new_count(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA)
    await night.study("1.2.3", c.SaveDraft(0, {"impression": "x"}), ADA)
    await night.study("1.2.3", c.Sign(SignKind.FINAL, 1), ADA)
    today = "SELECT counters->>'final_today' FROM rr.stream_head WHERE stream = 'tenant:t'"
    assert await night.admin.fetchval(today) == "1"
    await night.actors.stop()
    await night.admin.execute("UPDATE rr.timer SET due_at = now() - interval '1 h' WHERE name = 'midnight'")
    night.actors = Local(night.place)
    await night.actors.start()
    await soon(lambda: _is(night.admin.fetchval(today), "0"))
    assert await night.admin.fetchval("SELECT due_at > now() FROM rr.timer WHERE name = 'midnight'")
    assert await events(night, "tenant/t") == ["DayTurned"]


async def test_two_hosts_share_the_shards(fresh: Settings) -> None:
    async with at_work(fresh, Local(place(fresh), hosts=2)) as night:
        await night.online(ADA, BOB)
        for n in range(6):
            await night.images(f"1.2.{n}")
        for n in range(6):
            offer = await night.offered(f"1.2.{n}")
            who = {"ada": ADA, "bob": BOB}[offer["radiologist_id"]]
            await night.study(f"1.2.{n}", c.Accept(offer["offer_id"]), who)
        assert await night.admin.fetchval("SELECT count(*) FROM rr.study WHERE status = 'assigned'") == 6


async def test_one_bad_entity_stops_nobody(night: Night) -> None:
    await night.admin.execute(
        "INSERT INTO rr.study VALUES ('t', 'bad', 'harbor', 1, 1, 'ordered', false, 'STAT', NULL, 'p', '', '{}', NULL, $1)",
        json.dumps({"shape": SHAPE}),
    )
    with pytest.raises(Failed):
        await night.study("bad", c.StartReading(), Principal("x", "t", Role.RADIOLOGIST))
    await night.images("1.2.3")
    await night.status("1.2.3", "unread")
