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
from dataclasses import dataclass
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
from gateway.ingest.checking import Checker, Scrubber
from gateway.ingest.dimse import reject
from gateway.ingest.direct import DirectCommitter
from gateway.ingest.held import Held
from gateway.ingest.limits import Limits
from gateway.ingest.mover import Mover
from gateway.ingest.quiet import QUIET_S, QuietSweeper
from gateway.ingest.shield import Shield
from gateway.ingest.strays import StraySweeper
from gateway.ingest.wire import Shielded, Wire
from storage import callers
from storage.eraser import Eraser
from storage.faults import AWAY
from storage.ingest import Away
from storage.line import Line
from storage.objects import object_store
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storage.callers import Caller


class Settings(Protocol):
    """What a listener reads of an instance's settings."""

    @property
    def objects(self) -> Path: ...
    @property
    def objects_key(self) -> bytes | None: ...
    @property
    def objects_url(self) -> str | None: ...
    @property
    def objects_cold_url(self) -> str | None: ...
    @property
    def valkey_url(self) -> str: ...
    @property
    def aet(self) -> str: ...
    @property
    def scrub_mb_s(self) -> float: ...
    @property
    def tier_mb_s(self) -> float: ...
    @property
    def host(self) -> str: ...
    @property
    def dicom_port(self) -> int: ...
    @property
    def dicom_tls_port(self) -> int | None: ...
    @property
    def dicom_tls_cert(self) -> Path | None: ...
    @property
    def dicom_tls_key(self) -> Path | None: ...
    @property
    def dicom_tls_ca(self) -> Path | None: ...
    @property
    def dicom_associations(self) -> int: ...
    @property
    def dicom_images_per_s(self) -> float: ...
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
        self._store = object_store(settings, sync=sync)
        self._db = Database(settings.dsn("rr_ingest"), min_size=1, max_size=4)
        self._keeper = Database(settings.dsn("rr_keeper"), min_size=0, max_size=1)
        self._line = Line(settings.dsn("rr_ingest"))
        self._views = Database(settings.dsn("rr_app"), min_size=0, max_size=4)
        self._held = Held()
        self._open: dict[_Line, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []
        self._valkey: Redis
        self._committer: DirectCommitter
        self._callers: Callers
        self.port, self.tls_port = 0, 0

    async def start(self) -> None:
        """Open the database, then the port."""
        sys.setswitchinterval(_SWITCH_S)
        await asyncio.to_thread(self._store.prepare)
        await self._open_database()
        self._valkey = Redis.from_url(self._settings.valkey_url, socket_timeout=1, socket_connect_timeout=1)
        self._announce = Announcer(self._valkey)
        self._committer = DirectCommitter(self._line, self._announce.soon)
        await asyncio.to_thread(self._committer.open)
        self._callers = Callers(self._settings.aet, self._read_callers)
        self._loop = asyncio.get_running_loop()
        own = self._settings.dicom_tls_cert
        shield = None
        if own is not None:
            shield = Shield(own, self._settings.dicom_tls_key, self._settings.dicom_tls_ca, self._callers.table)
        views, store, aet = self._views, self._store, self._settings.aet
        room = Room(views, self._db, store, self._callers, aet, self._announce, shield, self._loop)
        self._services = Services(
            room, Limits(self._settings.dicom_associations, images_per_s=self._settings.dicom_images_per_s)
        )
        self.port = self._listen(self._settings.dicom_port, None)
        if self._settings.dicom_tls_port is not None:
            if shield is None:
                raise NoCertificate("dicom_tls_port needs dicom_tls_cert: a PEM file with our certificate and its key")
            self.tls_port = self._listen(self._settings.dicom_tls_port, shield)
        meters.ASSOCIATIONS.set_function(lambda: len(self._open))
        sweeper = QuietSweeper(self._db, self._held, self._announce, self._quiet_s)
        scrubber = Scrubber(self._db, Checker(self._db, store, self._announce), self._settings.scrub_mb_s * 1e6)
        strays, eraser = StraySweeper(self._db, store), Eraser(self._keeper, store)
        mover = Mover(self._keeper, store, bytes_s=self._settings.tier_mb_s * 1e6)
        duties = (sweeper, Sweeper(room), strays, eraser, scrubber, mover)
        self._tasks += [asyncio.create_task(each.run()) for each in duties]
        log.info("dicom listening", host=self._settings.host, port=self.port, tls_port=self.tls_port, aet=aet)

    def _listen(self, port: int, shield: Shield | None) -> int:
        """Open a port and accept from it; return its number."""
        opened = socket.create_server((self._settings.host, port), backlog=_BACKLOG, reuse_port=True)
        self._sockets.append(opened)
        threading.Thread(target=self._accept, args=(opened, shield), name="accept", daemon=True).start()
        return int(opened.getsockname()[1])

    async def stop(self) -> None:
        """Accept no more, let running messages end for a moment, abort what is left, commit what waits."""
        self._stopping = True
        for opened in self._sockets:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        await asyncio.to_thread(self._join, _DRAIN_S)
        with self._lock:
            left = list(self._open)
        for line in left:
            line.end()
        await asyncio.to_thread(self._join, 1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._committer.close)
        await self._announce.close()
        await self._valkey.aclose()
        await self._db.close()
        await self._views.close()
        await self._keeper.close()
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
                await self._keeper.open()
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

    def _accept(self, opened: socket.socket, shield: Shield | None) -> None:
        while not self._stopping:
            try:
                sock, _ = opened.accept()
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
            line = _Line(sock)
            thread = threading.Thread(target=self._serve, args=(line, shield), name="association", daemon=True)
            with self._lock:
                self._open[line] = thread
            thread.start()

    def _serve(self, line: _Line, shield: Shield | None) -> None:
        """Shake hands, where that is due, and serve: in the connection's own thread, so that nobody waits for it."""
        try:
            wire = Shielded(shield.accept(line.sock)) if shield else Wire(line.sock)
            line.association = Association(
                wire, self._store, self._committer, self._callers, self._held, self._services
            )
            line.association.run()
        except (OSError, Away) as exc:
            log.warning("no handshake", cause=str(exc)[:120])
        finally:
            line.sock.close()
            with self._lock:
                del self._open[line]


class NoCertificate(Exception):
    """TLS is asked for without a certificate."""


@dataclass(eq=False, slots=True)
class _Line:
    """A connection, before and while it is an association."""

    sock: socket.socket
    association: Association | None = None

    def end(self) -> None:
        """From another thread: say so, and close."""
        if self.association is not None:
            self.association.end()
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


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
