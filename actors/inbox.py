"""Tells studies of the images that were stored for them: at once by a nudge, each second without one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from actors import meters
from actors.domain.commands import Envelope, ImagesArrived
from actors.domain.errors import ReadingRoomError
from actors.domain.identity import study_key
from actors.told import Later
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence

    from actors.domain.commands import Patient
    from actors.domain.identity import Key
    from storage.inbox import Entry, Stored

log = structlog.get_logger()

_SWEEP_S = 1.0
_AGAIN_S = 0.5  # a part of the system is away
_TRIES = 3  # then a person has to look: the entries become a dead letter, the images stay stored


class Rows(Protocol):
    """What ingest has left in the database."""

    async def waiting(self, held: Collection[tuple[str, str]]) -> list[Entry]: ...

    async def stored(self, studies: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Stored]: ...

    async def park(self, key: Key, inbox_ids: Sequence[int], exc: Exception, tries: int) -> None: ...


def fold(entries: list[Entry], received: int, expected: int | None, patient: Patient) -> ImagesArrived:
    """Return what waits for one study as one command; the newest word counts where several were sent."""
    text: dict[str, str] = {}
    for entry in entries:
        for name in ("accession_number", "modality", "body_part", "laterality", "procedure", "priority", "setting"):
            if entry.body.get(name):
                text[name] = entry.body[name]
    return ImagesArrived(
        site_id=entries[0].body["site_id"],
        patient=patient,
        received=received,
        expected=expected,
        **text,
        apart=any(e.body.get("apart", False) for e in entries),
        conflict=any(e.body.get("kind") == "conflict" for e in entries),
        damaged=any(e.body.get("kind") == "damaged" for e in entries),
        quiet=any(e.body.get("kind") == "quiet" for e in entries),
        inbox_ids=tuple(e.inbox_id for e in entries),
    )


class Inbox:
    """Empties the inbox of a host's shards; a study's own commit deletes what it was told.

    A study that fails on what it is told is told of one entry at a time, so that the bad one is found;
    that one is parked after three tries.
    """

    def __init__(self, rows: Rows, ask: Callable[[Key, Envelope], Awaitable[object]]) -> None:
        self._rows, self._ask = rows, ask
        self._wake = asyncio.Event()
        self._busy: set[tuple[str, str]] = set()
        self._until: dict[tuple[str, str], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tries: dict[tuple[str, str], dict[int, int]] = {}  # of studies that failed: entry → how often

    def start(self) -> None:
        """Begin to sweep."""
        self._spawn(self._run())

    async def stop(self) -> None:
        """Sweep no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Sweep now."""
        self._wake.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._sweep()
            except AWAY as exc:
                log.warning("inbox not read", cause=type(exc).__name__)
                await asyncio.sleep(_AGAIN_S)

    async def _sweep(self) -> None:
        now = monotonic()
        self._until = {study: until for study, until in self._until.items() if until > now}
        waiting: dict[tuple[str, str], list[Entry]] = {}
        entries = await self._rows.waiting(self._busy | self._until.keys())
        meters.INBOX_WAITING.set(len(entries))
        for entry in entries:
            waiting.setdefault((entry.tenant_id, entry.study_uid), []).append(entry)
        if not waiting:
            return
        stored = await self._rows.stored(waiting)
        for study, mine in waiting.items():
            told = mine[:1] if study in self._tries else mine
            self._busy.add(study)
            if study in stored:
                trace = next((e.body["trace"] for e in told if e.body.get("trace")), "")
                self._spawn(self._tell(study, fold(told, *stored[study]), trace))
            else:
                self._spawn(self._failed(study, tuple(e.inbox_id for e in told), LookupError()))
        self._tries = {
            study: tries for study, tries in self._tries.items() if study in self._busy or study in self._until
        }

    def _pause(self, study: tuple[str, str], seconds: float) -> None:
        self._until[study] = monotonic() + seconds
        asyncio.get_running_loop().call_later(seconds + 0.001, self.wake)

    async def _tell(self, study: tuple[str, str], arrived: ImagesArrived, trace: str) -> None:
        try:
            await self._ask(study_key(*study), Envelope(arrived, trace=trace))
        except Later as exc:
            self._pause(study, exc.args[0])
        except ReadingRoomError as exc:
            if exc.code in {"retry", "overloaded", "expired"}:
                self._pause(study, _AGAIN_S)
            else:
                await self._failed(study, arrived.inbox_ids, exc)
        finally:
            self._busy.discard(study)
            self.wake()  # more may have come meanwhile

    async def _failed(self, study: tuple[str, str], inbox_ids: tuple[int, ...], exc: Exception) -> None:
        """Tell it again, of one entry at a time; park the one that it has failed on for the last time."""
        try:
            tries = self._tries.setdefault(study, {})
            if len(inbox_ids) == 1:
                tries[inbox_ids[0]] = tries.get(inbox_ids[0], 0) + 1
                if tries[inbox_ids[0]] >= _TRIES:
                    await self._rows.park(study_key(*study), inbox_ids, exc, tries[inbox_ids[0]])
                    del tries[inbox_ids[0]]
                    return
            log.warning("a study fails on its images", tenant_id=study[0], study_uid=study[1], cause=type(exc).__name__)
            self._pause(study, _AGAIN_S)
        except AWAY as away:
            log.warning("images not parked", cause=type(away).__name__)
            self._pause(study, _AGAIN_S)
        finally:
            self._busy.discard(study)
            self.wake()
