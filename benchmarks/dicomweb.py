"""DICOMweb in numbers, each beside Orthanc's on the same data: frames, series, metadata, searches at 10,000 studies."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
import threading
import time
from copy import deepcopy
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import harness  # first: it makes the packages importable
import numpy as np
import pydicom
from peers import orthanc
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from readingroom.demo.instance import Instance
from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD, groups, people
from readingroom.settings import Settings
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydicom.dataset import FileDataset

SLICES, SIZE = 200, 512  # a CT series: 525 KB an image
STUDIES, MORE = 10_000, 100_000
ROUNDS, BLOCK = 12, 10  # blocks of calls, ours and theirs in turn
_ROOM = 1 << 20  # of a client's buffer
STUDY = "1.2.826.0.1.3680043.10.99"
SERIES = f"{STUDY}.1"
PATH = f"/studies/{STUDY}/series/{SERIES}"
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON = "application/dicom+json"
DAY = 20240101
SEARCHES = {
    "uid": "/studies?StudyInstanceUID=1.2.3.{n}",
    "accession": "/studies?AccessionNumber=ACC{n}",
    "name_prefix": "/studies?PatientName=NAME{n}*",
    "date_week": "/studies?StudyDate=20240110-20240116&limit=50",
}


class Peer:
    """One server: its address, and what its calls carry besides."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url, token
        at = urlsplit(url)
        self.host, self.port = at.hostname or "127.0.0.1", at.port or 80

    def request(self, path: str, accept: str) -> bytes:
        """Return the bytes of a GET below ``/dicom-web``."""
        head = f"GET /dicom-web{path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: {accept}\r\n"
        return (head + (f"Authorization: Bearer {self.token}\r\n" if self.token else "") + "\r\n").encode()

    def connect(self) -> Line:
        """Return a new connection."""
        return Line(self)


class Line:
    """A connection that is kept, read with as little of our own as can be, so that the server is what is measured."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._socket = peer, _connected(peer)
        self._held = bytearray(b" ") * _ROOM  # written to before anything is timed
        self._from = self._to = 0  # what of it was received and not taken yet

    def get(self, request: bytes) -> int:
        """Send a request and read its whole answer; return the size of the body.

        Raises:
            ConnectionError: another status than 200.
        """
        self._socket.sendall(request)
        head = self._until(b"\r\n\r\n").lower()
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(head[:200].decode(errors="replace"))
        if b"transfer-encoding: chunked" in head:
            return self._chunks()
        if b"content-length:" not in head:  # the connection ends with the body
            return self._to_the_end()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        self._take(size)
        return size

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _until(self, end: bytes) -> bytes:
        while (at := self._held.find(end, self._from, self._to)) < 0:
            self._more()
        head = bytes(self._held[self._from : at])
        self._from = at + len(end)
        return head + b"\r\n"

    def _more(self) -> None:
        if self._from:
            left = self._to - self._from
            self._held[:left] = self._held[self._from : self._to]
            self._from, self._to = 0, left
        if not (size := self._socket.recv_into(memoryview(self._held)[self._to :])):
            raise ConnectionError("closed")
        self._to += size

    def _take(self, size: int) -> None:
        while (held := self._to - self._from) < size:
            size -= held
            self._from = self._to = 0
            self._more()
        self._from += size

    def _to_the_end(self) -> int:
        total = self._to - self._from
        while size := self._socket.recv_into(self._held):
            total += size
        self.close()
        self._socket, self._from, self._to = _connected(self._peer), 0, 0
        return total

    def _chunks(self) -> int:
        total = 0
        while size := int(self._until(b"\r\n").partition(b"\r\n")[0], 16):
            self._take(size + 2)
            total += size
        self._until(b"\r\n")
        return total


def _connected(peer: Peer) -> socket.socket:
    line = socket.create_connection((peer.host, peer.port), timeout=60)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def calls(peer: Peer, requests: Sequence[bytes], clients: int = 1) -> float:
    """Return seconds for the requests, spread over that many clients at a time."""
    lines = [peer.connect() for _ in range(clients)]

    def work(line: Line, mine: Sequence[bytes]) -> None:
        for request in mine:
            line.get(request)

    threads = [threading.Thread(target=work, args=(line, requests[at::clients])) for at, line in enumerate(lines)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    for line in lines:
        line.close()
    return took


def compare(
    ours: Peer, theirs: Peer, make: Callable[[int], tuple[str, str]], *, clients: int = 1, block: int = BLOCK
) -> tuple[float, float]:
    """Return milliseconds a call, ours and theirs: the medians of blocks that ran in turn."""
    took: dict[Peer, list[float]] = {ours: [], theirs: []}
    for round_ in range(ROUNDS + 1):
        asked = [make(round_ * block + n) for n in range(block)]
        for peer in (ours, theirs) if round_ % 2 else (theirs, ours):
            each = calls(peer, [peer.request(*one) for one in asked], clients) / block * 1000
            if round_:  # the first warms up
                took[peer].append(each)
    return float(np.median(took[ours])), float(np.median(took[theirs]))


def series() -> Iterator[bytes]:
    """Yield a CT series of real pixels, as Part 10 files."""
    template: FileDataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    pixels = np.tile(template.pixel_array, (SIZE // 128, SIZE // 128))
    template.Rows = template.Columns = SIZE
    template.StudyInstanceUID, template.SeriesInstanceUID = STUDY, SERIES
    template.PatientID, template.AccessionNumber = "BENCH", "BENCH1"
    for number in range(1, SLICES + 1):
        image = deepcopy(template)
        image.InstanceNumber, image.SOPInstanceUID = number, UID(f"{SERIES}.{number}")
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PixelData = np.roll(pixels, number, 0).tobytes()
        out = BytesIO()
        image.save_as(out, enforce_file_format=True)
        yield out.getvalue()


def small(number: int) -> bytes:
    """Return a tiny study: what Orthanc is filled with, as our rows are by :data:`FILL`."""
    image = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")), stop_before_pixels=True)
    image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number}.1.1")
    image.PatientID, image.PatientName, image.AccessionNumber = f"P{number}", f"NAME{number}^A", f"ACC{number}"
    image.StudyDate = str(DAY + number % 28)
    out = BytesIO()
    image.save_as(out, enforce_file_format=True)
    return out.getvalue()


# One study, series and image a number, as ingest writes them, told quiet: an archive at rest, nobody triages it meanwhile.
# The header is that of the series above.
FILL = """
WITH made AS (SELECT n, '1.2.3.' || n AS uid FROM generate_series($3::int, $4::int) n),
     like_ AS (SELECT header FROM rr.dicom_study WHERE tenant_id = $1 AND study_uid = $5),
     p AS (INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name, birth_date, sex)
           SELECT $1, 'bench' || n, 'bench', 'P' || n, 'NAME' || n || '^A', '1970-01-01', 'F' FROM made),
     s AS (INSERT INTO rr.series (tenant_id, study_uid, series_uid, site_id, modality, header, images)
           SELECT $1, uid, uid || '.1', $2, 'CT', x.header, 1 FROM made CROSS JOIN
                  (SELECT header FROM rr.series WHERE tenant_id = $1 AND study_uid = $5) x),
     i AS (INSERT INTO rr.instance (tenant_id, study_uid, series_uid, sop_uid, site_id, sop_class, transfer_syntax, path,
                                    size, sha256, header)
           SELECT $1, uid, uid || '.1', uid || '.1.1', $2, x.sop_class, x.transfer_syntax, x.path, x.size, x.sha256, x.header
             FROM made CROSS JOIN (SELECT * FROM rr.instance WHERE tenant_id = $1 AND study_uid = $5 LIMIT 1) x)
INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, accession_number, study_date,
                            study_time, header, images, quiet_at)
SELECT $1, uid, $2, 'bench' || n, uid, 'ACC' || n, (20240101 + n % 28)::text, '080000', like_.header, 1, now()
  FROM made CROSS JOIN like_
"""


class Run:
    """Both servers, filled alike."""

    def __init__(self, data: Path) -> None:
        self.data, self.instance, self.group = data, Instance(data), groups()[0]

    async def rows(self, theirs: Peer) -> list[harness.Row]:
        """Measure everything."""
        try:
            await self.instance.start()
            settings = Settings(data=self.data)
            await people(settings, [self.group])
            ours = await self._log_in()
            await self._images(ours, theirs)
            rows = await asyncio.to_thread(retrieve, ours, theirs)
            print("filling with 10,000 studies", file=sys.stderr)
            await self._fill(settings, 1, STUDIES)
            await asyncio.to_thread(fill, theirs)
            rows += await asyncio.to_thread(searches, ours, theirs)
            few = await asyncio.to_thread(alone, ours, STUDIES)
            print("growing to 100,000 studies", file=sys.stderr)
            await self._fill(settings, STUDIES + 1, MORE)
            ours = await self._log_in()
            many = await asyncio.to_thread(alone, ours, MORE)
            growth = max(many[name] / few[name] for name in SEARCHES)
            rows += [harness.Row(f"qido_{name}_100k_ms", many[name], "ms", None, "lower") for name in SEARCHES]
            return [*rows, harness.Row("qido_growth_10k_to_100k", growth, "x", 3, "lower")]
        finally:
            await self.instance.stop()

    async def _log_in(self) -> Peer:
        session = Session(self.instance.url)
        await session.login(self.group.email("admin"), PASSWORD, None)
        await session.close()
        return Peer(self.instance.url, session.token or "")

    async def _images(self, ours: Peer, theirs: Peer) -> None:
        def send() -> None:
            here, there = HTTPConnection(ours.host, ours.port), HTTPConnection(theirs.host, theirs.port)
            for file in series():
                body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--b--\r\n"
                of = 'multipart/related; type="application/dicom"; boundary=b'
                site = self.group.ids[self.group.hospitals[0].aet]
                post(here, ours, f"/dicom-web/studies?site={site}", body, of)
                post(there, theirs, "/instances", file, "application/dicom")

        await asyncio.to_thread(send)

    async def _fill(self, settings: Settings, first: int, last: int) -> None:
        db = await Database(settings.admin_dsn, max_size=1).open()
        tenant, site = self.group.ids["tenant"], self.group.ids[self.group.hospitals[0].aet]
        async with db.pool.acquire() as conn:
            await conn.execute(FILL, tenant, site, first, last, STUDY, timeout=300)
            await conn.execute("VACUUM ANALYZE", timeout=300)
        await db.close()


def fill(theirs: Peer) -> None:
    """Give Orthanc the studies."""
    line = HTTPConnection(theirs.host, theirs.port)
    for number in range(1, STUDIES + 1):
        post(line, theirs, "/instances", small(number), "application/dicom")


def post(line: HTTPConnection, peer: Peer, path: str, body: bytes, of: str) -> None:
    """Send something; raises ConnectionError when it is refused."""
    line.request(
        "POST", path, body, {"Content-Type": of} | ({"Authorization": f"Bearer {peer.token}"} if peer.token else {})
    )
    answer = line.getresponse()
    said = answer.read()
    if answer.status != 200:  # noqa: PLR2004
        raise ConnectionError(f"{path}: {answer.status} {said[:200]!r}")


def retrieve(ours: Peer, theirs: Peer) -> list[harness.Row]:
    """Measure frames, a series, its metadata."""

    def frame(n: int) -> tuple[str, str]:
        return f"{PATH}/instances/{SERIES}.{n % SLICES + 1}/frames/1", FRAME

    rows = []
    for name, make, clients, block, target in (
        ("frame_c1", frame, 1, 20, 2.5),
        ("frame_c4", frame, 4, 40, 3.0),
        ("series_metadata", lambda _: (f"{PATH}/metadata", JSON), 1, 1, 100.0),
        ("series_retrieve", lambda _: (PATH, DICOM), 1, 1, 2.0),
    ):
        rows += ratio(name, compare(ours, theirs, make, clients=clients, block=block), target)
    return rows


def ratio(name: str, took: tuple[float, float], target: float) -> list[harness.Row]:
    """Return how often ours fits into theirs, and both times."""
    ours, theirs = took
    print(f"{name}: ours {ours:.2f} ms, Orthanc {theirs:.2f} ms", file=sys.stderr)
    return [
        harness.Row(f"{name}_vs_orthanc", theirs / ours, "x", target, "higher"),
        harness.Row(f"{name}_ms", ours, "ms", None, "lower"),
        harness.Row(f"{name}_orthanc_ms", theirs, "ms", None, "lower"),
    ]


def _search(name: str, studies: int) -> Callable[[int], tuple[str, str]]:
    return lambda n: (SEARCHES[name].format(n=1 + (n * 7919) % studies), JSON)


def searches(ours: Peer, theirs: Peer) -> list[harness.Row]:
    """Measure the searches at 10,000 studies."""
    rows = []
    for name in SEARCHES:
        rows += ratio(f"qido_{name}_10k", compare(ours, theirs, _search(name, STUDIES), block=10), 30)
    return rows


def alone(ours: Peer, studies: int) -> dict[str, float]:
    """Return milliseconds of each search of ours: the best of five blocks."""
    return {
        name: min(
            calls(ours, [ours.request(*_search(name, studies)(r * 50 + n)) for n in range(50)]) / 50 * 1000
            for r in range(5)
        )
        for name in SEARCHES
    }


def measure() -> list[harness.Row]:
    """Run both servers and measure."""
    data = Path(tempfile.mkdtemp(prefix="rr-bench-", dir="/tmp"))
    data.chmod(0o755)
    theirs = Path(tempfile.mkdtemp(prefix="rr-peer-", dir="/dev/shm"))
    try:
        with orthanc(theirs) as (url, _):
            return asyncio.run(Run(data).rows(Peer(url)))
    finally:
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(theirs, ignore_errors=True)


if __name__ == "__main__":
    harness.main("dicomweb", measure)
