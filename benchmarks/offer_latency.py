"""From the first C-STORE response of a STAT study to its offer at a connected socket, alone and beside bulk senders."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness  # first: it makes the packages importable
from main_job import AET, encoded, store

from readingroom.demo import reader, scanner, studies
from readingroom.demo.client import LiveClient
from readingroom.demo.instance import Instance
from readingroom.demo.reader import Reader
from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD, groups, people
from readingroom.settings import Settings
from tests.dicom.raw import Raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pydicom.dataset import Dataset

STUDIES, SLICES, SIZE = 200, 4, 128  # each way
SENDERS, PART = 2, 60  # images of a bulk study
SETTLE_S, GAP_S, GIVE_UP_S, PAUSE_S = 8.0, 0.2, 60.0, 0.2


def flood(port: int, sender: int, template: list[Dataset], stop_at: float) -> int:
    """Send study after study without orders until the machine's clock says stop; return how many images."""
    count, blank = 0, f"2.25.{'1' * 20}"
    made = encoded(template, blank, studies.patient(900 + sender), "")  # once: modalities have a processor of their own
    while time.monotonic() < stop_at:
        uid = f"2.25.{time.time_ns()}{sender}"
        images = [(sop.replace(blank, uid), data.replace(blank.encode(), uid.encode())) for sop, data in made]
        with Raw(port) as client:
            if client.associate(AET) != 2:  # noqa: PLR2004 - A-ASSOCIATE-AC, PS3.8 9.3.3
                raise ConnectionError("refused")
            for uid, data in images:
                while client.store(uid, data):  # A700: the disk or the database has too much to do
                    time.sleep(PAUSE_S)
                count += 1
    return count


class Run:
    """One stack, Postgres and files synced to disk as they are by default."""

    def __init__(self, data: Path, pool: ProcessPoolExecutor) -> None:
        self.instance, self.group, self.pool = Instance(data), groups()[0], pool
        self.data = data
        self.sent: dict[str, float] = {}

    async def rows(self) -> AsyncIterator[harness.Row]:
        """Measure alone, then beside bulk senders."""
        await self.instance.start()
        try:
            await people(Settings(data=self.data), [self.group])
            await asyncio.sleep(SETTLE_S)
            alone, beside, rate = await self._measured()
        finally:
            await self.instance.stop()
        yield harness.Row("offer_ms_p50", harness.percentile(alone, 0.5), "ms", None, "lower")
        yield harness.Row("offer_ms_p95", harness.percentile(alone, 0.95), "ms", 100, "lower")
        yield harness.Row("offers", len(alone), "studies", STUDIES, "higher")
        yield harness.Row("offer_bulk_ms_p95", harness.percentile(beside, 0.95), "ms", 250, "lower")
        yield harness.Row("offers_bulk", len(beside), "studies", STUDIES, "higher")
        yield harness.Row("bulk_inst_per_s", rate, "1/s", None, "higher")

    async def _measured(self) -> tuple[list[float], list[float], float]:
        reader._READS_S = 0.0  # noqa: SLF001 - what is measured is the machine, not the reader
        loop = asyncio.get_running_loop()
        template = studies.images(
            studies.HEAD_CT, 1, studies.patient(1), {"accession_number": "-"}, slices=PART, size=SIZE
        )
        made = await self._ordered(template[:SLICES])
        clients = [LiveClient(self.instance.url, self.group.email(d.who), PASSWORD) for d in self.group.doctors]
        for client in clients:
            await client.connect()
        readers = [Reader(client) for client in clients]
        working = [asyncio.create_task(person.work()) for person in readers]
        port = self.instance.dicom[1]
        await asyncio.gather(*(loop.run_in_executor(self.pool, store, port, []) for _ in range(SENDERS + 1)))
        alone = await self._send(made[:STUDIES], readers)
        lasts_s = 2 * STUDIES * (GAP_S + 0.1)
        stop_at = time.monotonic() + lasts_s
        floods = [loop.run_in_executor(self.pool, flood, port, sender, template, stop_at) for sender in range(SENDERS)]
        beside = await self._send(made[STUDIES:], readers)
        print(f"bulk had {stop_at - time.monotonic():.0f} s left when the last study was sent", file=sys.stderr)
        rate = sum(await asyncio.gather(*floods)) / lasts_s
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for client in clients:
            await client.close()
        return alone, beside, rate

    async def _ordered(self, template: list[Dataset]) -> list[tuple[str, list[tuple[str, bytes]]]]:
        """Order every study, each of another patient, and make its images."""
        technologist = Session(self.instance.url)
        await technologist.login(self.group.email("technologist"), PASSWORD, None)
        made = []
        for number in range(2 * STUDIES):
            patient = studies.patient(1000 + number)
            asked: dict[str, Any] = {
                "accession_number": f"BENCH-{number}", "priority": "STAT", "procedure": studies.HEAD_CT.procedure,
                "modality": "CT", "body_part": "HEAD", "patient": patient, "site": self.group.ids[AET],
                "expected_instances": SLICES,
            }  # fmt: skip
            uid = (await scanner.order(technologist, asked))["study_uid"]
            made.append((uid, encoded(template, uid, patient, asked["accession_number"])))
        await technologist.close()
        return made

    async def _send(self, made: list[tuple[str, list[tuple[str, bytes]]]], readers: list[Reader]) -> list[float]:
        """Send STAT studies one after the other; return the milliseconds from each first response to its offer."""
        loop, sent = asyncio.get_running_loop(), {}
        for uid, images in made:
            try:
                sent[uid] = await loop.run_in_executor(self.pool, store, self.instance.dicom[1], images)
            except ConnectionError as exc:
                print(f"refused: {exc}", file=sys.stderr)  # it counts as a study without an offer
            await asyncio.sleep(GAP_S)
        end = loop.time() + GIVE_UP_S
        while not sent.keys() <= {u for r in readers for u in r.offered_at} and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # until the last offers are here
        seen = {uid: at for person in readers for uid, at in person.offered_at.items()}
        return [max(0.0, seen[uid] - at) * 1000 for uid, at in sent.items() if uid in seen]


async def _rows(data: Path, pool: ProcessPoolExecutor) -> list[harness.Row]:
    return [row async for row in Run(data, pool).rows()]


def measure() -> Iterator[harness.Row]:
    """Run a stack in a throw-away directory."""
    data = Path(tempfile.mkdtemp(prefix="rr-bench-", dir="/tmp"))
    data.chmod(0o711)
    try:
        with ProcessPoolExecutor(SENDERS + 1, mp_context=get_context("spawn")) as pool:
            yield from asyncio.run(_rows(data, pool))
    finally:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    harness.main("offer_latency", measure)
