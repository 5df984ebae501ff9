"""One round trip makes a batch durable and visible, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from uuid_utils import uuid7

from actors.domain.commands import Order, Patient
from actors.domain.identity import radiologist_key, study_key, tenant_key
from actors.domain.unit import (
    FeedItem,
    JobWrite,
    OrderWrite,
    OutboxWrite,
    ReaderDelta,
    Recorded,
    ReportWrite,
    StudyRow,
    TimerArm,
    Unit,
)
from actors.domain.words import Priority
from storage.commit import Deposed, Fenced, Lane, Late, Lost, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 1, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
async def admin(fresh: Settings) -> AsyncIterator[asyncpg.Connection[Any]]:
    conn = await asyncpg.connect(fresh.admin_dsn)
    await conn.execute("INSERT INTO rr.tenant VALUES ('t', 'T'), ('u', 'U')")
    yield conn
    await conn.close()


@pytest.fixture
async def lane(fresh: Settings, admin: asyncpg.Connection[Any]) -> AsyncIterator[Lane]:
    lane = Lane(fresh.dsn("rr_host"))
    yield lane
    await lane.close()


def unit(
    uid: str, version: int, *, tenant: str = "t", streams: tuple[str, ...] = ("tenant:t",), **changes: Any
) -> Unit:
    key = study_key(tenant, uid)
    event_id = str(uuid7())
    made = Unit(
        key,
        events=[Recorded(key.entity, version, "Bumped", {"n": version}, NOW)],
        feed=[FeedItem(s, event_id, "study_changed", {"study_uid": uid, "rev": version}) for s in streams],
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


async def test_a_batch_numbers_each_stream_and_the_tenant_without_gaps(
    lane: Lane, admin: asyncpg.Connection[Any]
) -> None:
    assert await lane.commit([unit("1", 1, streams=("tenant:t", "study:1")), unit("2", 1, tenant="u")]) == {
        "t": 2,
        "u": 1,
    }
    assert await lane.commit([unit("1", 2), unit("2", 1, streams=("tenant:t", "study:2"))]) == {"t": 5}
    rows = await admin.fetch("SELECT pos, stream, seq, data FROM rr.feed WHERE tenant_id = 't' ORDER BY pos")
    assert [(r["pos"], r["stream"], r["seq"]) for r in rows] == [
        (1, "tenant:t", 1),
        (2, "study:1", 1),
        (3, "tenant:t", 2),
        (4, "tenant:t", 3),
        (5, "study:2", 1),
    ]
    assert json.loads(rows[2]["data"]) == {"study_uid": "1", "rev": 2}


async def test_a_stale_owner_changes_nothing(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    await lane.commit([unit("1", 1)])
    with pytest.raises(Fenced):
        await lane.commit([unit("2", 1), unit("1", 1)])
    assert await admin.fetchval("SELECT count(*) FROM rr.journal") == 1
    assert await admin.fetchval("SELECT count(*) FROM rr.feed") == 1
    assert await lane.commit([unit("1", 2)]) == {"t": 2}


async def test_a_deposed_decider_grants_nothing(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    await admin.execute("INSERT INTO rr.tenant_head (tenant_id, decider) VALUES ('t', 4)")
    with pytest.raises(Deposed):
        await lane.commit([unit("1", 1, epoch=3)])
    await lane.commit([unit("1", 1, epoch=4)])
    assert await admin.fetchval("SELECT count(*) FROM rr.journal") == 1


async def test_what_is_past_its_deadline_is_not_committed(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    now = datetime.now(UTC).timestamp()
    with pytest.raises(Late):
        await lane.commit([unit("1", 1, deadline=now + 60), unit("2", 1, deadline=now - 1)])
    assert await admin.fetchval("SELECT count(*) FROM rr.journal") == 0
    await lane.commit([unit("1", 1, deadline=now + 60)])


async def test_counters_are_absolute_in_the_feed_and_zero_sums_are_silent(
    lane: Lane, admin: asyncpg.Connection[Any]
) -> None:
    await lane.commit(
        [
            unit("1", 1, counters={"tenant:t": {"open": 1, "unread": 1}, "site:s": {"open": 1}, "wall:t": {"open": 0}}),
            unit("2", 1, counters={"tenant:t": {"open": 1}}),
        ]
    )
    await lane.commit([unit("1", 2, counters={"tenant:t": {"unread": -1, "final_today": 1}})])
    rows = await admin.fetch(
        "SELECT stream, data->'counters' AS c FROM rr.feed WHERE type = 'counters_changed' ORDER BY pos"
    )
    got = [(r["stream"], {k: v for k, v in json.loads(r["c"]).items() if v}) for r in rows]
    assert sorted(got[:2]) == [("site:s", {"open": 1}), ("tenant:t", {"open": 2, "unread": 1})]
    assert got[2:] == [("tenant:t", {"open": 2, "final_today": 1})]
    assert len(json.loads(rows[0]["c"])) == 9
    head = await admin.fetchval("SELECT counters FROM rr.stream_head WHERE stream = 'tenant:t'")
    assert json.loads(head) == json.loads(rows[2]["c"])


async def test_a_reader_is_told_as_the_tenant_sees_her(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    await admin.execute("""
        INSERT INTO rr.person (user_id, email, name, password_hash) VALUES ('ada', 'ada@x', 'Ada', '');
        INSERT INTO rr.membership (tenant_id, user_id, role, capacity) VALUES ('t', 'ada', 'radiologist', 3);
        INSERT INTO rr.shift VALUES ('t', 'ada', now() - interval '1 h', '2126-01-01T00:00:00Z')""")
    key = radiologist_key("t", "ada")
    online = Unit(
        key,
        events=[Recorded(key.entity, 1, "PresenceChanged", {"state": "online"}, NOW)],
        readers=[ReaderDelta("ada", state="online", rev=1)],
    )
    await lane.commit([online])
    await lane.commit([unit("1", 1, readers=[ReaderDelta("ada", load=1)])])
    await lane.commit(
        [unit("1", 2, readers=[ReaderDelta("ada", reading="1")]), unit("2", 1, readers=[ReaderDelta("ada", load=1)])]
    )
    await lane.commit([unit("2", 2, readers=[ReaderDelta("ada", load=-1, stopped="2")])])
    await lane.commit([unit("1", 3, readers=[ReaderDelta("ada", load=-1, stopped="1")])])
    rows = await admin.fetch(
        "SELECT stream, data->'reader' AS r FROM rr.feed WHERE type = 'reader_changed' ORDER BY pos"
    )
    readers = [json.loads(r["r"]) for r in rows]
    assert {r["stream"] for r in rows} == {"tenant:t"}
    assert [(r["presence"], r["load"], r["study_uid"]) for r in readers] == [
        ("online", 0, None),
        ("online", 1, None),
        ("reading", 2, "1"),
        ("reading", 1, "1"),
        ("online", 0, None),
    ]
    assert {k: readers[0][k] for k in ("radiologist_id", "name", "capacity", "shift_ends_at")} == {
        "radiologist_id": "ada",
        "name": "Ada",
        "capacity": 3,
        "shift_ends_at": "2126-01-01T00:00:00.000Z",
    }


async def test_capacity_is_the_policys_unless_the_membership_says_otherwise(admin: asyncpg.Connection[Any]) -> None:
    capacity = "SELECT rr.reader_row('t', 'bob')->'capacity'"
    assert await admin.fetchval(capacity) == "5"
    await admin.execute("""INSERT INTO rr.policy VALUES ('t', 1, '{"capacity": 7}'), ('t', 2, '{"capacity": 8}')""")
    assert await admin.fetchval(capacity) == "8"


async def test_every_kind_of_row_is_written(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    patient = Patient("p1", "X^Y", "77", "hosp", "1970-01-01", "F")
    order = Order("s", "A1", Priority.STAT, "CT head", "CT", patient)
    row = StudyRow(
        "1",
        "s",
        1,
        1,
        "unread",
        open=True,
        priority="STAT",
        reader=None,
        patient_id="p1",
        accession_number="A1",
        flags=("no_order",),
        referring=None,
        doc={"a": "b\x00c\\u0000"},
    )
    inbox = await admin.fetchval(
        "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES ('t','1',1,'{}') RETURNING inbox_id"
    )
    await lane.commit(
        [
            unit(
                "1",
                1,
                studies=[row],
                patients=[patient],
                orders=[OrderWrite(order, "1")],
                inbox_ids=(inbox,),
                arm=[TimerArm("offer", 1, NOW), TimerArm("sla_warn", 1, NOW)],
                jobs=[JobWrite("j1", "1", 4, 0)],
                explanation=("1", "o1", {"why": "free"}),
                answer=("ada", "i1", b"\x01", {"version": 1}),
                outbox=[OutboxWrite("x1", "1", "s", "report_final", "r1", 1)],
                reports=[ReportWrite("r1", "1", "s", "draft", 1, {"findings": "none"}, "ada", NOW)],
            )
        ]
    )
    await lane.commit(
        [
            unit(
                "1",
                2,
                disarm=["offer"],
                arm=[TimerArm("sla_warn", 2, NOW + timedelta(minutes=1))],
                reports=[ReportWrite("r1", "1", "s", "final", 2, None, "ada", NOW, signed=True)],
            )
        ]
    )
    await lane.commit(
        [unit("1", 3, reports=[ReportWrite("r1", "1", "s", "final", 3, None, "bob", NOW, addendum="late")])]
    )
    one = admin.fetchrow
    assert (await one("SELECT doc FROM rr.study"))["doc"] == '{"a": "bc\\\\u0000"}'  # type: ignore[index]
    assert (await one("SELECT body->>'priority', patient_id FROM rr.orders")) == ("STAT", "p1")
    assert await admin.fetch("SELECT name, version, shard FROM rr.timer") == [
        ("sla_warn", 2, study_key("t", "1").shard)
    ]
    report = await one("SELECT status, version, sections, signed_by, addenda FROM rr.report")
    assert report is not None
    assert tuple(report)[:4] == ("final", 3, '{"findings": "none"}', "ada")
    assert json.loads(report["addenda"]) == [{"text": "late", "by": "bob", "at": "2026-01-01T03:00:00.000Z"}]
    assert [r["status"] for r in await admin.fetch("SELECT status FROM rr.report_version ORDER BY version")] == [
        "draft",
        "final",
        "final",
    ]
    counts = {
        t: await admin.fetchval(f"SELECT count(*) FROM rr.{t}")
        for t in ("inbox", "patient", "inference_job", "explanation", "answer", "outbox")
    }
    assert counts == {"inbox": 0, "patient": 1, "inference_job": 1, "explanation": 1, "answer": 1, "outbox": 1}


async def test_a_repeated_command_is_refused_whole(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    await lane.commit([unit("1", 1, answer=("ada", "i1", b"\x01", {}))])
    with pytest.raises(Fenced):
        await lane.commit([unit("1", 2, answer=("ada", "i1", b"\x01", {}))])
    assert await admin.fetchval("SELECT count(*) FROM rr.journal") == 1


async def test_what_the_database_refuses_did_not_happen(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    with pytest.raises(Refused):
        await lane.commit([unit("1", 1, jobs=[JobWrite("j", None, 1, 0)])])  # type: ignore[arg-type]
    assert await admin.fetchval("SELECT count(*) FROM rr.journal") == 0


async def test_a_cut_connection_is_an_unknown_outcome_and_the_next_batch_connects_again(
    lane: Lane, admin: asyncpg.Connection[Any]
) -> None:
    await lane.commit([unit("1", 1)])
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rr_host'")
    await asyncio.sleep(0.05)
    try:
        await lane.commit([unit("1", 2)])
    except Lost:
        await lane.commit([unit("1", 2)])
    assert await admin.fetchval("SELECT max(version) FROM rr.journal") == 2


async def test_the_audit_chain_holds_a_digest_an_event(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    await lane.commit([unit("1", 1), unit("2", 1)])
    await lane.commit([unit("1", 2)])
    link = b""
    for pos, row in enumerate(await admin.fetch("SELECT pos, body, hash FROM rr.audit ORDER BY pos"), start=1):
        link = hashlib.sha256(link + row["body"].encode()).digest()
        assert (row["pos"], row["hash"]) == (pos, link)
    assert await admin.fetchval("SELECT audit FROM rr.tenant_head") == link
    digests = {d for row in await admin.fetch("SELECT body FROM rr.audit") for _, _, d in json.loads(row["body"])}
    again = await admin.fetch("SELECT rr.event_hash(entity, version, type, body, by, at) AS h FROM rr.journal")
    assert {r["h"] for r in again} == digests


async def test_two_hosts_leave_no_gap_and_no_deadlock(fresh: Settings, admin: asyncpg.Connection[Any]) -> None:
    lanes = [Lane(fresh.dsn("rr_host")) for _ in range(2)]

    async def host(i: int) -> None:
        for version in range(1, 16):
            await lanes[i].commit(
                [
                    unit(
                        f"{i}.{k}",
                        version,
                        tenant="tu"[k % 2],
                        streams=(f"tenant:{'tu'[k % 2]}", "wall", f"user:{k % 3}"),
                        counters={f"tenant:{'tu'[k % 2]}": {"open": 1}},
                        readers=[ReaderDelta(f"r{k % 3}", load=1)],
                    )
                    for k in range(8)
                ]
            )

    await asyncio.gather(host(0), host(1))
    for lane in lanes:
        await lane.close()
    holes = """SELECT count(*) FROM (SELECT 1 FROM rr.feed GROUP BY tenant_id HAVING max(pos) <> count(*) OR max(pos) <>
        (SELECT pos FROM rr.tenant_head h WHERE h.tenant_id = feed.tenant_id)) x"""
    stream_holes = (
        "SELECT count(*) FROM (SELECT 1 FROM rr.feed GROUP BY tenant_id, stream HAVING max(seq) <> count(*)) x"
    )
    disorder = """SELECT count(*) FROM (SELECT pos, lag(pos) OVER (PARTITION BY tenant_id, stream ORDER BY seq) AS before
        FROM rr.feed) x WHERE before > pos"""
    assert [await admin.fetchval(q) for q in (holes, stream_holes, disorder)] == [0, 0, 0]
    assert await admin.fetchval("SELECT sum(load) FROM rr.reader") == 240
    assert await admin.fetchval("SELECT sum((counters->>'open')::int) FROM rr.stream_head") == 240


async def test_a_unit_of_the_tenant_itself_needs_no_study(lane: Lane, admin: asyncpg.Connection[Any]) -> None:
    key = tenant_key("t")
    await lane.commit([Unit(key, events=[Recorded(key.entity, 1, "DayTurned", {}, NOW)])])
    await lane.commit([Unit(key, answer=("", "only-an-answer", b"", {}))])
    assert await admin.fetchval("SELECT entity FROM rr.journal") == "tenant/t"
