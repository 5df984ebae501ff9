"""Checks stored files against the sums they were received with: a few of those that are read, and slowly all of them.

What is not as written is noted, its study flagged ``image_damaged`` for managers and readers, and counted for whoever is on
duty. Encrypted files tell of a changed byte whenever it is read; this finds it before anybody needs the image.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from random import random
from typing import TYPE_CHECKING, Literal

import structlog

from gateway import meters
from storage import damage, quiet
from storage.faults import AWAY
from storage.sealed import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from storage.objects import ObjectStore
    from storage.pool import Database

    class Place(Protocol):
        """Where an instance lies and what it must be."""

        @property
        def study_uid(self) -> str: ...
        @property
        def path(self) -> str: ...
        @property
        def size(self) -> int: ...
        @property
        def sha256(self) -> bytes: ...


log = structlog.get_logger()

_BATCH, _IDLE_S, _WAITING = 20, 60.0, 200


class Checker:
    """Checks one file and does what follows from it.

    Args:
        db: as rr_ingest.
        store: where the files lie.
        announce: nudges the shards that have something in their inbox.
    """

    def __init__(self, db: Database, store: ObjectStore, announce: Callable[[Iterable[int]], None]) -> None:
        self._db, self._store, self._announce = db, store, announce

    async def check(self, tenant_id: str, file: Place, found_by: Literal["scrub", "read"]) -> bool:
        """Return whether the file is what was written; raises OSError when the medium is away."""
        try:
            right = await asyncio.to_thread(self._store.verify, file.path, file.sha256)
            cause = "changed"
        except Damaged:
            right, cause = False, "changed"
        except FileNotFoundError:
            right, cause = False, "missing"
        meters.CHECKED.labels("right" if right else cause).inc()
        async with self._db.scope([tenant_id]) as conn:
            if right:
                await damage.healed(conn, tenant_id, file.path)
                return True
            shard = await damage.found(conn, tenant_id, file.study_uid, file.path, cause, found_by)
        if shard is not None:
            meters.DAMAGED.inc()
            log.error("object_damaged", tenant_id=tenant_id, study_uid=file.study_uid, cause=cause, found_by=found_by)
            self._announce([shard])
        return False


class Scrubber:
    """Checks every file, a round after the other.

    Args:
        db: as rr_ingest.
        checker: what checks.
        bytes_s: how many bytes a second at most, 0 to check none.
    """

    def __init__(self, db: Database, checker: Checker, bytes_s: float) -> None:
        self._db, self._checker, self._bytes_s = db, checker, bytes_s

    async def run(self) -> None:
        """Check until cancelled."""
        while self._bytes_s > 0:
            checked = 0
            try:
                checked = await self.step()
            except AWAY as exc:  # OSErrors of the disk among them
                log.warning("files not checked", cause=type(exc).__name__)
            if not checked:
                await asyncio.sleep(_IDLE_S)

    async def step(self) -> int:
        """Check some files of each group; return how many."""
        async with self._db.scope() as conn:
            tenants = await quiet.tenants(conn)
        checked = 0
        for tenant_id in tenants:
            async with self._db.scope([tenant_id]) as conn:
                files = await damage.following(conn, tenant_id, _BATCH)
            for file in files:
                await self._checker.check(tenant_id, file, "scrub")
                await asyncio.sleep(file.size / self._bytes_s)
            checked += len(files)
            async with self._db.scope([tenant_id]) as conn:
                await damage.reached(conn, tenant_id, files[-1] if files else None)
        return checked


class Sampler:
    """Checks a fraction of the files that are read, one at a time, beside the answers.

    Args:
        checker: what checks.
        fraction: of reads, from 0 to 1.
    """

    def __init__(self, checker: Checker, fraction: float) -> None:
        self._checker, self._fraction = checker, fraction
        self._waiting: deque[tuple[str, Place]] = deque(maxlen=_WAITING)
        self._task: asyncio.Task[None] | None = None

    def read(self, tenant_id: str, places: Iterable[Place]) -> None:
        """Say that these are read."""
        if not self._fraction:
            return
        for place in places:
            if random() < self._fraction and (tenant_id, place) not in self._waiting:  # noqa: S311 - a sample
                self._waiting.append((tenant_id, place))
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            with suppress(*AWAY):
                await self._checker.check(*self._waiting.popleft(), "read")

    async def stop(self) -> None:
        """End; what waits is not checked."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
