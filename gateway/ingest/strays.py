"""Collects files that no row refers to: their sender was told to send again, or a crash came between file and rows.

On a local disk and in a bucket alike, on both tiers. A file that is old enough is first set aside, then removed a minute
later unless a row has come for it meanwhile, as a resend may have given the same name to a file of its own in just that moment.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from gateway.ingest import part10
from storage import quiet, strays
from storage.faults import AWAY
from storage.sealed import Damaged
from storage.tiers import COLD, home, is_cold, move_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.objects import ObjectStore
    from storage.pool import Database

OLD_S, WAIT_S, _SWEEP_S = 3600.0, 60.0, 3600.0
_BATCH, _HEAD = 200, 4096
_ASIDE = ".strays"

log = structlog.get_logger()


class StraySweeper:
    """Sweeps once an hour, a tenant after the other.

    Args:
        db: as rr_ingest.
        store: whose files they are.
        old_s: younger files may still get their rows.
        wait_s: from setting aside to removing.
    """

    def __init__(self, db: Database, store: ObjectStore, *, old_s: float = OLD_S, wait_s: float = WAIT_S) -> None:
        self._db, self._store, self._old_s, self._wait_s = db, store, old_s, wait_s

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self.sweep()
            except AWAY as exc:  # OSErrors of the disk among them
                log.warning("stray files not swept", cause=type(exc).__name__)

    async def sweep(self) -> int:
        """Sweep once; return how many files were removed."""
        async with self._db.scope() as conn:
            tenants = await quiet.tenants(conn)
        removed = 0
        for tenant_id in tenants:
            names = await asyncio.to_thread(self._older, tenant_id)
            aside: list[str] = []
            for batch in _batches(names):
                found = await self._strays(tenant_id, batch)
                aside += [name for name in found if await asyncio.to_thread(self._set_aside, name)]
            if aside:
                await asyncio.sleep(self._wait_s)
                removed += await self._settle(tenant_id, aside)
        return removed

    async def _settle(self, tenant_id: str, aside: list[str]) -> int:
        gone = 0
        for batch in _batches(aside):
            strays_now = set(await self._strays(tenant_id, batch))
            for name in batch:
                await asyncio.to_thread(self._take_back, name, keep=name not in strays_now)
            gone += len(strays_now)
        log.info("stray files removed", tenant_id=tenant_id, files=gone, kept=len(aside) - gone)
        return gone

    async def _strays(self, tenant_id: str, names: list[str]) -> list[str]:
        """Return which of these files no row names."""
        uids = await asyncio.to_thread(self._sop_uids, names)
        async with self._db.scope([tenant_id]) as conn:
            known = await strays.named(conn, tenant_id, sorted(set(uids.values())))
            moves, left = await strays.moving(conn, tenant_id)
        return [name for name in uids if name not in known | left and move_of(name) not in moves]

    def _sop_uids(self, names: Iterable[str]) -> dict[str, str]:
        found = {}
        for name in names:
            with suppress(FileNotFoundError, Damaged, part10.Incomplete):  # gone meanwhile, or nothing of ours
                where = _aside(name) if self._is_aside(name) else name
                with self._store.open(where, study=home(name)) as file:
                    found[name] = part10.meta(file.read(_HEAD)).sop_uid
        return found

    def _older(self, tenant_id: str) -> list[str]:
        """Return the names of files of a tenant that are old enough, those left aside by a crash too."""
        before = time.time() - self._old_s
        shelf, found = self._store.shelf, list[str]()
        for top in shelf.tops:
            found += [name for name, at in shelf.listed(top + tenant_id) if at < before]
            found += [name.replace(f"{_ASIDE}/", "", 1) for name, _ in shelf.listed(_aside(top + tenant_id))]
        return found

    def _is_aside(self, name: str) -> bool:
        try:
            self._store.shelf.written_at(_aside(name))
        except FileNotFoundError:
            return False
        return True

    def _set_aside(self, name: str) -> bool:
        """Move a file out of the way, unless it is a new one of that name."""
        if self._is_aside(name):
            return True
        try:
            if self._store.shelf.written_at(name) >= time.time() - self._old_s:
                return False
            self._store.shelf.rename(name, _aside(name))
        except FileNotFoundError:
            return False
        return True

    def _take_back(self, name: str, *, keep: bool) -> None:
        """Remove a file that was set aside, or give it back its name unless there is a new one."""
        if keep:
            self._store.shelf.give_back(_aside(name), name)
        self._store.remove(_aside(name))


def _aside(name: str) -> str:
    """Return where a file is set aside: on the shelf where it lies."""
    top = COLD if is_cold(name) else ""
    return f"{top}{_ASIDE}/{name.removeprefix(top)}"


def _batches(names: Iterable[str]) -> Iterable[list[str]]:
    whole = list(names)
    return (whole[at : at + _BATCH] for at in range(0, len(whole), _BATCH))
