"""A worker claims, judges, tells and closes; whatever dies or fails on the way, the study hears it once."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from actors.domain.errors import BadPayload, ReadingRoomError, Retry, WrongStatus
from actors.domain.jobs import MOST_ATTEMPTS
from inference.triage import result
from inference.triage.model import HeadCtModel
from inference.worker import TriageWorker
from readingroom.demo.phantom import head_ct
from storage.ingest import Arrival, Person, store_images
from storage.jobs import JobStore
from storage.objects import ObjectStore, Place
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from inference.triage.preprocess import Scan
    from inference.triage.result import Finding
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

ADA = {"name": "Phantom^Ada", "mrn": "P1", "birth_date": "1950-02-03", "sex": "F"}
_SITE = "INSERT INTO rr.tenant VALUES ('t', 'T'); INSERT INTO rr.site VALUES ('t', 'main', 'Main', NULL, 'main')"
_ADD = "INSERT INTO rr.inference_job (tenant_id, job_id, study_uid, images, priority) VALUES ('t', $1, $2, 28, 0)"
_STATE = "SELECT status, attempts, error FROM rr.inference_job WHERE job_id = 'j'"
_DUE_NOW = "UPDATE rr.inference_job SET not_before = now()"


class Told:
    """Studies that remember what they were told, once a key; ``refuse`` is raised instead while there is one."""

    def __init__(self) -> None:
        self.heard: dict[str, Any] = {}
        self.asks = 0
        self.refuse: Exception | None = None

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        self.asks += 1
        if self.refuse is not None:
            raise self.refuse
        assert envelope.idem is not None
        if self.heard.setdefault(envelope.idem, (str(key), envelope.command)) != (str(key), envelope.command):
            raise BadPayload
        return {"version": 1}


class Stub:
    """A model that says what it is told to say, or fails."""

    name, version = "stub", "1"

    def __init__(self, *says: float | Exception) -> None:
        self.says, self.calls = list(says), 0

    def __call__(self, scan: Scan) -> Finding:
        self.calls += 1
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Exception):
            raise said
        return result.bleed(self.name, self.version, {"suspected_ml": said}, above_ml=1.5)


class Room:
    """A database with a study's images stored as ingest stores them, and one queued job ``j``."""

    def __init__(self, db: Database, admin: asyncpg.Connection[asyncpg.Record], store: ObjectStore) -> None:
        self.db, self.admin, self.store, self.told = db, admin, store, Told()

    def worker(self, model: Any = None, *, name: str = "inference/0", lease_s: float = 60.0) -> TriageWorker:
        jobs = JobStore(self.db, name, lease_s=lease_s)
        return TriageWorker(jobs, self.told, self.store.open, HeadCtModel if model is None else lambda: model)

    async def state(self) -> tuple[Any, ...]:
        row = await self.admin.fetchrow(_STATE)
        assert row is not None
        return tuple(row)

    @property
    def said(self) -> Any:
        ((key, command),) = self.told.heard.values()
        assert key.startswith("study/t/2.25.")
        return command


def _arrival(store: ObjectStore, ds: Dataset) -> Arrival:
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    data = file.getvalue()
    place = Place("t", "main", ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    incoming = store.incoming(data[:200])
    incoming.write(data[200:])
    stored = incoming.settle(place, ds.SOPInstanceUID.encode()[-32:].rjust(32, b"0"))
    header = json.loads(json.dumps({tag: at for tag, at in ds.to_json_dict().items() if tag != "7FE00010"}))
    who = Person(issuer="main", mrn="P1", name="Phantom^Ada", birth_date="1950-02-03", sex="F")
    return Arrival(
        tenant_id="t",
        site_id="main",
        study_uid=str(ds.StudyInstanceUID),
        series_uid=str(ds.SeriesInstanceUID),
        sop_uid=str(ds.SOPInstanceUID),
        sop_class=str(ds.SOPClassUID),
        transfer_syntax=str(ds.file_meta.TransferSyntaxUID),
        stored=stored,
        header=header,
        person=who,
        accession_number="A1",
        study_date=ds.StudyDate,
        study_time=ds.StudyTime,
        modality=ds.Modality,
        study_modality=ds.Modality,
        body_part=str(ds.get("BodyPartExamined", "")),
        laterality="",
        procedure=ds.StudyDescription,
        priority="STAT",
    )


@pytest.fixture
async def put(fresh: Settings, tmp_path: Path) -> AsyncIterator[Callable[[list[Dataset]], Any]]:
    admin = await asyncpg.connect(fresh.admin_dsn)
    await admin.execute(_SITE)
    infer, ingest = await Database(fresh.dsn("rr_infer")).open(), await Database(fresh.dsn("rr_ingest")).open()
    store = ObjectStore(tmp_path / "objects", b"k" * 32, sync=False)
    store.prepare()

    async def stored(slices: list[Dataset]) -> Room:
        async with ingest.scope(["t"]) as conn:
            await store_images(conn, [_arrival(store, ds) for ds in slices])
        await admin.execute(_ADD, "j", slices[0].StudyInstanceUID)
        return Room(infer, admin, store)

    yield stored
    await infer.close()
    await ingest.close()
    await admin.close()


@pytest.fixture
async def room(put: Callable[[list[Dataset]], Any]) -> Room:
    made: Room = await put(head_ct(1, bleed=True, patient=ADA, slices=28, size=64))
    return made


@pytest.mark.parametrize(("bleeds", "acuity"), [(True, "suspected_critical"), (False, "nothing_flagged")])
async def test_a_stored_head_is_judged_from_its_pixels(put: Any, bleeds: bool, acuity: str) -> None:  # noqa: FBT001
    room: Room = await put(head_ct(3, bleed=bleeds, patient=ADA))
    worker = room.worker()
    assert await worker.step()
    assert (room.said.status, room.said.acuity, room.said.model) == ("ok", acuity, "reference_head_ct")
    assert ("Possible intracranial haemorrhage" in room.said.headline) is bleeds
    assert list(room.told.heard) == ["triage/j"]
    assert room.said.job_id == "j"
    assert await room.state() == ("done", 1, None)
    assert not await worker.step()
    assert worker.done == 1


async def test_another_modality_is_not_assessed(put: Any) -> None:
    slices = head_ct(1, bleed=True, patient=ADA, slices=24, size=64)
    for ds in slices:
        ds.Modality = "MR"
    room: Room = await put(slices)
    await room.worker().step()
    assert (room.said.status, room.said.acuity) == ("not_assessed", "not_assessed")
    assert room.said.headline == "Not assessed: only CT of the head is"
    assert await room.state() == ("done", 1, None)


async def test_a_head_that_no_word_names_is_known_by_its_pixels(put: Any) -> None:
    slices = head_ct(3, bleed=True, patient=ADA, order={"procedure": "Trauma"})
    for ds in slices:
        del ds.BodyPartExamined
        ds.SeriesDescription = ds.ProtocolName = ""
    room: Room = await put(slices)
    await room.worker().step()
    assert room.said.acuity == "suspected_critical"


async def test_what_was_found_is_kept_and_told_again_when_the_study_was_away(room: Room) -> None:
    model = Stub(9.0, 1.0)
    room.told.refuse = Retry()
    await room.worker(model).step()
    assert await room.state() == ("queued", 0, "retry")
    room.told.refuse = None
    await room.admin.execute(_DUE_NOW)
    await room.worker(Stub(0.0), name="inference/1").step()
    assert room.said.measures == {"suspected_ml": 9.0}  # not a second opinion
    assert model.calls == 1
    assert (await room.state())[0] == "done"


async def test_a_worker_killed_after_telling_leaves_one_result(room: Room) -> None:
    worker = room.worker(Stub(9.0))
    jobs = worker._jobs

    async def killed(_job: Any) -> bool:
        raise asyncio.CancelledError

    jobs.finish = killed  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await worker.step()
    again = room.worker(Stub(0.0))
    await again._jobs.release()
    await again.step()
    assert room.told.asks == 2
    assert room.said.measures == {"suspected_ml": 9.0}
    assert (await room.state())[0] == "done"


async def test_a_job_is_parked_after_five_failures_and_the_study_is_told(room: Room) -> None:
    worker = room.worker(Stub(RuntimeError("no")))
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert await worker.step()
        assert (await room.state())[:2] == ("queued" if attempt < MOST_ATTEMPTS else "parked", attempt)
        await room.admin.execute(_DUE_NOW)
    assert (room.said.status, room.said.acuity) == ("failed", "not_assessed")
    assert room.said.headline == "Not assessed: triage failed 5 times (RuntimeError)"
    assert not await worker.step()


async def test_a_job_that_kills_its_workers_is_parked_unjudged(room: Room) -> None:
    for _ in range(MOST_ATTEMPTS):
        jobs = JobStore(room.db, "inference/0")
        assert await jobs.claim()
        await jobs.release()
    model = Stub(9.0)
    await room.worker(model).step()
    assert model.calls == 0
    assert room.said.headline == "Not assessed: triage failed 5 times (its worker died each time)"
    assert (await room.state())[0] == "parked"


async def test_a_missing_file_is_tried_again_rather_than_called_not_assessed(room: Room) -> None:
    path = room.store.root / await room.admin.fetchval("SELECT path FROM rr.instance LIMIT 1")
    aside = path.with_suffix(".aside")
    path.rename(aside)
    await room.worker(Stub(9.0)).step()
    assert await room.state() == ("queued", 1, "Unreadable")
    assert not room.told.heard
    aside.rename(path)
    await room.admin.execute(_DUE_NOW)
    await room.worker(Stub(9.0)).step()
    assert room.said.acuity == "suspected_critical"


@pytest.mark.parametrize(("refusal", "status"), [(WrongStatus(), "parked"), (BadPayload(), "done")])
async def test_a_refusal_for_good_ends_the_job(room: Room, refusal: ReadingRoomError, status: str) -> None:
    room.told.refuse = refusal
    await room.worker(Stub(9.0)).step()
    assert (await room.state())[0] == status


async def test_a_worker_that_lost_its_lease_says_nothing(room: Room) -> None:
    class Slow(Stub):
        def __call__(self, scan: Scan) -> Finding:
            import time  # noqa: PLC0415 - stands for a long inference

            time.sleep(0.6)
            return super().__call__(scan)

    slow = room.worker(Slow(9.0), lease_s=0.3)

    async def stolen() -> None:
        await asyncio.sleep(0.05)
        await room.admin.execute("UPDATE rr.inference_job SET worker = 'inference/9'")

    await asyncio.gather(slow.step(), stolen())
    assert not room.told.heard
    assert (await room.state())[0] == "running"  # it is the other's
    assert slow.done == 0


async def test_it_runs_wakes_at_a_nudge_and_outlives_a_broken_queue(room: Room) -> None:
    worker = room.worker(Stub(9.0))
    claim, broken = worker._jobs.claim, True

    async def sometimes() -> Any:
        nonlocal broken
        if broken:
            broken = False
            raise ConnectionResetError
        return await claim()

    worker._jobs.claim = sometimes  # type: ignore[method-assign]
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(20):
        while worker.done < 1:
            await asyncio.sleep(0.02)
        await room.admin.execute(_ADD, "k", "1.2.3")
        worker.wake()
        while worker.done < 2:
            await asyncio.sleep(0.02)
    assert worker.serving
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert not worker.serving
    assert len(room.told.heard) == 2


async def test_a_model_that_cannot_be_loaded_fails_the_job_not_the_worker(room: Room) -> None:
    def broken() -> Any:
        raise RuntimeError("no such weights")

    worker = TriageWorker(JobStore(room.db, "inference/0"), room.told, room.store.open, broken)
    await worker.step()
    assert await room.state() == ("queued", 1, "RuntimeError")


def test_a_finding_is_the_command_it_becomes() -> None:
    finding = result.bleed("m", "1", {"suspected_ml": 12.4}, above_ml=1.5)
    assert finding.headline == "Possible intracranial haemorrhage, 12 mL (reference model, not clinically validated)"
    command = finding.command("j")
    assert (command.job_id, command.acuity, command.measures) == ("j", "suspected_critical", {"suspected_ml": 12.4})
    assert result.Finding(**finding.document()) == finding
    assert "normal" not in replace(result.bleed("m", "1", {"suspected_ml": 0.0}, above_ml=1.5)).headline.lower()
