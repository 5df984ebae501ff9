"""A triage worker: claims a job, judges the study, tells it, closes the job. Plain class; Ray is in the pool.

A job's life::

    queued -> running -> done
       ^         |
       |         +-> parked   after five attempts, or when the study refuses the result
       +---------+            a failure, with a longer pause each time; a part that is away

What was found is kept with the job before the study is told, under the key ``triage/JOB``: a worker
may be killed at any step, the next one tells the same thing, and the study takes it once.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from actors.domain.commands import Envelope
from actors.domain.errors import BadPayload, Expired, Overloaded, ReadingRoomError, Retry
from actors.domain.identity import study_key
from actors.domain.jobs import MOST_ATTEMPTS
from inference import meters
from inference.triage import result
from inference.triage.assess import Model, assess
from inference.triage.result import Finding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import BinaryIO

    from actors.domain.identity import Key
    from actors.domain.jobs import Job, StoredImage

log = structlog.get_logger()

_SWEEP_S = 1.0
_AWAY_S = 1.0
_TELL_S = 10.0
_UNLOADED = ("reference_head_ct", "")  # whom a failure is put down to while no model could be loaded


class Jobs(Protocol):
    """The durable queue, as one worker sees it."""

    @property
    def away(self) -> tuple[type[BaseException], ...]: ...

    @property
    def lease_s(self) -> float: ...

    async def claim(self) -> Job | None: ...

    async def extend(self, job: Job) -> bool: ...

    async def keep(self, job: Job, result: dict[str, Any]) -> bool: ...

    async def finish(self, job: Job) -> bool: ...

    async def fail(self, job: Job, error: str) -> bool: ...

    async def postpone(self, job: Job, error: str, wait_s: float) -> bool: ...

    async def park(self, job: Job, error: str) -> bool: ...

    async def release(self) -> None: ...

    async def images(self, job: Job) -> list[StoredImage]: ...

    async def ordered(self, job: Job) -> str: ...

    async def counts(self) -> dict[str, int]: ...


class Studies(Protocol):
    """The door to the studies."""

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]: ...


class LostLease(Exception):
    """Another worker has the job now."""


class TriageWorker:
    """Works through the queue, one job at a time, the model in a thread of its own.

    Args:
        jobs: the queue.
        studies: where results go.
        open_: opens a name of the object store for reading.
        load: makes the model; called in the thread, once.
    """

    def __init__(
        self, jobs: Jobs, studies: Studies, open_: Callable[[str], BinaryIO], load: Callable[[], Model]
    ) -> None:
        self._jobs, self._studies, self._open, self._load = jobs, studies, open_, load
        self._model: Model | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="triage")
        self._nudge = asyncio.Event()
        self.done = 0
        self.serving = False

    def wake(self) -> None:
        """Look at the queue now rather than at the next sweep."""
        self._nudge.set()

    async def run(self) -> None:
        """Work until cancelled; what this worker held in a former life goes back to the queue first."""
        try:
            await self._until_here(self._jobs.release)
            await self._until_here(self._warm)
            while True:
                self._nudge.clear()
                try:
                    while await self.step():
                        pass
                    for state, jobs in (await self._jobs.counts()).items():
                        meters.JOBS.labels(state).set(jobs)
                    self.serving = True
                except Exception as exc:
                    self.serving = False
                    log.warning("job interrupted", cause=type(exc).__name__, exc_info=not self._is_away(exc))
                    await asyncio.sleep(_AWAY_S)
                    await self._until_here(self._jobs.release)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SWEEP_S):
                        await self._nudge.wait()
        finally:
            self.serving = False
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _is_away(self, exc: Exception) -> bool:
        return isinstance(exc, self._jobs.away)

    async def _until_here(self, action: Callable[[], Any]) -> None:
        while True:
            try:
                await action()
            except self._jobs.away as exc:
                log.warning("queue away", cause=type(exc).__name__)
                await asyncio.sleep(_AWAY_S)
            else:
                return

    async def _warm(self) -> None:
        """Load the model before the first study; what is wrong with it is each job's to say."""
        try:
            await self._in_thread(self._loaded)
        except Exception:
            log.exception("model not loaded")

    async def step(self) -> bool:
        """Do one job; False when none waits."""
        job = await self._jobs.claim()
        if job is None:
            return False
        try:
            async with self._lease(job):
                await self._do(job)
        except LostLease:
            log.warning("lease lost", job_id=job.job_id)
        return True

    @asynccontextmanager
    async def _lease(self, job: Job) -> AsyncIterator[None]:
        """Hold the job as long as it takes; raises LostLease once another has it."""
        task = asyncio.current_task()
        lost = False

        async def renew() -> None:
            nonlocal lost
            while True:
                await asyncio.sleep(self._jobs.lease_s / 3)
                with suppress(*self._jobs.away):
                    if not await self._jobs.extend(job):
                        lost = True
                        if task is not None:
                            task.cancel()
                        return

        renewing = asyncio.create_task(renew())
        try:
            yield
        except asyncio.CancelledError:
            if lost and task is not None:
                task.uncancel()
                raise LostLease from None
            raise
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _do(self, job: Job) -> None:
        begun = monotonic()
        try:
            finding = await self._found(job)
        except self._jobs.away:
            raise
        except Exception as exc:
            log.exception("triage failed", job_id=job.job_id, study_uid=job.study_uid, attempt=job.attempts)
            if job.attempts < MOST_ATTEMPTS:
                meters.JOBS_DONE.labels("again").inc()
                await self._jobs.fail(job, type(exc).__name__)
                return
            finding = self._given_up(type(exc).__name__)
        if job.result is None and not await self._jobs.keep(job, finding.document()):
            raise LostLease
        await self._tell(job, finding)
        meters.JOBS_DONE.labels(finding.status).inc()
        meters.JOB_SECONDS.observe(monotonic() - begun)
        log.info(
            "StudyTriaged", study_uid=job.study_uid, job_id=job.job_id, status=finding.status, acuity=finding.acuity,
            took_ms=round((monotonic() - begun) * 1000),
        )  # fmt: skip

    async def _found(self, job: Job) -> Finding:
        if job.result is not None:
            return Finding(**job.result)
        if job.attempts > MOST_ATTEMPTS:
            return self._given_up("its worker died each time")
        images, ordered = await self._jobs.images(job), await self._jobs.ordered(job)
        finding: Finding = await self._in_thread(lambda: assess(self._loaded(), images, ordered, self._open))
        return finding

    def _given_up(self, why: str) -> Finding:
        name, version = (self._model.name, self._model.version) if self._model else _UNLOADED
        return result.failed(name, version, f"triage failed {MOST_ATTEMPTS} times ({why})")

    def _loaded(self) -> Model:
        if self._model is None:
            self._model = self._load()
        return self._model

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _tell(self, job: Job, finding: Finding) -> None:
        """Tell the study and settle the job accordingly."""
        envelope = Envelope(finding.command(job.job_id), idem=job.idem, deadline=time() + _TELL_S)
        try:
            await self._studies.ask(study_key(job.tenant_id, job.study_uid), envelope)
        except (Retry, Overloaded, Expired) as exc:
            await self._jobs.postpone(job, exc.code, _AWAY_S)
            return
        except BadPayload as exc:  # an earlier attempt told it something else: that stands
            log.warning("already told", job_id=job.job_id, reason=str(exc))
        except ReadingRoomError as exc:
            await self._jobs.park(job, exc.code)
            return
        if finding.status == "failed":
            await self._jobs.park(job, finding.headline)
        else:
            await self._jobs.finish(job)
        self.done += 1
