"""The inference queue: one job, one worker; a dead worker's job goes to another; nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from actors.domain.jobs import MOST_ATTEMPTS
from storage import jobs
from storage.jobs import JobStore, pause_s
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

_ADD = "INSERT INTO rr.inference_job (tenant_id, job_id, study_uid, images, priority) VALUES ($1, $2, $3, $4, $5)"
_STATE = "SELECT status, attempts, error, worker, result::text FROM rr.inference_job WHERE job_id = $1"
_DUE_NOW = "UPDATE rr.inference_job SET not_before = now(), lease_until = least(lease_until, now())"


@pytest.fixture
async def admin(fresh: Settings) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    conn = await asyncpg.connect(fresh.admin_dsn)
    yield conn
    await conn.close()


@pytest.fixture
async def db(fresh: Settings) -> AsyncIterator[Database]:
    db = await Database(fresh.dsn("rr_infer"), max_size=4).open()
    yield db
    await db.close()


async def _queue(admin: asyncpg.Connection[asyncpg.Record], *priorities: int, tenant: str = "t") -> None:
    for n, priority in enumerate(priorities):
        await admin.execute(_ADD, tenant, f"{tenant}-job-{n}", f"1.2.{n}", 28, priority)


async def _state(admin: asyncpg.Connection[asyncpg.Record], job_id: str = "t-job-0") -> asyncpg.Record:
    row = await admin.fetchrow(_STATE, job_id)
    assert row is not None
    return row


async def test_the_most_urgent_comes_first_and_then_the_oldest(
    db: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await _queue(admin, 2, 0, 1, 0)
    store = JobStore(db, "inference/0")
    claimed = [await store.claim() for _ in range(5)]
    assert [job and job.job_id for job in claimed] == ["t-job-1", "t-job-3", "t-job-2", "t-job-0", None]


async def test_two_claimers_never_get_the_same_job(db: Database, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    await _queue(admin, *([1] * 40))

    async def drain(name: str) -> list[str]:
        store, got = JobStore(db, name), []
        while (job := await store.claim()) is not None:
            got.append(job.job_id)
        return got

    first, second = await asyncio.gather(drain("inference/0"), drain("inference/1"))
    assert len(first) + len(second) == 40
    assert not set(first) & set(second)
    assert first
    assert second


async def test_a_job_whose_lease_ended_is_another_workers_and_the_first_can_no_longer_settle_it(
    db: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await _queue(admin, 0)
    slow, other = JobStore(db, "inference/0", lease_s=0.1), JobStore(db, "inference/1")
    job = await slow.claim()
    assert job is not None
    assert await other.claim() is None
    await asyncio.sleep(0.15)
    again = await other.claim()
    assert again is not None
    assert (again.job_id, again.attempts) == (job.job_id, 2)
    assert not await slow.extend(job)
    assert not await slow.keep(job, {"late": 1})
    assert not await slow.finish(job)
    assert not await slow.fail(job, "late")
    assert await other.finish(again)
    assert (await _state(admin))["status"] == "done"


async def test_a_lease_that_is_extended_keeps_the_job(db: Database, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    await _queue(admin, 0)
    store, other = JobStore(db, "inference/0", lease_s=0.3), JobStore(db, "inference/1")
    job = await store.claim()
    assert job is not None
    for _ in range(3):
        await asyncio.sleep(0.2)
        assert await store.extend(job)
        assert await other.claim() is None


async def test_a_worker_that_starts_again_frees_what_it_held_and_no_more(
    db: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await _queue(admin, 0, 1)
    assert await JobStore(db, "inference/0").claim()
    theirs = await JobStore(db, "inference/1").claim()
    assert theirs is not None
    await JobStore(db, "inference/0").release()
    job = await JobStore(db, "inference/2").claim()
    assert job is not None
    assert (job.job_id, job.attempts) == ("t-job-0", 2)
    assert (await _state(admin, "t-job-1"))["worker"] == "inference/1"


async def test_a_failure_waits_longer_each_time_and_a_postponement_counts_no_attempt(
    db: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    assert [pause_s(n) for n in (1, 2, 3, 4)] == [1, 4, 16, 60]
    await _queue(admin, 0)
    store = JobStore(db, "inference/0")
    job = await store.claim()
    assert job is not None
    assert await store.fail(job, "Boom")
    assert await store.claim() is None  # it waits
    assert tuple(await _state(admin))[:3] == ("queued", 1, "Boom")
    await admin.execute(_DUE_NOW)
    job = await store.claim()
    assert job is not None
    assert await store.postpone(job, "retry", 0.0)
    assert (await _state(admin))["attempts"] == 1


async def test_a_parked_job_is_not_claimed_and_is_counted(
    db: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await _queue(admin, 0, 0, 0)
    store = JobStore(db, "inference/0")
    job = await store.claim()
    assert job is not None
    assert await store.park(job, "gave up")
    assert await store.claim() is not None
    async with db.scope() as conn:
        assert await jobs.counts(conn) == {"queued": 1, "running": 1, "parked": 1}
    assert MOST_ATTEMPTS == 5


async def test_a_kept_result_comes_back_with_the_job(db: Database, admin: asyncpg.Connection[asyncpg.Record]) -> None:
    await _queue(admin, 0)
    job = await JobStore(db, "inference/0").claim()
    assert job is not None
    assert job.result is None
    assert await JobStore(db, "inference/0").keep(job, {"headline": "x", "measures": {"ml": 1.5}})
    await JobStore(db, "inference/0").release()
    job = await JobStore(db, "inference/1").claim()
    assert job is not None
    assert job.result == {"headline": "x", "measures": {"ml": 1.5}}


async def test_images_and_orders_are_read_within_the_jobs_tenant_only(
    db: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    image = """INSERT INTO rr.instance (tenant_id, study_uid, series_uid, sop_uid, site_id, sop_class, transfer_syntax,
               path, size, sha256, header) VALUES ($1, '1.2.0', '1', '1', 's', 'c', 'x', $1, 1, '', '{"a": 1}')"""
    order = """INSERT INTO rr.orders (tenant_id, site_id, accession_number, study_uid, patient_id, body)
               VALUES ($1, 's', 'a', '1.2.0', 'p', jsonb_build_object('procedure', 'CT head ' || $1::text))"""
    for tenant in ("t", "u"):
        await _queue(admin, 0, tenant=tenant)
        await admin.execute(image, tenant)
        await admin.execute(order, tenant)
    store = JobStore(db, "inference/0")
    for _ in range(2):
        job = await store.claim()
        assert job is not None
        (stored,) = await store.images(job)
        assert (stored.path, stored.header) == (job.tenant_id, {"a": 1})
        assert await store.ordered(job) == f"CT head {job.tenant_id}"
    async with db.scope(["t"]) as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.fetch("SELECT patient_id FROM rr.orders")


@pytest.mark.parametrize(
    "name", ["CLAIM", "EXTEND", "KEEP", "FINISH", "BACK", "PARK", "RELEASE", "COUNT", "IMAGES", "ORDERED"]
)
async def test_every_statement_prepares(db: Database, name: str) -> None:
    async with db.scope(["t"]) as conn:
        await conn.prepare(getattr(jobs, name))
