"""Moves files of studies closed long ago to the cold tier, and back when somebody opens or works on them again.

Each file is copied as it lies, sealed, and the copy's sum is read; then one transaction lets all rows of the study name
the copies; an hour later, when nobody can hold an old name any more, the old files go. A crash anywhere is taken up by
the next sweep, and until that one transaction nothing has changed for anybody.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from gateway import meters
from storage import keeping, tiering
from storage.faults import AWAY
from storage.sealed import Damaged
from storage.tiers import copy_name, is_cold

if TYPE_CHECKING:
    from storage.objects import ObjectStore
    from storage.pool import Database

log = structlog.get_logger()

GRACE_S = 3600.0
_SWEEP_S, _LOOK_S, _LEASE_S = 60.0, 3600.0, 600.0


class NotMoved(Exception):
    """A study's files stay where they are: the sentence says why."""


class Mover:
    """Looks each minute for what is to come back, each hour for what is to go.

    Args:
        db: as rr_keeper.
        store: where the files lie.
        bytes_s: how many bytes a second at most.
        grace_s: how long old files stay beside their copies.
    """

    def __init__(self, db: Database, store: ObjectStore, *, bytes_s: float = 20e6, grace_s: float = GRACE_S) -> None:
        self._db, self._store, self._bytes_s, self._grace_s = db, store, bytes_s, grace_s

    async def run(self) -> None:
        """Sweep until cancelled; without a cold tier there is nothing to do."""
        looked = -_LOOK_S
        while self._bytes_s > 0 and len(self._store.shelf.tops) > 1:
            await asyncio.sleep(_SWEEP_S)
            now = asyncio.get_running_loop().time()
            try:
                await self.sweep(look=now - looked >= _LOOK_S)
            except AWAY as exc:  # OSErrors of a shelf among them
                log.warning("files not moved", cause=type(exc).__name__)
                continue
            looked = now if now - looked >= _LOOK_S else looked

    async def due(self) -> dict[str, list[tiering.Due]]:
        """Return what would go to the cold tier now, by group: the dry run."""
        found = {}
        for tenant_id in await self._tenants():
            async with self._db.scope([tenant_id]) as conn:
                found[tenant_id] = await tiering.cool(conn, tenant_id, datetime.now(UTC))
        return found

    async def sweep(self, *, look: bool = True) -> int:
        """Remove what was left behind, bring back what is wanted, and put away what is due; return how many studies moved."""
        moved = 0
        for tenant_id in await self._tenants():
            await self._tidy(tenant_id)
            now = datetime.now(UTC)
            async with self._db.scope([tenant_id]) as conn:
                going = [(one, False) for one in await tiering.warm(conn, tenant_id, now)]
                going += [(one, True) for one in await tiering.cool(conn, tenant_id, now)] if look else []
            for one, cold in going:
                named = {"tenant_id": tenant_id, "study_uid": one.study_uid, "to": "cold" if cold else "hot"}
                try:
                    files = await self.move(tenant_id, one.study_uid, cold=cold)
                except NotMoved as exc:
                    log.warning("study not moved", cause=str(exc), **named)
                else:
                    log.info("study moved", files=files, **named)
                    moved += 1
        return moved

    async def move(self, tenant_id: str, study_uid: str, *, cold: bool, days: float | None = None) -> int:
        """Move a study's files to a tier; return how many.

        Args:
            tenant_id: whose.
            study_uid: which study.
            cold: whether to the cold tier.
            days: that it must have been left alone, in place of the policy's.

        Raises:
            NotMoved: another move of it is under way, a copy is not what was received, or it may not move any more.
            OSError: a shelf is away or full.
        """
        async with self._db.scope([tenant_id]) as conn:
            fresh = secrets.token_hex(6)
            move_id = await tiering.begin(conn, tenant_id, study_uid, fresh, cold=cold, lease_s=_LEASE_S)
        if not move_id:
            raise NotMoved("another move of this study is under way, or left its old files less than an hour ago")
        one = tiering.Move(tenant_id, study_uid, move_id, cold=cold, days=days)
        try:
            moved = await self._moved(one)
        except NotMoved:
            meters.TIER_FAILED.inc()
            async with self._db.scope([tenant_id]) as conn:
                await tiering.drop(conn, one)
            raise
        meters.TIER_STUDIES.labels("cold" if cold else "hot").inc()
        return moved

    async def _moved(self, one: tiering.Move) -> int:
        at = datetime.now(UTC)
        async with self._db.scope([one.tenant_id]) as conn:
            found = [file for file in await tiering.files(conn, one) if is_cold(file.path) != one.cold]
        copies = {file.path: copy_name(file.path, one.move_id, cold=one.cold) for file in found}
        for file in found:
            await self._copy(one, file, copies[file.path])
        async with self._db.scope([one.tenant_id]) as conn:
            if not await tiering.flip(conn, one, copies, at):
                raise NotMoved("it is open, has changed, is being erased or has a damaged file")
        return len(found)

    async def _copy(self, one: tiering.Move, file: tiering.File, to: str) -> None:
        """Make a copy, unless one is there from before a crash, and read its sum."""
        async with self._db.scope([one.tenant_id]) as conn:
            if not await tiering.alive(conn, one):
                raise NotMoved("the move was ended by another")
        try:
            there = await asyncio.to_thread(self._right, to, file.sha256)
            if not there:
                await asyncio.to_thread(self._store.copy, file.path, to)
                there = await asyncio.to_thread(self._right, to, file.sha256)
        except FileNotFoundError as exc:
            raise NotMoved("a file of it is missing") from exc
        if not there:
            raise NotMoved("a copy is not what was received")
        meters.TIER_BYTES.inc(file.size)
        await asyncio.sleep(file.size / self._bytes_s)

    def _right(self, name: str, sha256: bytes) -> bool:
        """Whether a copy is there and what was received."""
        try:
            return self._store.verify(name, sha256)
        except (FileNotFoundError, Damaged):
            return False

    async def _tidy(self, tenant_id: str) -> None:
        """Remove the old files of moves whose grace is over."""
        async with self._db.scope([tenant_id]) as conn:
            await tiering.forget(conn, tenant_id)
            over = await tiering.left(conn, tenant_id, self._grace_s)
        for one in over:
            for path in one.old_paths:
                await asyncio.to_thread(self._store.remove, path)
            async with self._db.scope([tenant_id]) as conn:
                await tiering.done(conn, tenant_id, one)

    async def _tenants(self) -> list[str]:
        async with self._db.scope() as conn:
            return await keeping.tenants(conn)
