"""Group commit for tasks of a loop: images that wait at the same moment become durable in one transaction."""

from __future__ import annotations

import asyncio
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
    from storage.line import Line
    from storage.pool import Database

    Answer: TypeAlias = Outcome | Refused
    Told: TypeAlias = Callable[[Answer], None]

GROUP = 64

log = structlog.get_logger()


class Committer:
    """Takes whatever waits, up to 64 images, commits, answers, takes what has come meanwhile.

    Args:
        db: as rr_ingest.
        announce: told the shards whose inbox has grown, after each commit.
    """

    def __init__(self, db: Database, announce: Callable[[set[int]], None]) -> None:
        self._kept, self._announce = Kept(db), announce
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Arrival, Told]] = deque()
        self._task: asyncio.Task[None] | None = None

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
        return outcome(await answered)

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
            await self._kept.release()  # who comes meanwhile finds this task and relies on it: look again

    async def _drain_what_waits(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            answers = await committed(self._kept, [arrival for arrival, _ in group])
            for (_, tell), answer in zip(group, answers, strict=True):
                tell(answer)
            if shards := grown(answers):
                self._announce(shards)


async def committed(kept: Kept | Line, arrivals: Sequence[Arrival]) -> Sequence[Answer]:
    """Commit a group and return an answer for each; whatever happens, each has one."""
    began = perf_counter()
    answers = await _group(kept, arrivals)
    meters.IMAGE_COMMIT.observe(perf_counter() - began)
    meters.IMAGE_GROUP.observe(len(arrivals))
    for answer in answers:
        meters.IMAGES.labels("refused" if isinstance(answer, Refused) else answer.outcome).inc()
    return answers


async def _group(kept: Kept | Line, arrivals: Sequence[Arrival]) -> Sequence[Answer]:
    try:
        return await store_images(await kept.connection(), arrivals)
    except Away as exc:
        return await _away(kept, arrivals, str(exc))
    except NotStorable as exc:
        if len(arrivals) > 1:  # one of them spoils the group: each by itself
            return [answer for arrival in arrivals for answer in await _group(kept, [arrival])]
        if isinstance(exc, Going):
            return [StorageAway("the study is being erased: send again in some minutes")]
        log.warning("an image that the database refuses", sop_uid=arrivals[0].sop_uid, cause=str(exc))
        return [NotADataSet("the header cannot be stored")]
    except Exception as exc:  # noqa: BLE001 - whoever waits must be answered, and the next group be tried
        return await _away(kept, arrivals, type(exc).__name__)


async def _away(kept: Kept | Line, arrivals: Sequence[Arrival], cause: str) -> Sequence[Answer]:
    log.warning("images not stored: the database is away", images=len(arrivals), cause=cause)
    await kept.release()
    return [StorageAway("the database is away")] * len(arrivals)


def grown(answers: Sequence[Answer]) -> set[int]:
    """Return the shards whose inbox has something new."""
    return {a.shard for a in answers if not isinstance(a, Refused) and a.outcome != "duplicate"}


def outcome(answer: Answer) -> Outcome:
    """Return what became of an image.

    Raises:
        Refused: with the status to answer.
    """
    if isinstance(answer, Refused):
        raise answer
    return answer
