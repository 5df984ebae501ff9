"""DICOMweb in numbers, each beside Orthanc's on the same data: frames, series, metadata, searches at 10,000 studies."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from copy import deepcopy
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import harness  # first: it makes the packages importable
import numpy as np
import pydicom
from lines import Peer, calls
from peers import orthanc
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from readingroom.demo.instance import Instance
from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD, groups, people
from readingroom.settings import Settings
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import FileDataset

SLICES, SIZE = 200, 512  # a CT series: 525 KB an image
STUDIES, MORE = 10_000, 100_000
ROUNDS, BLOCK = 12, 10  # blocks of calls, ours and theirs in turn
LEAD = 3  # calls that a block begins with and that are not timed: neither pays for what the other left in the caches
REST_S = 90
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


def compare(
    ours: Peer, theirs: Peer, make: Callable[[int], tuple[str, str]], *, clients: int = 1, block: int = BLOCK
) -> tuple[float, float]:
    """Return milliseconds a call, ours and theirs: the medians of blocks that ran in turn."""
    took: dict[Peer, list[float]] = {ours: [], theirs: []}
    for round_ in range(ROUNDS + 1):
        lead, asked = (
            [make(round_ * (LEAD + block) + n) for n in part] for part in (range(LEAD), range(LEAD, LEAD + block))
        )
        for peer in (ours, theirs) if round_ % 2 else (theirs, ours):
            before = [peer.request(*one) for one in lead]
            each = calls(peer, [peer.request(*one) for one in asked], clients, before) / block * 1000
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


TRIAGED = """
SELECT EXISTS (SELECT 1 FROM rr.dicom_study WHERE study_uid = $1 AND quiet_at IS NOT NULL)
   AND EXISTS (SELECT 1 FROM rr.inference_job WHERE study_uid = $1 AND images = $2)
   AND NOT EXISTS (SELECT 1 FROM rr.inference_job WHERE status IN ('queued', 'running'))
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
            await self._rest(settings)
            await asyncio.to_thread(same, ours, theirs)
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

    async def _rest(self, settings: Settings) -> None:
        """Wait until the series was triaged: what is measured is reading."""
        db = await Database(settings.admin_dsn, max_size=1).open()
        end = time.monotonic() + REST_S
        async with db.pool.acquire() as conn:
            while not await conn.fetchval(TRIAGED, STUDY, SLICES) and time.monotonic() < end:  # noqa: ASYNC110 - others do it
                await asyncio.sleep(0.5)
        await db.close()

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


def same(ours: Peer, theirs: Peer) -> None:
    """Check that both give the same pixels; raises ConnectionError when not."""
    found = []
    for peer in (ours, theirs):
        line = HTTPConnection(peer.host, peer.port)
        line.request(
            "GET", f"/dicom-web{PATH}/instances/{SERIES}.7/frames/1", None,
            {"Accept": FRAME} | ({"Authorization": f"Bearer {peer.token}"} if peer.token else {}),
        )  # fmt: skip
        found.append(line.getresponse().read().partition(b"\r\n\r\n")[2][: SIZE * SIZE * 2])
        line.close()
    if len(found[0]) != SIZE * SIZE * 2 or found[0] != found[1]:
        raise ConnectionError("the two servers do not give the same frame")


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
