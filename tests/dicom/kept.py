"""Studies that were closed long ago, for what becomes of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.ingest.listener import Listener
from readingroom.demo.sender import send
from storage import holds
from storage.eraser import Eraser
from storage.objects import object_store
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pydicom.dataset import FileDataset

    from tests.dicom.conftest import World

CLOSED = """
INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, patient_id, accession_number,
  flags, doc)
SELECT tenant_id, study_uid, site_id, 1, 1, 'final', $2, 'STAT', patient_id, '', '{}', '{}'
  FROM rr.dicom_study WHERE study_uid = $1
"""
OLD = """
WITH j AS (INSERT INTO rr.journal (tenant_id, entity, version, type, body, at)
  SELECT tenant_id, 'study/' || study_uid, 1, 'FinalSigned', '{}', now() - make_interval(days => $2)
    FROM rr.dicom_study WHERE study_uid = $1)
UPDATE rr.dicom_study SET last_image_at = now() - make_interval(days => $2), quiet_at = now() WHERE study_uid = $1
"""


class Killed(Exception):
    """Stands for the end of the process."""


@dataclass
class Kept:
    """A listener with a closed study of three images that last changed so long ago."""

    world: World
    listener: Listener
    db: Database
    admin: Database
    make: Callable[..., list[FileDataset]]

    def eraser(self) -> Eraser:
        return Eraser(self.db, object_store(self.world.settings), wait_s=0)

    async def study(self, days: int = 4000, *, is_open: bool = False, **of: Any) -> str:
        made = self.make(count=3)
        for one in made:
            for name, value in of.items():
                setattr(one, name, value)
        await asyncio.to_thread(send, made, "127.0.0.1", self.listener.port, aet="NORTH_MAIN")
        uid = str(made[0].StudyInstanceUID)
        await self.world.conn.execute("DELETE FROM rr.inbox WHERE study_uid = $1", uid)
        await self.world.conn.execute(CLOSED, uid, is_open)
        await self.world.conn.execute(OLD, uid, days)
        return uid

    async def policy(self, years: float | None, until_age: int | None = None, **modalities: float) -> None:
        async with self.admin.scope() as conn:
            await holds.keep(conn, "north", years, modalities, until_age)

    def later(self) -> None:
        """Let pass the time that erasures wait for: nobody remembers a key any more."""
        keys = self.listener._store.keys
        assert keys is not None
        keys._kept.cache_clear()

    async def paths(self, uid: str) -> list[str]:
        return [r["path"] for r in await self.world.rows("SELECT path FROM rr.instance WHERE study_uid = $1", uid)]

    async def expired(self) -> list[str]:
        return [one.study_uid for one in (await self.eraser().expired())["north"]]


@asynccontextmanager
async def keeping(world: World, images: Callable[..., list[FileDataset]]) -> AsyncIterator[Kept]:
    """Listen as the world's settings say, and have the database as its keeper and its administrator."""
    listener = Listener(world.settings, quiet_s=60)
    await listener.start()
    db = await Database(world.settings.dsn("rr_keeper")).open()
    admin = await Database(world.settings.dsn("rr_admin")).open()
    yield Kept(world, listener, db, admin, images)
    await db.close()
    await admin.close()
    await listener.stop()
