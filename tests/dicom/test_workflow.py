"""What a modality asks beside storing: its worklist, its steps, whether images are safe; and what that changes here."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (  # type: ignore[attr-defined] # made at run time
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    StorageCommitmentPushModel,
)

from readingroom.demo.sender import send
from tests.dicom.test_query_retrieve import identifier, query

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from pydicom.dataset import Dataset

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"
MPPS, IAN, COMMITMENT = ModalityPerformedProcedureStep, InstanceAvailabilityNotification, StorageCommitmentPushModel
ORDERS = """
INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name, birth_date, sex) VALUES
  ('{tenant}', 'p-{site}', '{tenant}-{site}', '4711', 'Müller^Jörg', '1970-01-02', 'M');
INSERT INTO rr.orders (tenant_id, site_id, accession_number, study_uid, patient_id, body, ordered_at) VALUES
  ('{tenant}', '{site}', 'A1', '1.2.{n}.1', 'p-{site}', '{{"modality": "CT", "procedure": "CT head", "priority": "STAT"}}',
   '2026-03-01T08:15:00Z'),
  ('{tenant}', '{site}', 'A2', '1.2.{n}.2', 'p-{site}', '{{"modality": "MR", "procedure": "MR knee", "priority": "URGENT"}}',
   '2026-03-02T09:00:00Z'),
  ('{tenant}', '{site}', 'A3', '1.2.{n}.3', 'p-{site}', '{{"modality": "CT", "procedure": "CT chest", "priority": "ROUTINE"}}',
   '2026-03-03T09:00:00Z');
INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, patient_id, accession_number, flags, doc)
SELECT tenant_id, study_uid, site_id, 1, 1, 'ordered', true, 'STAT', patient_id, accession_number, '{{}}', '{{}}'
  FROM rr.orders WHERE tenant_id = '{tenant}' AND site_id = '{site}';
UPDATE rr.orders SET cancelled = true WHERE accession_number = 'A3';
"""


@pytest.fixture
async def ordered(world: World) -> World:
    """Three orders a site, the third cancelled."""
    for n, (tenant, site) in enumerate((("north", "main"), ("north", "harbor"), ("south", "main")), 1):
        await world.conn.execute(ORDERS.format(tenant=tenant, site=site, n=n))
    return world


def step_keys(**inside: Any) -> dict[str, Any]:
    return {"ScheduledProcedureStepSequence": Sequence([identifier(
        {"Modality": "", "ScheduledProcedureStepStartDate": "", "ScheduledStationAETitle": ""} | inside
    )])}  # fmt: skip


def worklist(port: int, aet: str = "NORTH_MAIN", **keys: Any) -> list[Dataset]:
    status, found = query(
        port, ModalityWorklistInformationFind, aet,
        **{"AccessionNumber": "", "StudyInstanceUID": "", "PatientName": "", "PatientID": "",
           "RequestedProcedurePriority": "", "SpecificCharacterSet": "ISO_IR 100"} | step_keys() | keys,
    )  # fmt: skip
    assert status == 0
    return found


@pytest.mark.parametrize(("keys", "found"), [
    ({}, "A1 A2"),
    ({"PatientName": "MÜLLER*"}, "A1 A2"),
    ({"AccessionNumber": "A2"}, "A2"),
    ({"PatientID": "4712"}, ""),
    (step_keys(Modality="CT"), "A1"),
    (step_keys(ScheduledProcedureStepStartDate="20260302-"), "A2"),
    (step_keys(ScheduledProcedureStepStartDate="20260301"), "A1"),
    (step_keys(ScheduledStationAETitle="NORTH_MAIN"), "A1 A2"),
    (step_keys(ScheduledStationAETitle="OTHER"), ""),
])  # fmt: skip
async def test_a_modality_finds_its_sites_orders(
    ordered: World, listener: Listener, keys: dict[str, Any], found: str
) -> None:
    assert ordered
    items = await asyncio.to_thread(worklist, listener.port, **keys)
    assert [item.AccessionNumber for item in items] == found.split()
    for item in items:
        (step,) = item.ScheduledProcedureStepSequence
        assert str(item.PatientName) == "Müller^Jörg"
        assert item.StudyInstanceUID == f"1.2.1.{item.AccessionNumber[1]}"
        assert (step.ScheduledStationAETitle, step.Modality) == (
            "NORTH_MAIN",
            {"A1": "CT", "A2": "MR"}[item.AccessionNumber],
        )


@pytest.mark.dcmtk
async def test_dcmtk_reads_the_worklist(
    ordered: World, listener: Listener, dcmtk: Callable[..., CompletedProcess[str]]
) -> None:
    assert ordered
    done = await asyncio.to_thread(
        dcmtk, "findscu", "-v", "-W", "-aet", "NORTH_HARBOR", "-aec", "READINGROOM", "-k", "PatientName=M*", "-k",
        "StudyInstanceUID", "-k", "(0040,0100)[0].Modality=CT", "127.0.0.1", listener.port,
    )  # fmt: skip
    assert done.returncode == 0
    assert re.findall(r"\(0020,000d\) UI \[([0-9.]+)", done.stdout + done.stderr) == ["1.2.2.1"]


def begun(study_uid: str, **values: Any) -> Dataset:
    """What a modality says when it begins (PS3.4 F.7.2)."""
    return identifier({
        "PerformedProcedureStepStatus": "IN PROGRESS", "PerformedProcedureStepID": "1", "Modality": "CT",
        "PerformedSeriesSequence": Sequence(),
        "ScheduledStepAttributesSequence": Sequence([
            identifier({"StudyInstanceUID": study_uid, "AccessionNumber": "A1"})
        ]),
    } | values)  # fmt: skip


def over(images: list[str], status: str = "COMPLETED") -> Dataset:
    """What it says at the end."""
    named = [
        identifier({"ReferencedSOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "ReferencedSOPInstanceUID": u})
        for u in images
    ]
    series = identifier({"SeriesInstanceUID": "1.2.3", "ReferencedImageSequence": Sequence(named)})
    return identifier({"PerformedProcedureStepStatus": status, "PerformedSeriesSequence": Sequence([series])})


def told(port: int, steps: list[tuple[str, str, Dataset]], aet: str = "NORTH_MAIN", model: str = MPPS) -> list[int]:
    """Say N-CREATEs and N-SETs over one association; return the statuses."""
    ae = AE(aet)
    ae.add_requested_context(model)
    association = ae.associate("127.0.0.1", port, ae_title="READINGROOM")
    assert association.is_established
    statuses = []
    for kind, uid, data in steps:
        status, _ = (
            association.send_n_create(data, model, uid)
            if kind == "create"
            else association.send_n_set(data, model, uid)
        )
        statuses.append(status.Status)
    association.release()
    return statuses


async def test_a_step_tells_its_study_how_many_images_there_are(
    world: World, listener: Listener, images: Images
) -> None:
    study = images(count=3)
    uid, step = str(study[0].StudyInstanceUID), str(generate_uid())
    assert await asyncio.to_thread(told, listener.port, [("create", step, begun(uid))]) == [0]
    await asyncio.to_thread(send, study[:2], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    await asyncio.sleep(1.5)  # three times as long as counts as quiet
    assert [entry["kind"] for entry in await world.inbox()] == ["images", "images"]
    made = [str(one.SOPInstanceUID) for one in study]
    assert await asyncio.to_thread(told, listener.port, [("set", step, over(made))]) == [0]
    assert await world.value("SELECT rr.announced('north', 'main', $1)", uid) == 3
    entry = next(entry for entry in await world.inbox() if entry["kind"] == "announced")
    assert (entry["study_uid"], entry["site_id"], entry["apart"]) == (uid, "main", False)


async def test_a_step_of_an_order_without_images_reaches_the_order(ordered: World, listener: Listener) -> None:
    step = str(generate_uid())
    steps = [("create", step, begun("1.2.1.1")), ("set", step, over(["1.1", "1.2", "1.3"]))]
    assert await asyncio.to_thread(told, listener.port, steps[:1]) == [0]
    assert [i.AccessionNumber for i in await asyncio.to_thread(worklist, listener.port)] == ["A1", "A2"]
    assert await asyncio.to_thread(told, listener.port, steps[1:]) == [0]
    (entry,) = await ordered.inbox()
    assert (entry["kind"], entry["study_uid"], entry["patient_id"]) == ("announced", "1.2.1.1", "p-main")
    assert [i.AccessionNumber for i in await asyncio.to_thread(worklist, listener.port)] == ["A2"]


async def test_steps_follow_the_standards_states(world: World, listener: Listener) -> None:
    step = str(generate_uid())
    made = begun("1.2.3")
    said = [
        ("set", step, over([])), ("create", step, begun("1.2.3", PerformedProcedureStepStatus="COMPLETED")),
        ("create", step, begun("")), ("create", step, made), ("create", step, made), ("set", step, over([], "WAITING")),
        ("set", step, over(["1.1"], "IN PROGRESS")), ("set", step, over(["1.1", "1.2"], "DISCONTINUED")),
        ("set", step, over(["1.1"])),
    ]  # fmt: skip
    assert await asyncio.to_thread(told, listener.port, said) == [
        0x0112, 0x0106, 0x0120, 0x0000, 0x0111, 0x0106, 0x0000, 0x0000, 0x0110,
    ]  # fmt: skip
    (row,) = await world.rows("SELECT tenant_id, site_id, status, images FROM rr.performed_step")
    assert tuple(row.values()) == ("north", "main", "DISCONTINUED", 2)


async def test_a_notice_of_availability_announces_images(world: World, listener: Listener, images: Images) -> None:
    (image,) = images()
    await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    items = [identifier({"ReferencedSOPInstanceUID": f"1.{n}", "InstanceAvailability": how})
             for n, how in enumerate(("ONLINE", "NEARLINE", "UNAVAILABLE"))]  # fmt: skip
    series = identifier({"SeriesInstanceUID": "1.2", "ReferencedSOPSequence": Sequence(items)})
    notice = identifier({"StudyInstanceUID": image.StudyInstanceUID, "ReferencedSeriesSequence": Sequence([series])})
    said = [
        ("create", str(generate_uid()), notice),
        ("create", str(generate_uid()), identifier({"StudyInstanceUID": ""})),
    ]
    assert await asyncio.to_thread(told, listener.port, said, model=IAN) == [0x0000, 0x0120]
    assert await world.value("SELECT rr.announced('north', 'main', $1)", image.StudyInstanceUID) == 2
    assert "announced" in [entry["kind"] for entry in await world.inbox()]


def wanted(*named: tuple[str, str]) -> Dataset:
    items = [identifier({"ReferencedSOPClassUID": c, "ReferencedSOPInstanceUID": u}) for c, u in named]
    return identifier({"TransactionUID": str(generate_uid()), "ReferencedSOPSequence": Sequence(items)})


class Hears:
    """A modality that hears reports, over either association."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, Dataset]] = []
        self.answered = threading.Event()

    def sent(self, event: evt.Event) -> None:
        """A PDU has gone out: after a report, that of its answer."""
        if self.reports and isinstance(event.pdu, P_DATA_TF):
            self.answered.set()

    def __call__(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((event.event_type, event.event_information))
        return 0, None

    async def one(self) -> tuple[int, Dataset]:
        async with asyncio.timeout(30):
            while not self.reports:
                await asyncio.sleep(0.02)
        return self.reports[0]


def commit(
    port: int,
    data: Dataset,
    hears: Hears,
    *,
    stay: bool,
    aet: str = "NORTH_MAIN",
    instance: str = "1.2.840.10008.1.20.1.1",
) -> int:
    ae = AE(aet)
    ae.add_requested_context(COMMITMENT)
    association = ae.associate(
        "127.0.0.1", port, ae_title="READINGROOM",
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, hears), (evt.EVT_PDU_SENT, hears.sent)],
    )  # fmt: skip
    status, _ = association.send_n_action(data, 1, COMMITMENT, instance)
    assert not stay or hears.answered.wait(30)
    association.release()
    return int(status.Status)


@pytest.mark.parametrize("stay", [True, False])
async def test_a_commitment_tells_what_is_safe_and_what_is_not(
    world: World, listener: Listener, images: Images, *, stay: bool
) -> None:
    one, two, three = images(count=3)
    await asyncio.to_thread(send, [one, two, three], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    (broken,) = await world.rows("SELECT path FROM rr.instance WHERE sop_uid = $1", two.SOPInstanceUID)
    path = world.settings.objects / broken["path"]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    hears = Hears()
    taker = AE("NORTH_MAIN")
    taker.add_supported_context(COMMITMENT, scu_role=False, scp_role=True)
    server = taker.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, hears)])
    await world.conn.execute(
        "UPDATE rr.ae SET host = '127.0.0.1', port = $1 WHERE aet = 'NORTH_MAIN'", server.server_address[1]
    )
    try:
        ct = str(one.SOPClassUID)
        data = wanted(
            (ct, one.SOPInstanceUID), (ct, two.SOPInstanceUID), (ct, "1.2.3"), ("1.2.4", three.SOPInstanceUID)
        )
        assert await asyncio.to_thread(commit, listener.port, data, hears, stay=stay) == 0
        kind, report = await hears.one()
    finally:
        server.shutdown()
    assert (kind, report.TransactionUID) == (2, data.TransactionUID)
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == [one.SOPInstanceUID]
    failed = {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence}
    assert failed == {two.SOPInstanceUID: 0x0110, "1.2.3": 0x0112, three.SOPInstanceUID: 0x0119}
    async with asyncio.timeout(10):
        while await world.value("SELECT count(*) FROM rr.commitment"):
            await asyncio.sleep(0.02)
    assert len(hears.reports) == 1


async def test_a_commitment_that_asks_for_nothing_is_refused(world: World, listener: Listener) -> None:
    hears = Hears()
    assert await asyncio.to_thread(commit, listener.port, wanted(), hears, stay=False) == 0x0120
    some = wanted(("1.2", "1.3"))
    assert await asyncio.to_thread(commit, listener.port, some, hears, stay=False, instance="1.2.3") == 0x0112
    assert await world.value("SELECT count(*) FROM rr.commitment") == 0


async def test_a_commitment_says_nothing_of_another_sites_images(
    world: World, listener: Listener, images: Images
) -> None:
    (image,) = images()
    await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_HARBOR")
    assert await world.value("SELECT count(*) FROM rr.instance") == 1
    hears = Hears()
    data = wanted((str(image.SOPClassUID), str(image.SOPInstanceUID)))
    assert await asyncio.to_thread(commit, listener.port, data, hears, stay=True) == 0
    kind, report = await hears.one()
    assert kind == 2
    assert [item.FailureReason for item in report.FailedSOPSequence] == [0x0112]
