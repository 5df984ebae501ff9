"""The main job in numbers: how soon the stack is up, what it weighs, how fast images become offers."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from copy import deepcopy
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness  # first: it makes the packages importable
import psutil

from readingroom import orphans
from readingroom.demo import reader, scanner, studies
from readingroom.demo.client import LiveClient
from readingroom.demo.instance import Instance
from readingroom.demo.reader import Reader
from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD, groups, people
from readingroom.settings import Settings
from tests.dicom.raw import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

STUDIES, SLICES, SIZE = 120, 12, 128
BULK_SENDERS, BULK_INSTANCES = 2, 600
SETTLE_S, GAP_S, GIVE_UP_S = 8.0, 0.25, 60.0
AET = "HSA_CT1"


def encoded(
    template: list[Dataset], study_uid: str, patient: dict[str, str], accession: str
) -> list[tuple[str, bytes]]:
    """Return SOP Instance UID and data set of each image of a new study."""
    images = []
    for index, image in enumerate(template):
        copy = deepcopy(image)
        del copy.file_meta
        copy.StudyInstanceUID, copy.SeriesInstanceUID = study_uid, f"{study_uid}.1"
        copy.SOPInstanceUID = f"{study_uid}.1.{index + 1}"
        copy.PatientName, copy.PatientID = patient["name"], patient["mrn"]
        copy.PatientBirthDate, copy.PatientSex = patient["birth_date"].replace("-", ""), patient["sex"]
        copy.AccessionNumber = accession
        data = BytesIO()
        copy.save_as(data, implicit_vr=False, little_endian=True, enforce_file_format=False)
        images.append((str(copy.SOPInstanceUID), data.getvalue()))
    return images


def store(port: int, images: list[tuple[str, bytes]]) -> float:
    """Send images over one association, in a process of its own; return when the first response came.

    The clock is the machine's (CLOCK_MONOTONIC), the same in every process.
    """
    first = 0.0
    with Raw(port) as client:
        if client.associate(AET) != 2:  # noqa: PLR2004 - A-ASSOCIATE-AC, PS3.8 9.3.3
            raise ConnectionError("refused")
        for uid, data in images:
            status = client.store(uid, data)
            first = first or time.monotonic()
            if status:
                raise ConnectionError(f"{uid}: {status:#06x}")
    return first


def pss_mib(data: Path) -> float:
    """Return the memory of the whole instance, shared pages counted once."""
    supervisor = psutil.Process(int((data / "run" / "lock").read_text()))
    held = 0
    for process in {supervisor, *orphans.members(data)}:
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            held += process.memory_full_info().pss
    return held / 2**20


class Run:
    """One stack under measurement."""

    def __init__(self, data: Path) -> None:
        self.data, self.instance, self.group = data, Instance(data), groups()[0]
        self.patient = studies.patient(1)

    async def rows(self) -> list[harness.Row]:
        """Measure everything."""
        began = time.monotonic()
        try:
            await self.instance.start()
            up_s = time.monotonic() - began
            await people(Settings(data=self.data), [self.group])
            await asyncio.sleep(SETTLE_S)
            weight = await asyncio.to_thread(pss_mib, self.data)
            print(f"up in {up_s:.1f} s, {weight:.0f} MiB", file=sys.stderr)
            with ProcessPoolExecutor(BULK_SENDERS, mp_context=get_context("spawn")) as pool:
                waits = await self._offers(pool)
                rate = await self._bulk(pool)
        finally:
            await self.instance.stop()
        return [
            harness.Row("stack_up_s", up_s, "s", 45, "lower"),
            harness.Row("idle_pss_mib", weight, "MiB", 1229, "lower"),
            harness.Row("offer_ms_p50", harness.percentile(waits, 0.5), "ms", None, "lower"),
            harness.Row("offer_ms_p95", harness.percentile(waits, 0.95), "ms", 100, "lower"),
            harness.Row("offers", len(waits), "studies", 100, "higher"),
            harness.Row("ingest_inst_per_s", rate, "1/s", 400, "higher"),
        ]

    async def _studies(
        self, technologist: Session, template: list[Dataset]
    ) -> list[tuple[str, list[tuple[str, bytes]]]]:
        made = []
        for number in range(STUDIES):
            asked: dict[str, Any] = {
                "accession_number": f"BENCH-{number}", "priority": "STAT", "procedure": studies.HEAD_CT.procedure,
                "modality": "CT", "body_part": "HEAD", "patient": self.patient, "site": self.group.ids[AET],
                "expected_instances": SLICES,
            }  # fmt: skip
            uid = (await scanner.order(technologist, asked))["study_uid"]
            made.append((uid, encoded(template, uid, self.patient, asked["accession_number"])))
        return made

    async def _offers(self, pool: ProcessPoolExecutor) -> list[float]:
        """Send STAT studies one after the other to readers who read at once; return each offer's milliseconds."""
        reader._READS_S = 0.0  # noqa: SLF001 - what is measured is the machine, not the reader
        loop, url = asyncio.get_running_loop(), self.instance.url
        template = studies.images(studies.HEAD_CT, 1, self.patient, {"accession_number": "-"}, slices=SLICES, size=SIZE)
        technologist = Session(url)
        await technologist.login(self.group.email("technologist"), PASSWORD, None)
        made = await self._studies(technologist, template)
        await technologist.close()
        clients = [LiveClient(url, self.group.email(doctor.who), PASSWORD) for doctor in self.group.doctors]
        for client in clients:
            await client.connect()
        readers = [Reader(client) for client in clients]
        working = [asyncio.create_task(person.work()) for person in readers]
        await loop.run_in_executor(pool, store, self.instance.dicom[1], [])  # the process is there
        sent: dict[str, float] = {}
        for uid, images in made:
            sent[uid] = await loop.run_in_executor(pool, store, self.instance.dicom[1], images)
            await asyncio.sleep(GAP_S)
        end = loop.time() + GIVE_UP_S
        while len({uid for person in readers for uid in person.offered_at}) < len(sent) and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for client in clients:
            await client.close()
        seen = {uid: at for person in readers for uid, at in person.offered_at.items()}
        return [max(0.0, seen[uid] - at) * 1000 for uid, at in sent.items() if uid in seen]

    async def _bulk(self, pool: ProcessPoolExecutor) -> float:
        """Send images without orders from a few senders at once; return how many were stored a second."""
        loop = asyncio.get_running_loop()
        template = studies.images(
            studies.HEAD_CT, 2, self.patient, {"accession_number": "-"}, slices=BULK_INSTANCES // 10, size=SIZE
        )
        loads = []
        for sender in range(BULK_SENDERS):
            load = []
            for part in range(10):
                uid = f"2.25.{int(time.time() * 1e6)}{sender}{part}"
                load += encoded(template, uid, studies.patient(900 + sender), "")
            loads.append(load)
        began = time.monotonic()
        port = self.instance.dicom[1]
        await asyncio.gather(*(loop.run_in_executor(pool, store, port, load) for load in loads))
        return sum(map(len, loads)) / (time.monotonic() - began)


def measure() -> Iterator[harness.Row]:
    """Run a stack in a throw-away directory."""
    data = Path(tempfile.mkdtemp(prefix="rr-bench-", dir="/tmp"))
    data.chmod(0o711)
    try:
        yield from asyncio.run(Run(data).rows())
    finally:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    harness.main("main_job", measure)
