"""Group commit: images of every association that wait at the same moment become durable in one transaction."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

import structlog

from gateway import meters
from gateway.ingest.refusal import NotADataSet, Refused, StorageAway
from storage.ingest import Away, Going, NotStorable, store_images
from storage.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storage.ingest import Arrival, Outcome
    from storage.pool import Database

    Answer: TypeAlias = Outcome | Refused
    Told: TypeAlias = Callable[[Answer], None]

GROUP = 64
_PATIENCE_S = 40.0

log = structlog.get_logger()


class Committer:
    """Takes whatever waits, up to 64 images, commits, answers, takes what has come meanwhile.

    Args:
        db: as rr_ingest.
        announce: told the shards whose inbox has grown, after each commit.
        keep: hold the connection between groups; else it goes back to the pool when nothing waits.
    """

    def __init__(self, db: Database, announce: Callable[[set[int]], None], *, keep: bool) -> None:
        self._kept, self._announce, self._keep = Kept(db), announce, keep
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Arrival, Told]] = deque()
        self._task: asyncio.Task[None] | None = None

    def commit_blocking(self, arrival: Arrival) -> Outcome:
        """Commit from another thread and wait.

        Raises:
            Refused: with the status to answer.
        """
        answers: list[Answer] = []
        told = threading.Lock()
        told.acquire()

        def tell(answer: Answer) -> None:
            answers.append(answer)
            told.release()

        self._waiting.append((arrival, tell))
        self._loop.call_soon_threadsafe(self._wake)
        if not told.acquire(timeout=_PATIENCE_S):
            raise StorageAway("the database does not answer")
        return _outcome(answers[0])

    async def commit(self, arrival: Arrival) -> Outcome:
        """Commit from a task of the loop.

        Raises:
            Refused: with the status to answer.
        """
        answered: asyncio.Future[Answer] = self._loop.create_future()

        def tell(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._waiting.append((arrival, tell))
        self._wake()
        return _outcome(await answered)

    async def close(self) -> None:
        """Finish what waits and give the connection back."""
        if self._task is not None:
            await self._task
        await self._kept.release()

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._waiting:
            await self._drain_what_waits()
            if not self._keep:
                await self._kept.release()  # who comes meanwhile finds this task and relies on it: look again

    async def _drain_what_waits(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            began = perf_counter()
            answers = await self._group([arrival for arrival, _ in group])
            meters.IMAGE_COMMIT.observe(perf_counter() - began)
            meters.IMAGE_GROUP.observe(len(group))
            shards = {a.shard for a in answers if not isinstance(a, Refused) and a.outcome != "duplicate"}
            for (_, tell), answer in zip(group, answers, strict=True):
                tell(answer)
                meters.IMAGES.labels("refused" if isinstance(answer, Refused) else answer.outcome).inc()
            if shards:
                self._announce(shards)

    async def _group(self, arrivals: Sequence[Arrival]) -> Sequence[Answer]:
        try:
            return await store_images(await self._kept.connection(), arrivals)
        except Away as exc:
            return await self._away(arrivals, str(exc))
        except NotStorable as exc:
            if len(arrivals) > 1:  # one of them spoils the group: each by itself
                return [answer for arrival in arrivals for answer in await self._group([arrival])]
            if isinstance(exc, Going):
                return [StorageAway("the study is being erased: send again in some minutes")]
            log.warning("an image that the database refuses", sop_uid=arrivals[0].sop_uid, cause=str(exc))
            return [NotADataSet("the header cannot be stored")]
        except Exception as exc:  # noqa: BLE001 - whoever waits must be answered, and the next group be tried
            return await self._away(arrivals, type(exc).__name__)

    async def _away(self, arrivals: Sequence[Arrival], cause: str) -> Sequence[Answer]:
        log.warning("images not stored: the database is away", images=len(arrivals), cause=cause)
        await self._kept.release()
        return [StorageAway("the database is away")] * len(arrivals)


def _outcome(answer: Answer) -> Outcome:
    if isinstance(answer, Refused):
        raise answer
    return answer
