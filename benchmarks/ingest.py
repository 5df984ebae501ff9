"""C-STORE in numbers, beside Orthanc and dcmtk's storescp: instances a second, CPU an instance, a STAT image under bulk.

Every server keeps its files on tmpfs and answers the same senders, in turns; ours and Orthanc sync to disk before they
answer, storescp never does and keeps no index. CPU is the server's own: of ours, listeners and PostgreSQL.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import harness  # first: it makes the packages importable
import psutil
import pydicom
import uvloop
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_AC

from gateway.ingest import dimse
from gateway.ingest.dimse import Operation, Tag
from readingroom import embedded
from readingroom.settings import ROLES, Settings
from storage.migrate import migrate
from tests.dicom.raw import CT, Raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEERS = Path(os.environ.get("READINGROOM_PEERS", harness.ROOT / ".peers")) / "bin"
AET = "BENCH"
ROUNDS = int(os.environ.get("INGEST_ROUNDS", "3"))
SCENARIOS = {"ct_s1": (1, 512, 120), "ct_s4": (4, 512, 40), "ct_s8": (8, 512, 20), "tiny_s4": (4, 16, 150)}
STATS, GAP_S = 40, 0.05
_START_S = 60.0


# -- the senders: every byte but the instance's UID is made beforehand -------------------------------------------------
def data_set(size: int, study: str, series: str, sop_uid: str) -> bytes:
    """Return a CT slice of ``size`` by ``size`` pixels."""
    image = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = study, series, sop_uid
    image.PatientID, image.Rows, image.Columns = study[-12:], size, size
    image.PixelData = os.urandom(size * size * 2)
    del image[0xFFFC, 0xFFFC]
    return encode(image, is_implicit_vr=False, is_little_endian=True) or b""


class Sender:
    """One association that sends slices of a series of its own."""

    def __init__(self, port: int, called: str, size: int) -> None:
        study, series = generate_uid(), generate_uid()
        self._uid = f"{generate_uid(prefix='1.2.826.0.1.3680043.8.498.')[:50]}1.1000000"
        self._raw = Raw(port)
        self._raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind, answer = self._raw.associate_as(AET, called, CT, str(ExplicitVRLittleEndian))
        if kind != 2:  # noqa: PLR2004 - A-ASSOCIATE-AC
            raise RuntimeError(f"no association with {called} on {port}")
        accepted = A_ASSOCIATE_AC()
        accepted.decode(struct.pack(">BBI", kind, 0, len(answer)) + answer)
        most = accepted.user_information.maximum_length or 0
        elements: dict[int, int | str] = {
            Tag.SOP_CLASS: CT, Tag.OPERATION: Operation.C_STORE, Tag.MESSAGE_ID: 1, Tag.PRIORITY: 0, Tag.SOP_UID: self._uid,
        }  # fmt: skip
        data = data_set(size, study, series, self._uid)
        self._message = bytearray(b"".join(dimse.message(1, elements, data, most)))
        self._places = [i for i in range(len(self._message)) if self._message.startswith(self._uid.encode(), i)]
        self._count = 0

    def send(self) -> None:
        """Send one slice and wait for success."""
        self._count += 1
        digits = f"{1000000 + self._count}".encode()
        for at in self._places:
            self._message[at + len(self._uid) - 7 : at + len(self._uid)] = digits
        self._raw.sock.sendall(self._message)
        status = self._raw.status()
        if status:
            raise RuntimeError(f"refused with {status:04X}")

    def close(self) -> None:
        """Release."""
        self._raw.sock.sendall(bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
        self._raw.pdu()
        self._raw.sock.close()


def _send(  # noqa: PLR0913, PLR0917 - what a process is started with
    port: int, called: str, size: int, count: int, barrier: Any, times: Any
) -> None:
    sender = Sender(port, called, size)
    barrier.wait(_START_S)
    begin = time.monotonic()
    for _ in range(count):
        sender.send()
    times.put((begin, time.monotonic()))
    sender.close()


def _bulk(port: int, called: str, ready: Any, stop: Any) -> None:
    sender = Sender(port, called, 512)
    sender.send()
    ready.release()
    while not stop.is_set():
        sender.send()
    sender.close()


# -- the servers ---------------------------------------------------------------------------------------------------------
@dataclass
class Server:
    """A server under test: where it listens, what it is called, and the processes that are it."""

    name: str
    called: str
    port: int
    roots: list[psutil.Process]
    clean: Callable[[], None]
    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu: list[float] = field(default_factory=list)

    def cpu_s(self) -> float:
        """Return the CPU seconds of the server so far, its dead children's too."""
        total = 0.0
        for root in self.roots:
            for process in (root, *root.children(recursive=True)):
                try:
                    spent = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                total += spent.user + spent.system
            spent = root.cpu_times()
            total += spent.children_user + spent.children_system
        return total


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("a server did not start") from None
            time.sleep(0.05)
        else:
            return


@contextmanager
def running(command: list[str], environment: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block."""
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait(port, process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def ours(directory: Path) -> Iterator[Server]:
    """PostgreSQL, Valkey and listeners as the supervisor starts them."""
    directory.chmod(0o755)
    settings = Settings(data=directory, dicom_port=free_port())
    embedded.prepare(settings)
    embedded.init_postgres(settings)
    started = [embedded.start_postgres(settings), embedded.start_valkey(settings)]
    try:
        for process, name in zip(started, (".s.PGSQL.5432", "valkey.sock"), strict=True):
            embedded.wait_for(settings.run / name, process)
        migrate(settings.admin_dsn, ROLES, settings.secret("roles"))
        uvloop.run(_known(settings.admin_dsn))
        command = [sys.executable, "-m", "readingroom.cli.main", "worker", "dicom"]
        environment = dict(settings.environment()) | {"PYTHONPATH": str(harness.ROOT)}
        with running(command, environment, settings.dicom_port) as listener:
            roots = [psutil.Process(listener.pid), psutil.Process(started[0].pid)]
            yield Server("ours", "READINGROOM", settings.dicom_port, roots, partial(_empty, settings.objects))
    finally:
        for process, how in zip(started, (signal.SIGINT, signal.SIGTERM), strict=True):
            process.send_signal(how)
            process.wait(20)


async def _known(dsn: str) -> None:
    conn = await asyncpg.connect(dsn)
    await conn.execute(
        "INSERT INTO rr.tenant (tenant_id, name) VALUES ('t', 'T');"
        "INSERT INTO rr.site (tenant_id, site_id, name, issuer) VALUES ('t', 'main', 'Main', 'i');"
        "INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, host, port) VALUES ('t', 'main', 'a', 'BENCH', 'localhost', 104)"
    )
    await conn.close()


def _empty(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            path.unlink()


@contextmanager
def orthanc(directory: Path) -> Iterator[Server]:
    """Orthanc with SQLite, syncing as it does by default."""
    port = free_port()
    (directory / "orthanc.json").write_text(json.dumps({
        "DicomAet": "ORTHANC", "DicomPort": port, "HttpPort": free_port(), "RemoteAccessAllowed": False,
        "StorageDirectory": str(directory / "store"), "IndexDirectory": str(directory / "store"),
        "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": False, "SyncStorageArea": True, "OverwriteInstances": False,
    }))  # fmt: skip
    command = [str(PEERS / "Orthanc"), str(directory / "orthanc.json")]
    with running(command, {"TCP_NODELAY": "1"}, port) as process:
        yield Server("orthanc", "ORTHANC", port, [psutil.Process(process.pid)], lambda: None)


@contextmanager
def storescp(directory: Path) -> Iterator[Server]:
    """Dcmtk's receiver, a process an association."""
    port = free_port()
    command = [str(PEERS / "storescp"), "--fork", "+xa", "--bit-preserving", "-od", str(directory), str(port)]
    with running(command, {"TCP_NODELAY": "1"}, port) as process:
        yield Server("dcmtk", "STORESCP", port, [psutil.Process(process.pid)], partial(_empty, directory))


# -- measuring -----------------------------------------------------------------------------------------------------------
def rate(server: Server, senders: int, size: int, count: int) -> tuple[float, float]:
    """Return instances a second, and the server's CPU seconds an instance."""
    context = get_context("spawn")
    barrier, times = context.Barrier(senders + 1), context.Queue()
    args = (server.port, server.called, size, count, barrier, times)
    processes = [context.Process(target=_send, args=args) for _ in range(senders)]
    for process in processes:
        process.start()
    barrier.wait(_START_S)
    before = server.cpu_s()
    spans = [times.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(30)
    spent = server.cpu_s() - before
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    server.clean()
    return senders * count / seconds, spent / (senders * count)


def stat(server: Server) -> list[float]:
    """Return how long single images take, each over an association of its own, in ms."""
    taken = []
    for _ in range(STATS):
        sender = Sender(server.port, server.called, 512)
        begin = time.monotonic()
        sender.send()
        taken.append(1000 * (time.monotonic() - begin))
        sender.close()
        time.sleep(GAP_S)
    return taken


def stat_under_bulk(server: Server) -> tuple[float | None, float | None]:
    """Return the 95th percentile of a single image alone, and beside two bulk senders, in ms."""
    alone = harness.percentile(stat(server), 0.95)
    context = get_context("spawn")
    ready, stop = context.Semaphore(0), context.Event()
    bulk = [context.Process(target=_bulk, args=(server.port, server.called, ready, stop)) for _ in range(2)]
    for process in bulk:
        process.start()
    for _ in bulk:
        ready.acquire(timeout=_START_S)
    busy = harness.percentile(stat(server), 0.95)
    stop.set()
    for process in bulk:
        process.join(30)
    server.clean()
    return alone, busy


def measure() -> Iterator[harness.Row]:
    """Run everything in turns and yield the rows."""
    base = Path(tempfile.mkdtemp(prefix="rr-ingest-", dir="/dev/shm"))
    base.chmod(0o755)
    rates: dict[tuple[str, str], list[float]] = {}
    cpu: dict[str, list[float]] = {}
    try:
        with ExitStack() as stack:
            mine = stack.enter_context(ours(_directory(base, "ours")))
            rate(mine, 1, 16, 50)  # warm
            for turn in range(ROUNDS):
                for name, what in SCENARIOS.items():
                    for make in (None, orthanc, storescp):
                        with ExitStack() as run:
                            directory = _directory(base, f"{name}-{turn}-{make.__name__ if make else 'ours'}")
                            server = run.enter_context(make(directory)) if make else mine
                            if make:
                                rate(server, 1, 16, 50)  # as warm as ours
                            per_s, spent = rate(server, *what)
                        shutil.rmtree(directory)
                        rates.setdefault((name, server.name), []).append(per_s)
                        if name == "ct_s4":
                            cpu.setdefault(server.name, []).append(spent)
                        print(f"{name:8} {server.name:8} {per_s:8.0f}/s {1000 * spent:6.2f} ms CPU", file=sys.stderr)
            alone, busy = stat_under_bulk(mine)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    yield from _rows(rates, cpu)
    added = None if alone is None or busy is None else max(0.0, busy - alone)
    yield harness.Row("stat_under_bulk_ms_p95", added, "ms", 200, "lower")
    yield harness.Row("stat_alone_ms_p95", alone, "ms", None, "lower")


def _directory(base: Path, name: str) -> Path:
    made = base / name
    made.mkdir()
    return made


def _rows(rates: dict[tuple[str, str], list[float]], cpu: dict[str, list[float]]) -> Iterator[harness.Row]:
    for peer, wanted in (("orthanc", 2.0), ("dcmtk", None)):
        for name in SCENARIOS:
            pairs = zip(rates[name, "ours"], rates[name, peer], strict=True)
            ratio = statistics.median(mine / theirs for mine, theirs in pairs)
            target = wanted if name in ("ct_s1", "ct_s4") else None
            yield harness.Row(f"{name}_vs_{peer}", ratio, "x", target, "higher")
        ratio = statistics.median(cpu["ours"]) / statistics.median(cpu[peer])
        yield harness.Row(f"cpu_per_ct_vs_{peer}", ratio, "x", 0.5 if wanted else None, "lower")
    for name in SCENARIOS:
        yield harness.Row(f"{name}_per_s", statistics.median(rates[name, "ours"]), "1/s", None, "higher")
    yield harness.Row("cpu_ms_per_ct", 1000 * statistics.median(cpu["ours"]), "ms", None, "lower")


if __name__ == "__main__":
    harness.main("ingest", measure)
