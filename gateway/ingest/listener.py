"""The DICOM listener: a process that accepts associations, one thread each, and commits their images in groups.

Several share the port (SO_REUSEPORT). It needs PostgreSQL and the disk only: neither Ray nor Valkey.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import structlog
import uvloop
from redis.asyncio import Redis

from gateway import meters
from gateway.dimse.commitment import Sweeper
from gateway.dimse.room import Room
from gateway.dimse.services import Services
from gateway.ingest.announce import Announcer
from gateway.ingest.association import Association
from gateway.ingest.callers import Callers
from gateway.ingest.committer import Committer
from gateway.ingest.dimse import reject
from gateway.ingest.held import Held
from gateway.ingest.quiet import QUIET_S, QuietSweeper
from gateway.ingest.wire import Wire
from storage import callers
from storage.faults import AWAY
from storage.ingest import Away
from storage.objects import ObjectStore
from storage.pool import Database

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from pathlib import Path

    from storage.callers import Caller


class Settings(Protocol):
    """What a listener reads of an instance's settings."""

    @property
    def objects(self) -> Path: ...
    @property
    def valkey_url(self) -> str: ...
    @property
    def aet(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def dicom_port(self) -> int: ...
    def dsn(self, role: str) -> str: ...


MAX_ASSOCIATIONS = 200
_BACKLOG = 128
_DRAIN_S = 3.0
_RETRY_S = 0.2
_SWITCH_S = 0.0005  # threads hand over quickly: an answer is a short piece of work

log = structlog.get_logger()


class Listener:
    """A listener; ``start`` returns once the port is open.

    Args:
        settings: of this instance; ``dicom_port`` 0 takes a free one.
        quiet_s: how long nothing must have come before a study counts as quiet.
        sync: off only in benchmarks.
    """

    def __init__(self, settings: Settings, *, quiet_s: float = QUIET_S, sync: bool = True) -> None:
        self._settings, self._quiet_s = settings, quiet_s
        self._store = ObjectStore(settings.objects, sync=sync)
        self._db = Database(settings.dsn("rr_ingest"), min_size=1, max_size=4)
        self._views = Database(settings.dsn("rr_app"), min_size=0, max_size=4)
        self._held = Held()
        self._open: dict[Association, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: socket.socket
        self._valkey: Redis
        self._committer: Committer
        self._callers: Callers
        self.port = 0

    async def start(self) -> None:
        """Open the database, then the port."""
        sys.setswitchinterval(_SWITCH_S)
        await asyncio.to_thread(self._store.prepare)
        await self._open_database()
        self._valkey = Redis.from_url(self._settings.valkey_url, socket_timeout=1, socket_connect_timeout=1)
        self._announce = Announcer(self._valkey)
        self._committer = Committer(self._db, self._announce, keep=True)
        self._callers = Callers(self._settings.aet, self._read_callers)
        self._loop = asyncio.get_running_loop()
        room = Room(
            self._views,
            self._db,
            self._store,
            self._callers,
            self._settings.aet,
            self._announce,
            _no_shield,
            self._loop,
        )
        self._services = Services(room)
        self._socket = socket.create_server(
            (self._settings.host, self._settings.dicom_port), backlog=_BACKLOG, reuse_port=True
        )
        self.port = self._socket.getsockname()[1]
        meters.ASSOCIATIONS.set_function(lambda: len(self._open))
        threading.Thread(target=self._accept, name="accept", daemon=True).start()
        sweeper = QuietSweeper(self._db, self._held, self._announce, self._quiet_s)
        self._tasks += [asyncio.create_task(sweeper.run()), asyncio.create_task(Sweeper(room).run())]
        log.info("dicom listening", host=self._settings.host, port=self.port, aet=self._settings.aet)

    async def stop(self) -> None:
        """Accept no more, let running messages end for a moment, abort what is left, commit what waits."""
        self._stopping = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        await asyncio.to_thread(self._join, _DRAIN_S)
        with self._lock:
            left = list(self._open)
        for association in left:
            association.end()
        await asyncio.to_thread(self._join, 1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._committer.close()
        await self._announce.close()
        await self._valkey.aclose()
        await self._db.close()
        await self._views.close()
        log.info("dicom stopped")

    def _join(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._lock:
            threads = list(self._open.values())
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    async def _open_database(self) -> None:
        while True:
            try:
                await self._db.open()
                await self._views.open()
            except AWAY as exc:
                log.warning("waiting for the database", cause=type(exc).__name__)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _read_callers(self) -> Sequence[Caller]:
        async def read() -> Sequence[Caller]:
            try:
                async with self._db.scope() as conn:
                    return await callers.callers(conn)
            except AWAY as exc:
                raise Away(type(exc).__name__) from exc

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result(timeout=10)

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._socket.accept()
            except OSError as exc:
                if self._stopping:
                    return
                log.warning("a connection was not accepted", cause=str(exc))
                threading.Event().wait(0.05)  # out of file descriptors: others must end first
                continue
            if len(self._open) >= MAX_ASSOCIATIONS:
                with suppress(OSError):
                    sock.sendall(reject(2, 3, 2))  # transient, presentation: local limit exceeded
                sock.close()
                continue
            association = Association(
                Wire(sock), self._store, self._committer, self._callers, self._held, self._services
            )
            thread = threading.Thread(target=self._serve, args=(association,), name="association", daemon=True)
            with self._lock:
                self._open[association] = thread
            thread.start()

    def _serve(self, association: Association) -> None:
        try:
            association.run()
        finally:
            with self._lock:
                del self._open[association]


def _no_shield() -> ssl.SSLContext:
    raise OSError("no TLS")


async def serve(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    listener = Listener(settings)
    await listener.start()
    await stop.wait()
    await listener.stop()


def run(settings: Settings) -> None:
    """Be the DICOM listener's process."""
    uvloop.run(serve(settings))
