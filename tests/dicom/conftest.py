"""A world of two tenants and three sites, a listener, dcmtk, and real images with UIDs of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from gateway.ingest.listener import Listener
from storage.objects import object_store
from tests.bucket import s3_bucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pydicom.dataset import FileDataset

    from readingroom.settings import Settings

PEERS = Path(os.environ.get("READINGROOMPEERS", Path(__file__).parents[2] / ".peers"))

_WORLD = """
INSERT INTO rr.tenant (tenant_id, name) VALUES ('north', 'North'), ('south', 'South');
INSERT INTO rr.site (tenant_id, site_id, name, issuer) VALUES
  ('north', 'main', 'Main', 'north-main'), ('north', 'harbor', 'Harbor', 'north-harbor'),
  ('south', 'main', 'Main', 'south-main');
INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, called_aet, source, host, port) VALUES
  ('north', 'main', 'a1', 'NORTH_MAIN', NULL, NULL, 'localhost', 1),
  ('north', 'harbor', 'a2', 'NORTH_HARBOR', NULL, NULL, 'localhost', 1),
  ('south', 'main', 'a3', 'SOUTH_MAIN', 'SOUTHROOM', '127.0.0.0/8', 'localhost', 1),
  ('south', 'main', 'a4', 'SOUTH_FAR', NULL, '10.0.0.0/8', 'localhost', 1);
"""


class World:
    """What tests look at: rows as the administrator sees them, files as they lie on disk."""

    def __init__(self, settings: Settings, conn: asyncpg.Connection[Any]) -> None:
        self.settings, self.conn = settings, conn
        self.store = object_store(settings)

    async def rows(self, sql: str, *args: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.conn.fetch(sql, *args)]

    async def value(self, sql: str, *args: object) -> Any:
        return await self.conn.fetchval(sql, *args)

    async def inbox(self) -> list[dict[str, Any]]:
        rows = await self.rows("SELECT tenant_id, study_uid, shard, body FROM rr.inbox ORDER BY inbox_id")
        return [row | body | {"body": body} for row in rows for body in [msgspec.json.decode(row["body"])]]

    def files(self, below: Path | None = None, pattern: str = "*") -> list[Path]:
        return [
            path for path in (below or self.settings.objects).rglob(pattern) if path.is_file() and path.name != "key"
        ]

    async def json(self, sql: str) -> Any:
        return msgspec.json.decode(await self.value(sql))

    def data_set(self, path: str) -> bytes:
        return self.strip(self.store.open(path).read())

    @staticmethod
    def strip(part10: bytes) -> bytes:
        """Return what follows the file meta information."""
        return part10[144 + int.from_bytes(part10[140:144], "little") :]


def placed(settings: Settings, objects: Path) -> Settings:
    """Return the settings with an object store of one's own and any free DICOM port."""

    class Placed(type(settings)):  # type: ignore[misc]
        place: Path

        @property
        def objects(self) -> Path:
            return self.place

    return Placed(**settings.model_dump() | {"place": objects, "dicom_port": 0, "scrub_mb_s": 0})


@pytest.fixture
async def world(fresh: Settings, tmp_path: Path) -> AsyncIterator[World]:
    conn = await asyncpg.connect(fresh.admin_dsn)
    await conn.execute(_WORLD)
    yield World(placed(fresh, tmp_path / "objects"), conn)
    await conn.close()


@pytest.fixture
async def listener(world: World) -> AsyncIterator[Listener]:
    listener = Listener(world.settings, quiet_s=0.5)
    await listener.start()
    yield listener
    await listener.stop()


@pytest.fixture
def images() -> Callable[..., list[FileDataset]]:
    """Copies of one of pydicom's test files as a study of its own."""

    def make(name: str = "CT_small.dcm", count: int = 1, **attributes: str) -> list[FileDataset]:
        study, series = generate_uid(), generate_uid()
        made = []
        for number in range(1, count + 1):
            image = pydicom.dcmread(str(get_testdata_file(name)))
            image.StudyInstanceUID, image.SeriesInstanceUID = study, series
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            image.InstanceNumber = number
            image.PatientID, image.PatientName = "4711", "Quay^Ada"
            image.PatientBirthDate, image.PatientSex, image.AccessionNumber = "19700102", "F", "A1"
            for keyword, value in attributes.items():
                setattr(image, keyword, value)
            made.append(image)
        return made

    return make


@pytest.fixture
def written(tmp_path: Path) -> Callable[[FileDataset], Path]:
    """Writes an image to a file for dcmtk."""

    def write(image: FileDataset) -> Path:
        path = tmp_path / f"{image.SOPInstanceUID}.dcm"
        image.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture(scope="session")
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs one of the unpacked peers."""
    if not (PEERS / "complete").exists():
        pytest.fail("dcmtk is not there: run deploy/fetch_peers.sh")

    def run(program: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PEERS / "bin" / program, *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def ct_small() -> bytes:
    """The data set of pydicom's small CT, as it lies in the wheel."""
    return World.strip(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())


@pytest.fixture
def reference(tmp_path: Path) -> Iterator[Path]:
    """A directory where dcmtk's own receiver keeps data sets as received; ``port`` says where it listens."""
    directory = tmp_path / "reference"
    directory.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (directory / "port").write_text(str(port))
    receiver = subprocess.Popen(
        [PEERS / "bin" / "storescp", "+xa", "--bit-preserving", "-od", directory, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
    yield directory
    receiver.terminate()
    receiver.wait()


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a real S3 server on this machine."""
    with s3_bucket() as url:
        yield url
