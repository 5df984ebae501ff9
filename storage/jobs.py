"""The inference queue: claimed by lease, most urgent first; a dead worker's job goes to another (role rr_infer)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.jobs import Job, StoredImage
from storage.alike import OTHER, WHOLE
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.pool import Connection, Database

LEASE_S = 60.0

# Queued and due, or running under a lease that ended: whoever had it is dead or lost.
CLAIM = """
WITH due AS (
  SELECT tenant_id, job_id FROM rr.inference_job
   WHERE (status = 'queued' AND not_before <= clock_timestamp())
      OR (status = 'running' AND lease_until <= clock_timestamp())
   ORDER BY priority, at
   LIMIT 1
   FOR UPDATE SKIP LOCKED
)
UPDATE rr.inference_job j
   SET status = 'running', attempts = j.attempts + 1, worker = $1,
       lease_until = clock_timestamp() + make_interval(secs => $2)
  FROM due
 WHERE j.tenant_id = due.tenant_id AND j.job_id = due.job_id
RETURNING j.tenant_id, j.job_id, j.study_uid, j.attempts, j.result::text
"""
_MINE = "tenant_id = $1 AND job_id = $2 AND status = 'running' AND worker = $3"
EXTEND = f"""
UPDATE rr.inference_job SET lease_until = clock_timestamp() + make_interval(secs => $4) WHERE {_MINE}
"""  # noqa: S608 - constants only
KEEP = f"UPDATE rr.inference_job SET result = $4::jsonb WHERE {_MINE}"  # noqa: S608
FINISH = f"UPDATE rr.inference_job SET status = 'done', lease_until = NULL, error = NULL WHERE {_MINE}"  # noqa: S608
BACK = f"""
UPDATE rr.inference_job
   SET status = 'queued', lease_until = NULL, error = $4, attempts = attempts - $6,
       not_before = clock_timestamp() + make_interval(secs => $5)
 WHERE {_MINE}
"""  # noqa: S608
PARK = f"UPDATE rr.inference_job SET status = 'parked', lease_until = NULL, error = $4 WHERE {_MINE}"  # noqa: S608
RELEASE = """
UPDATE rr.inference_job SET status = 'queued', lease_until = NULL, not_before = clock_timestamp()
 WHERE status = 'running' AND worker = $1
"""
COUNT = """
SELECT status, count(*) AS jobs FROM rr.inference_job WHERE status IN ('queued', 'running', 'parked') GROUP BY status
"""
IMAGES = f"""
SELECT i.series_uid, i.sop_uid, i.sop_class, i.transfer_syntax, i.path, ({WHOLE})::text AS header
  FROM rr.instance i {OTHER} WHERE i.tenant_id = $1 AND i.study_uid = $2 ORDER BY i.series_uid, i.sop_uid
"""  # noqa: S608
ORDERED = "SELECT body ->> 'procedure', body ->> 'body_part' FROM rr.orders WHERE tenant_id = $1 AND study_uid = $2"


def pause_s(attempts: int) -> float:
    """Return how long a job waits after its n-th failure: 1, 4, 16 s, at most a minute."""
    return min(60.0, 4.0 ** (attempts - 1))


def _changed(status: str) -> bool:
    return not status.endswith(" 0")


class JobStore:
    """The queue as one worker uses it; every write but a claim is refused once the lease is another's."""

    away: tuple[type[BaseException], ...] = AWAY

    def __init__(self, db: Database, worker: str, *, lease_s: float = LEASE_S) -> None:
        self._db, self._worker, self.lease_s = db, worker, lease_s

    async def claim(self) -> Job | None:
        """Take the most urgent job that waits, or None; one that failed too often comes too, to be parked."""
        async with self._db.scope() as conn:
            row = await conn.fetchrow(CLAIM, self._worker, self.lease_s)
        if row is None:
            return None
        tenant_id, job_id, study_uid, attempts, result = row
        return Job(tenant_id, job_id, study_uid, attempts, None if result is None else msgspec.json.decode(result))

    async def _mine(self, statement: str, job: Job, *more: object) -> bool:
        async with self._db.scope() as conn:
            return _changed(await conn.execute(statement, job.tenant_id, job.job_id, self._worker, *more))

    async def extend(self, job: Job) -> bool:
        """Hold the job for another lease; False when it is no longer ours."""
        return await self._mine(EXTEND, job, self.lease_s)

    async def keep(self, job: Job, result: dict[str, Any]) -> bool:
        """Remember what was found before the study is told, so that a second attempt tells the same."""
        return await self._mine(KEEP, job, msgspec.json.encode(result).decode())

    async def finish(self, job: Job) -> bool:
        """Close a job whose study knows the result."""
        return await self._mine(FINISH, job)

    async def fail(self, job: Job, error: str) -> bool:
        """Put the job back; it waits longer after each attempt."""
        return await self._mine(BACK, job, error, pause_s(job.attempts), 0)

    async def postpone(self, job: Job, error: str, wait_s: float) -> bool:
        """Put the job back without counting the attempt: something else was away."""
        return await self._mine(BACK, job, error, wait_s, 1)

    async def park(self, job: Job, error: str) -> bool:
        """Give up on the job; it stays to be looked at."""
        return await self._mine(PARK, job, error)

    async def release(self) -> None:
        """Put back whatever a former life of this worker held."""
        async with self._db.scope() as conn:
            await release(conn, self._worker)

    async def counts(self) -> dict[str, int]:
        """Return how many jobs are queued, running and parked."""
        async with self._db.scope() as conn:
            return await counts(conn)

    async def images(self, job: Job) -> list[StoredImage]:
        """Return the images of the job's study."""
        async with self._db.scope([job.tenant_id]) as conn:
            return await images(conn, job.tenant_id, job.study_uid)

    async def ordered(self, job: Job) -> str:
        """Return what was ordered, in the order's words; empty without an order."""
        async with self._db.scope([job.tenant_id]) as conn:
            row = await conn.fetchrow(ORDERED, job.tenant_id, job.study_uid)
        return "" if row is None else " ".join(text for text in row if text)


async def release(conn: Connection, worker: str) -> None:
    """Put back what a worker held that is known to be dead."""
    await conn.execute(RELEASE, worker)


async def images(conn: Connection, tenant_id: str, study_uid: str) -> list[StoredImage]:
    """Return the stored images of a study, by series."""
    rows = await conn.fetch(IMAGES, tenant_id, study_uid)
    return [StoredImage(**dict(row) | {"header": msgspec.json.decode(row["header"])}) for row in rows]


async def counts(conn: Connection) -> dict[str, int]:
    """Return how many jobs are queued, running and parked, over all tenants."""
    rows: Sequence[Any] = await conn.fetch(COUNT)
    return {"queued": 0, "running": 0, "parked": 0} | {row["status"]: row["jobs"] for row in rows}
