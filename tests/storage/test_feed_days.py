"""The feed stands in one partition a day: made ahead, guarded like the whole, dropped whole after a week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest

from storage import feed, retention
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

_DAYS = (
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'rr.feed'::regclass"
)


@pytest.fixture
async def admin(fresh: Settings) -> AsyncIterator[asyncpg.Connection[Any]]:
    conn = await asyncpg.connect(fresh.admin_dsn)
    yield conn
    await conn.close()


@pytest.fixture
async def host(fresh: Settings) -> AsyncIterator[Database]:
    db = await Database(fresh.dsn("rr_host")).open()
    yield db
    await db.close()


def name(days: int) -> str:
    return f"feed_{datetime.now(UTC) + timedelta(days=days):%Y%m%d}"


async def partitions(admin: asyncpg.Connection[Any]) -> set[str]:
    return {r["relname"] for r in await admin.fetch(_DAYS)}


async def write(admin: asyncpg.Connection[Any], tenant: str, pos: int, days: float) -> str:
    """Write an event of some days ago and return the partition it stands in."""
    row = (
        tenant,
        pos,
        f"tenant:{tenant}",
        pos,
        uuid4(),
        "study_changed",
        "{}",
        datetime.now(UTC) + timedelta(days=days),
    )
    await admin.execute("INSERT INTO rr.feed VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", *row)
    found: str = await admin.fetchval(
        "SELECT tableoid::regclass::text FROM rr.feed WHERE tenant_id = $1 AND pos = $2", tenant, pos
    )
    return found.removeprefix("rr.")


async def keep(host: Database) -> list[str]:
    async with host.scope() as conn:
        return await retention.days(conn)


async def test_days_are_made_ahead_once(admin: asyncpg.Connection[Any], host: Database) -> None:
    await admin.execute(f"DROP TABLE rr.{name(3)}")
    assert await keep(host) == [name(3)]
    assert await keep(host) == []
    assert {name(0), name(1), name(2), name(3), "feed_rest"} <= await partitions(admin)
    assert await write(admin, "t", 1, 0) == name(0)


async def test_a_day_is_dropped_whole_once_all_of_it_is_a_week_old(
    admin: asyncpg.Connection[Any], host: Database
) -> None:
    await admin.execute("SELECT rr.keep_feed(current_date - 9)")
    await admin.execute("SELECT rr.keep_feed(current_date - 9)")
    assert name(-9) not in await partitions(admin)
    assert name(-7) in await partitions(admin)  # a part of it is younger than seven days
    await admin.execute(  # as if nobody had looked for a while
        f"CREATE TABLE rr.{name(-8)} PARTITION OF rr.feed FOR VALUES FROM ('{day(-8)}') TO ('{day(-7)}')"
    )
    assert await write(admin, "t", 1, -8) == name(-8)
    await write(admin, "t", 2, -6.9)
    assert await keep(host) == [name(-8)]
    assert [r["pos"] for r in await admin.fetch("SELECT pos FROM rr.feed")] == [2]


def day(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}T00:00:00Z"


async def test_what_finds_no_day_is_kept_too_and_as_long(admin: asyncpg.Connection[Any], host: Database) -> None:
    await admin.execute(f"DROP TABLE rr.{name(2)}")
    assert await write(admin, "t", 1, 2) == "feed_rest"
    assert await write(admin, "t", 2, -20) == "feed_rest"
    assert await keep(host) == []  # the day that has begun there stays there
    assert [r["pos"] for r in await admin.fetch("SELECT pos FROM rr.feed")] == [1]


async def test_the_feed_is_read_over_days_in_its_order(admin: asyncpg.Connection[Any], host: Database) -> None:
    for pos in range(1, 8):
        await write(admin, "t", pos, pos - 7)
    async with host.scope(["t"]) as conn:
        assert [e.pos for e in await feed.after(conn, "t", 2)] == [3, 4, 5, 6, 7]
        assert [e.seq for e in await feed.replay(conn, "t", "tenant:t", 4)] == [5, 6, 7]
        assert (await feed.extents(conn, "t", ["tenant:t"]))["tenant:t"].oldest == 1


@pytest.mark.parametrize("role", ["rr_app", "rr_host"])
async def test_row_security_holds_on_every_day(admin: asyncpg.Connection[Any], fresh: Settings, role: str) -> None:
    for tenant in ("t", "u"):
        for pos, days in enumerate((0, -3, -30)):
            await write(admin, tenant, pos + 1, days)
    db = await Database(fresh.dsn(role)).open()
    async with db.scope(["t"]) as conn:
        assert {r["tenant_id"] for r in await conn.fetch("SELECT tenant_id FROM rr.feed")} == {"t"}
    for partition in await partitions(admin):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.scope(["t"]) as conn:
                await conn.fetch(f"SELECT * FROM rr.{partition}")
    await db.close()


async def test_only_hosts_may_keep_days(fresh: Settings) -> None:
    db = await Database(fresh.dsn("rr_app")).open()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.scope(["t"]) as conn:
            await retention.days(conn)
    await db.close()


async def test_answers_a_day_and_deliveries_a_month_are_kept(admin: asyncpg.Connection[Any], host: Database) -> None:
    await admin.execute("""
        INSERT INTO rr.answer VALUES ('t', 'u', 'old', '', '{}', now() - interval '25 hours'), ('t', 'u', 'new', '', '{}', now());
        INSERT INTO rr.outbox (tenant_id, outbox_id, study_uid, site_id, type, report_id, version, fanned_at) VALUES
          ('t', 'old', '1', 's', 'report_final', 'r', 1, now() - interval '31 days'),
          ('t', 'owed', '1', 's', 'report_final', 'r', 1, now() - interval '31 days'),
          ('t', 'new', '1', 's', 'report_final', 'r', 1, now() - interval '29 days'),
          ('t', 'fresh', '1', 's', 'report_final', 'r', 1, NULL);
        INSERT INTO rr.delivery (tenant_id, outbox_id, webhook_id, study_uid, seq, delivered_at) VALUES
          ('t', 'old', 'w', '1', 1, now() - interval '31 days'), ('t', 'owed', 'w', '1', 2, NULL),
          ('t', 'new', 'w', '1', 3, now() - interval '29 days');
    """)
    async with host.scope(["t"]) as conn:
        await retention.expire(conn, "t")
    assert [r["idem"] for r in await admin.fetch("SELECT idem FROM rr.answer")] == ["new"]
    left = [r["outbox_id"] for r in await admin.fetch("SELECT outbox_id FROM rr.outbox ORDER BY 1")]
    assert left == ["fresh", "new", "owed"]
    assert [r["outbox_id"] for r in await admin.fetch("SELECT outbox_id FROM rr.delivery ORDER BY 1")] == [
        "new",
        "owed",
    ]
