"""What tests share: real servers in temporary directories, started once a run, stopped by pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import hypothesis
import pytest
from argon2 import PasswordHasher

from readingroom import embedded, ray_head
from readingroom.settings import ROLES, Settings
from storage import credentials
from storage.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


# Ray reads its switches when it is imported, and any test module may be the first to import it.
os.environ.update(ray_head.ENVIRONMENT)

# A loaded machine is no failure: how long an example takes is measured in benchmarks/.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_MEMORY, _ROOM = Path("/dev/shm"), 2 << 30  # containers may give it less


def in_memory() -> str:
    """Return where files cost nothing, if there is room: a database is copied there ten times as fast as on a disk."""
    return str(_MEMORY) if _MEMORY.is_mount() and shutil.disk_usage(_MEMORY).free > _ROOM else "/tmp"


@contextmanager
def short_directory(prefix: str = "rr-", where: str = "/tmp") -> Iterator[Path]:
    """A temporary directory with a short name (Unix sockets), reachable by the database user."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> Iterator[Settings]:
    """PostgreSQL with the schema in database ``rr``, and Valkey; both real, both thrown away."""
    with short_directory(where=in_memory()) as directory:
        settings = Settings(data=directory)
        embedded.prepare(settings)
        embedded.init_postgres(settings)
        postgres = embedded.start_postgres(settings, fsync=False)
        valkey = embedded.start_valkey(settings)
        try:
            embedded.wait_for(settings.run / ".s.PGSQL.5432", postgres)
            embedded.wait_for(settings.run / "valkey.sock", valkey)
            migrate(settings.admin_dsn, ROLES, settings.secret("roles"))
            yield settings
        finally:
            _end(postgres, signal.SIGINT)
            _end(valkey, signal.SIGTERM)


class Fresh(Settings):
    """Settings of a database of one's own on the shared server."""

    database: str = "rr"

    @property
    def admin_dsn(self) -> str:
        return super().admin_dsn.replace("@/rr?", f"@/{self.database}?")


@pytest.fixture
async def fresh(servers: Settings) -> AsyncIterator[Settings]:
    """A database of the test's own, copied from the migrated one (0.03 s in memory)."""
    name = f"rr_{uuid.uuid4().hex[:12]}"
    conn = await asyncpg.connect(servers.admin_dsn.replace("@/rr?", "@/postgres?"))
    await conn.execute(f'CREATE DATABASE "{name}" TEMPLATE rr STRATEGY file_copy')
    settings = Fresh(data=servers.data, database=name)
    try:
        yield settings
    finally:
        await conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await conn.close()


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Hash passwords by the same function in a thousandth of the time: worlds of many people are made anew each test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session", autouse=True)
def _quiet_environment() -> None:
    for name in list(os.environ):
        if name.startswith("READINGROOM_"):
            del os.environ[name]
