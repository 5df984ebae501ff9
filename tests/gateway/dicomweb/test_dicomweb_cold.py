"""A study on the cold tier is read as any other, before, while and after it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.domain.words import Role
from gateway.ingest.mover import Mover
from storage.objects import ObjectStore
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from readingroom.settings import Settings

PATHS = {
    "": "application/dicom",
    "/metadata": None,
    "/frames/1": 'multipart/related; type="application/octet-stream"',
    "/rendered": "image/png",
}


@pytest.fixture
def fresh(fresh: Settings, tmp_path: Path) -> Settings:
    fresh.objects_cold_url = (tmp_path / "cold").as_uri()
    return fresh


@pytest.fixture
async def mover(dicomweb: Any, fresh: Settings, tmp_path: Path) -> AsyncIterator[Mover]:
    db = await Database(fresh.dsn("rr_keeper")).open()
    store = ObjectStore(tmp_path / "objects", fresh.objects_key, cold_url=fresh.objects_cold_url)
    yield Mover(db, store, bytes_s=1e12, grace_s=0)
    await db.close()


async def test_a_cold_study_opens_and_comes_back(
    dicomweb: Any, mover: Mover, make: Callable[..., Any], at: Callable[..., str], tmp_path: Path
) -> None:
    image = make()
    await dicomweb.store(image)
    await dicomweb.status(image.StudyInstanceUID, "final")
    await dicomweb.conn.execute("DELETE FROM rr.inbox")

    async def read(by: str = "rita") -> list[tuple[bytes, str]]:
        found = []
        for path, accept in PATHS.items():
            async with dicomweb.get(at(image) + path, by, accept=accept) as answer:
                assert answer.status == 200, await answer.text()
                body = await answer.read()
                found.append(
                    (body if accept is None or "multipart" not in accept else body[200:-60], answer.headers["ETag"])
                )
        return found

    def lie() -> tuple[int, int]:
        return len(list((tmp_path / "objects").rglob("*.dcm"))), len(list((tmp_path / "cold").rglob("*.dcm")))

    before = await read()
    assert await mover.move("north", image.StudyInstanceUID, cold=True, days=0) == 1
    assert (lie(), await read()) == ((1, 1), before)
    for name in ("rolf", "rosa"):  # each knows nothing of what another read a moment ago
        await dicomweb.person(name, Role.RADIOLOGIST)
    await mover.sweep()  # what was copied goes; nobody new has opened it since
    assert (lie(), await read("rolf")) == ((0, 1), before)
    assert await mover.sweep() == 1
    await mover.sweep()
    assert (lie(), await read("rosa")) == ((1, 0), before)
