"""Signed reports reach every receiver: signed, once each in order, whatever is down meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import redis.asyncio
from aiohttp import web

from gateway.delivery import runner
from gateway.delivery.runner import Delivery, pause_s
from storage import outbox
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

_AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
_TYPES = {"prelim": "report_prelim", "final": "report_final", "addendum": "report_addendum"}


class Hospital:
    """A receiver of webhooks whose answers are set by the test."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []  # of the next requests; then 200
        self.hang, self._over = False, asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        self.url = ""

    async def start(self) -> Hospital:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/in"
        return self

    async def stop(self) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        text = await request.read()
        self.got.append((dict(request.headers), text))
        if self.hang:
            await self._over.wait()
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 307 else {})

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(text) for _, text in self.got]


class Room:
    """A database with reports, and gateways that deliver them."""

    def __init__(self, settings: Settings, conn: asyncpg.Connection[Any]) -> None:
        self.settings, self.conn, self._count = settings, conn, 0
        self._gateways: list[tuple[Delivery, Database, redis.asyncio.Redis]] = []
        self.hospitals: list[Hospital] = []

    async def hospital(self, name: str = "h", tenant: str = "north", site: str | None = None) -> Hospital:
        hospital = await Hospital().start()
        self.hospitals.append(hospital)
        await self.webhook(name, hospital.url, tenant, site)
        return hospital

    async def webhook(self, name: str, url: str, tenant: str = "north", site: str | None = None) -> None:
        sql = "INSERT INTO rr.webhook (tenant_id, webhook_id, site_id, url, secret) VALUES ($1, $2, $3, $4, 's3cret')"
        await self.conn.execute(sql, tenant, name, site, url)

    async def sign(self, study: str, kind: str = "final", tenant: str = "north", site: str = "main") -> int:
        """Sign as `commit_batch` does, and return the version."""
        self._count += 1
        at, status = _AT + timedelta(minutes=self._count), "prelim" if kind == "prelim" else "final"
        addenda = (
            [{"text": "More.", "by": "rita", "at": at.strftime("%Y-%m-%dT%H:%M:%S.678Z")}] if kind == "addendum" else []
        )
        async with self.conn.transaction():
            version = await self.conn.fetchval(
                """INSERT INTO rr.report AS r VALUES ($1, 'r' || $2, $2, $3, $4, 2, $5, 'rita', $6, $7)
                   ON CONFLICT (tenant_id, report_id) DO UPDATE SET status = $4, version = r.version + 1,
                     sections = $5, addenda = r.addenda || $7 RETURNING version""",
                tenant, study, site, status, json.dumps({"impression": f"{kind} {self._count}"}), at, json.dumps(addenda),
            )  # fmt: skip
            await self.conn.execute(
                """INSERT INTO rr.report_version SELECT tenant_id, report_id, version, site_id, status, sections, 'rita', $3
                     FROM rr.report WHERE tenant_id = $1 AND study_uid = $2""",
                tenant, study, at,
            )  # fmt: skip
            await self.conn.execute(
                "INSERT INTO rr.outbox (tenant_id, outbox_id, study_uid, site_id, type, report_id, version)"
                " VALUES ($1, $2, $3, $4, $5, 'r' || $3, $6)",
                tenant, f"o{self._count}", study, site, _TYPES[kind], version,
            )  # fmt: skip
        return int(version)

    async def gateway(self, sender: Any = None) -> Delivery:
        db = await Database(self.settings.dsn("rr_delivery")).open()
        valkey = redis.asyncio.Redis.from_url(self.settings.valkey_url, socket_timeout=None)
        delivery = Delivery(SimpleNamespace(dbs={"rr_delivery": db}, valkey=valkey), sender)  # type: ignore[arg-type]
        self._gateways.append((delivery, db, valkey))
        await delivery.start()
        return delivery

    async def close(self) -> None:
        for delivery, db, valkey in self._gateways:
            await delivery.stop()
            await db.close()
            await valkey.aclose()
        for hospital in self.hospitals:
            await hospital.stop()

    async def left(self) -> int:
        count: int = await self.conn.fetchval(
            "SELECT (SELECT count(*) FROM rr.delivery WHERE delivered_at IS NULL) +"
            " (SELECT count(*) FROM rr.outbox WHERE fanned_at IS NULL)"
        )
        return count

    async def all_delivered(self, within_s: float = 15) -> None:
        async with asyncio.timeout(within_s):
            while await self.left():
                await asyncio.sleep(0.05)

    async def errors(self) -> list[tuple[str, int]]:
        rows = await self.conn.fetch("SELECT last_error, attempts FROM rr.delivery ORDER BY seq")
        return [tuple(row) for row in rows]


@pytest.fixture
async def room(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setattr(runner, "pause_s", lambda attempts: 0.05 * attempts)
    conn = await asyncpg.connect(fresh.admin_dsn)
    await conn.execute("INSERT INTO rr.tenant VALUES ('north', 'North'), ('south', 'South')")
    made = Room(fresh, conn)
    yield made
    await made.close()
    await conn.close()


async def test_a_report_arrives_signed(room: Room) -> None:
    hospital = await room.hospital()
    await room.gateway()
    await room.sign("1.2")
    await room.all_delivered()
    [(headers, text)] = hospital.got
    message = json.loads(text)
    want = hmac.new(b"s3cret", text, hashlib.sha256).hexdigest()
    assert headers["X-ReadingRoom-Signature"] == f"sha256={want}"
    assert headers["X-ReadingRoom-Id"] == message["id"] == "o1"
    assert headers["Content-Type"] == "application/json"
    assert set(message) == {"id", "type", "at", "report"}
    assert message["type"] == "report_final"
    assert message["report"] == {
        "report_id": "r1.2", "study_uid": "1.2", "status": "final", "version": 2,
        "sections": {"impression": "final 1"}, "signed_by": "rita", "signed_at": "2026-01-02T03:05:05.678Z", "addenda": [],
        "signatures": [{"by": "rita", "kind": "final", "at": "2026-01-02T03:05:05.678Z"}],
    }  # fmt: skip


@pytest.mark.parametrize("archived", [False, True])
async def test_a_report_names_all_who_had_signed_by_then(room: Room, *, archived: bool) -> None:
    await room.sign("1.2", "prelim")
    await room.sign("1.2", "final")
    await room.conn.execute(
        "UPDATE rr.report_version SET by = 'otto' WHERE version = 2;"  # the resident, whose text rita co-signed
        "UPDATE rr.report SET signed_at = (SELECT max(at) FROM rr.report_version)"
    )
    state = {
        "second": {"kind": "attending", "readings": [{"report_id": "r1.2", "version": 2, "radiologist_id": "otto"}]}
    }
    await room.conn.execute(
        "INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, patient_id,"
        " accession_number, flags, doc) VALUES ('north', '1.2', 'main', 1, 1, 'final', false, 'STAT', 'p', 'A', '{}', $1)",
        json.dumps(state),
    )
    if archived:
        await room.conn.execute(
            "INSERT INTO rr.study_archive (tenant_id, study_uid, site_id, doc) SELECT tenant_id, study_uid, site_id, doc"
            " FROM rr.study; UPDATE rr.study SET doc = '{}', archived_at = now()"
        )
    hospital = await room.hospital()
    await room.gateway()
    await room.sign("1.2", "addendum")
    await room.all_delivered()
    first, attending = "2026-01-02T03:05:05.678Z", "2026-01-02T03:06:05.678Z"
    resident = {"by": "otto", "kind": "prelim", "at": first}
    assert [(m["type"], m["report"]["signatures"]) for m in hospital.messages] == [
        ("report_prelim", [resident]),
        ("report_final", [resident, {"by": "rita", "kind": "final", "at": attending}]),
        ("report_addendum", [resident, {"by": "rita", "kind": "final", "at": attending}]),
    ]


async def test_each_receiver_gets_what_is_its_own(room: Room) -> None:
    everywhere, harbor = await room.hospital("all"), await room.hospital("harbor", site="harbor")
    south = await room.hospital("all", tenant="south")
    await room.gateway()
    await room.sign("1.1", site="main")
    await room.sign("1.2", site="harbor")
    await room.sign("1.3", tenant="south")
    await room.all_delivered()
    studies = [sorted(m["report"]["study_uid"] for m in h.messages) for h in (everywhere, harbor, south)]
    assert studies == [["1.1", "1.2"], ["1.2"], ["1.3"]]


async def test_order_is_kept_for_a_study_while_others_go_on(room: Room) -> None:
    hospital = await room.hospital()
    hospital.answers = [500, 503, 404]
    await room.gateway()
    await room.sign("1.1", "prelim")
    await room.sign("1.1", "final")
    await room.sign("1.1", "addendum")
    await room.all_delivered()
    assert [m["type"] for m in hospital.messages] == ["report_prelim"] * 4 + ["report_final", "report_addendum"]
    reports = [m["report"] for m in hospital.messages[3:]]
    assert [r["status"] for r in reports] == ["prelim", "final", "final"]
    assert [r["sections"]["impression"] for r in reports] == ["prelim 1", "final 2", "addendum 3"]
    assert [len(r["addenda"]) for r in reports] == [0, 0, 1]  # as it stood then, however late it is sent
    assert await room.errors() == [(None, 4), (None, 1), (None, 1)]


async def test_a_dead_receiver_holds_up_nobody_else(room: Room) -> None:
    dead, alive = await room.hospital("dead"), await room.hospital("alive")
    dead.hang = True
    await room.gateway()
    for n in range(30):
        await room.sign(f"1.{n}")
    async with asyncio.timeout(8):
        while len(alive.got) < 30:
            await asyncio.sleep(0.05)
    assert len(dead.got) <= 8


async def test_errors_say_nothing_of_the_patient(room: Room) -> None:
    hospital = await room.hospital()
    hospital.answers = [400] * 200
    await room.webhook("gone", "http://127.0.0.1:9/in")
    await room.webhook("nonsense", "no url")
    await room.gateway()
    await room.sign("1.1")
    async with asyncio.timeout(8):
        while any(error is None for error, _ in await room.errors()) or not await room.errors():
            await asyncio.sleep(0.05)
    told = {error for error, _ in await room.errors()}
    assert "HTTP 400" in told
    assert all(error.replace(" ", "").isalnum() for error in told)


async def test_redirects_are_not_followed(room: Room) -> None:
    hospital = await room.hospital()
    hospital.answers = [307]
    await room.gateway()
    await room.sign("1.1")
    await room.all_delivered()
    assert len(hospital.got) == 2
    assert (await room.errors())[0][1] == 2


async def test_a_killed_gateway_loses_nothing_and_others_take_over(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LEASE_S", 1)

    class Dying:
        async def open(self) -> None: ...
        async def close(self) -> None: ...
        async def send(self, message: Any) -> str | None:
            await asyncio.sleep(60)
            return None

    hospital = await room.hospital()
    for n in range(3):
        await room.sign(f"1.{n}")
    dying = await room.gateway(Dying())
    async with asyncio.timeout(8):
        while await room.conn.fetchval("SELECT count(*) FROM rr.delivery WHERE attempts = 1") < 3:
            await asyncio.sleep(0.05)
    await dying.stop()
    assert await room.left() == 3
    await room.gateway()
    await room.all_delivered()
    assert sorted(m["report"]["study_uid"] for m in hospital.messages) == ["1.0", "1.1", "1.2"]


async def test_several_gateways_share_and_repeat_nothing(room: Room) -> None:
    hospital = await room.hospital()
    for _ in range(3):
        await room.gateway()
    for n in range(40):
        await room.sign(f"1.{n % 10}")
    await room.all_delivered()
    ids = [m["id"] for m in hospital.messages]
    assert len(ids) == len(set(ids)) == 40
    for study in range(10):
        versions = [m["report"]["version"] for m in hospital.messages if m["report"]["study_uid"] == f"1.{study}"]
        assert versions == sorted(versions)


async def test_what_was_signed_while_nobody_delivered_is_delivered(room: Room) -> None:
    hospital = await room.hospital()
    await room.sign("1.1")
    await room.conn.execute("UPDATE rr.outbox SET at = now() - interval '9 days'")
    await room.gateway()
    await room.all_delivered()
    assert len(hospital.got) == 1


async def test_a_new_receiver_starts_with_the_next_report(room: Room) -> None:
    await room.hospital()
    await room.gateway()
    await room.sign("1.1")
    await room.all_delivered()
    late = await room.hospital("late")
    await room.sign("1.2")
    await room.all_delivered()
    assert [m["report"]["study_uid"] for m in late.messages] == ["1.2"]


async def test_a_removed_receiver_is_forgotten(room: Room) -> None:
    await room.hospital("kept")
    await room.webhook("gone", "http://127.0.0.1:9/in")
    await room.gateway()
    for n in range(5):
        await room.sign(f"1.{n}")
    async with asyncio.timeout(8):
        while not [error for error, _ in await room.errors() if error]:
            await asyncio.sleep(0.05)
    await room.conn.execute("DELETE FROM rr.webhook WHERE webhook_id = 'gone'")
    await room.sign("1.9")
    async with asyncio.timeout(8):
        while len(room.hospitals[0].got) < 6:
            await asyncio.sleep(0.05)


async def test_the_nudge_is_faster_than_the_sweep(room: Room) -> None:
    hospital = await room.hospital()
    await room.gateway()
    await asyncio.sleep(0.3)
    loop, nudge = asyncio.get_running_loop(), redis.asyncio.Redis.from_url(room.settings.valkey_url)
    took = []
    for n in range(4):
        await room.sign(f"1.{n}")
        began = loop.time()
        await nudge.publish("outbox", "1")
        while len(hospital.got) <= n:
            await asyncio.sleep(0.002)
        took.append(loop.time() - began)
    await nudge.aclose()
    assert sorted(took)[1] < 0.5


def test_pauses_grow_to_five_minutes() -> None:
    assert 0.7 <= pause_s(1) <= 1.3
    assert 5 <= pause_s(4) <= 11
    assert all(200 < pause_s(n) <= 300 for n in (10, 50, 10_000))


@pytest.mark.parametrize("sql", ["FAN_OUT", "CLAIM", "REPORT", "DONE", "AGAIN"])
async def test_every_statement_prepares_under_its_role(fresh: Settings, sql: str) -> None:
    db = await Database(fresh.dsn("rr_delivery")).open()
    async with db.scope() as conn:
        await conn.prepare(getattr(outbox, sql))
    await db.close()
