"""Merges and moves through real actors and a real PostgreSQL: the same in one process and on Ray."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from actors.domain import commands as c
from actors.domain.identity import Principal, minted_study_uid, study_key
from actors.domain.replay import replay
from actors.domain.study import load
from actors.domain.words import Priority, Role, SignKind
from storage import audit, damage, journal
from storage.pool import Database
from tests.actors.night import ADA, MAX, PATIENT, Night

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.postgres

TESS = Principal("tess", "t", Role.TECHNOLOGIST, frozenset({"harbor"}))
SECOND = replace(PATIENT, patient_id="p2", mrn="2")
ORDER = c.Order("harbor", "A1", Priority.STAT, "CT head", "CT", PATIENT)


async def check(night: Night, *study_uids: str) -> None:
    """The rows are what the journals say, and the audit chain holds."""
    db = await Database(night.settings.dsn("rr_host")).open()
    async with db.scope(["t"]) as conn:
        for uid in study_uids:
            assert replay(uid, await journal.read(conn, "t", f"study/{uid}")) == load(await night.doc(uid))
        assert (await audit.verify(conn, "t")).intact
    await db.close()


async def patient(night: Night, patient_id: str) -> dict[str, Any]:
    [row] = await night.rows("SELECT merged_into, survivor FROM rr.patient WHERE patient_id = $1", patient_id)
    return dict(row)


async def test_a_merge_reaches_every_study_and_what_comes_later_and_is_undone(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.1")
    offer = await night.offered("1.2.1")
    await night.study("1.2.1", c.Accept(offer["offer_id"]), ADA)
    await night.study("1.2.1", c.StartReading(), ADA)
    await night.study("1.2.1", c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    await night.study("1.2.1", c.Sign(SignKind.FINAL, 1), ADA)
    await night.images("1.2.2")
    await night.images("1.2.3", patient="p2")
    for uid in ("1.2.2", "1.2.3"):
        await night.until(uid, lambda d: d.get("images") == 1)
    answer = await night.study("1.2.2", c.MergePatient("p1", SECOND, "one person"), TESS, idem="m1")
    assert sorted(answer["merged"]) == ["1.2.1", "1.2.2"]
    assert answer["row"]["patient"]["mrn"] == "2"
    assert await night.study("1.2.2", c.MergePatient("p1", SECOND, "one person"), TESS, idem="m1") == answer
    docs = {uid: await night.doc(uid) for uid in ("1.2.1", "1.2.2", "1.2.3")}
    assert {uid: (d["patient_id"], d["priors"]) for uid, d in docs.items()} == dict.fromkeys(docs, ("p2", 2))
    assert docs["1.2.1"]["report"]["status"] == "final"
    assert sorted(docs["1.2.1"]["flags"]) == ["no_order", "patient_after_sign"]
    assert await night.rows("SELECT 1 FROM rr.report WHERE study_uid = '1.2.1' AND status = 'final'")
    assert await patient(night, "p1") == {"merged_into": "p2", "survivor": "p2"}
    # What comes under the number that was given up is the survivor's: images, and orders.
    await night.images("1.2.4")
    assert (await night.until("1.2.4", lambda d: d.get("images") == 1))["patient_id"] == "p2"
    minted = minted_study_uid("t", "harbor", "A1")
    ordered = await night.study(minted, c.ReceiveOrder(ORDER), TESS)
    assert ordered["row"]["patient"]["mrn"] == "2"
    # A second merge, and both undone.
    third = replace(PATIENT, patient_id="p3", mrn="3")
    await night.study("1.2.3", c.MergePatient("p2", third, "again"), TESS)
    assert await patient(night, "p1") == {"merged_into": "p2", "survivor": "p3"}
    assert (await night.doc("1.2.4"))["patient_id"] == "p3"
    await night.study("1.2.1", c.UnmergePatient("p2", "no"), TESS)
    assert await patient(night, "p1") == {"merged_into": "p2", "survivor": "p2"}
    undone = await night.study("1.2.3", c.UnmergePatient("p1", "two people"), TESS)
    assert sorted(undone["merged"]) == ["1.2.1", "1.2.2", "1.2.4"]
    assert await patient(night, "p1") == {"merged_into": None, "survivor": None}
    docs = {uid: await night.doc(uid) for uid in ("1.2.1", "1.2.2", "1.2.3", "1.2.4")}
    assert {uid: (d["patient_id"], d["priors"]) for uid, d in docs.items()} == {
        "1.2.1": ("p1", 2), "1.2.2": ("p1", 2), "1.2.4": ("p1", 2), "1.2.3": ("p2", 0),
    }  # fmt: skip
    await check(night, *docs, minted)


async def test_images_join_the_order_that_a_merge_makes_theirs(night: Night) -> None:
    minted = minted_study_uid("t", "harbor", "A1")
    await night.study(minted, c.ReceiveOrder(replace(ORDER, patient=SECOND)), TESS)
    await night.images("1.2.3", accession="A1")
    await night.until("1.2.3", lambda d: "patient_mismatch" in d.get("flags", ()))
    await night.study("1.2.3", c.MergePatient("p1", SECOND, "one person"), TESS)
    doc = await night.until("1.2.3", lambda d: d["ordered"])
    assert (doc["flags"], doc["patient_id"]) == ([], "p2")
    assert (await night.doc(minted))["moved_to"] == "1.2.3"


async def test_a_study_moves_to_another_order_and_the_first_one_gets_its_images_later(night: Night) -> None:
    first, second = (minted_study_uid("t", "harbor", a) for a in ("A1", "A2"))
    await night.study(first, c.ReceiveOrder(ORDER), TESS)
    await night.study(second, c.ReceiveOrder(replace(ORDER, accession_number="A2", patient=SECOND)), TESS)
    await night.images("1.2.3", accession="A1")
    doc = await night.until("1.2.3", lambda d: d.get("ordered"))
    moved = await night.study("1.2.3", c.MoveStudy(doc["step"], "wrong line chosen", "A2"), TESS)
    assert (moved["row"]["accession_number"], moved["row"]["patient"]["mrn"]) == ("A2", "2")
    assert (await night.doc(second))["moved_to"] == "1.2.3"
    waits = await night.doc(first)
    assert (waits["status"], waits["moved_to"], waits["patient_id"]) == ("ordered", None, "p1")
    orders = {r["accession_number"]: r["study_uid"] for r in await night.rows("SELECT * FROM rr.orders")}
    assert orders == {"A1": first, "A2": "1.2.3"}
    await night.images("1.2.4", accession="A1")
    doc = await night.until("1.2.4", lambda d: d.get("ordered"))
    assert doc["accession_number"] == "A1"
    history = await night.rows("SELECT type, body FROM rr.journal WHERE entity = 'study/1.2.3' AND type = 'StudyMoved'")
    assert json.loads(history[0]["body"]) == {
        "patient_id": "p2",
        "was": "p1",
        "reason": "wrong line chosen",
        "priors": 0,
    }
    await check(night, first, second, "1.2.3", "1.2.4")


async def test_a_study_under_its_orders_own_uid_moves_and_its_order_waits_under_a_new_one(night: Night) -> None:
    first, second = (minted_study_uid("t", "harbor", a) for a in ("A1", "A2"))
    await night.study(first, c.ReceiveOrder(ORDER), TESS)
    await night.study(second, c.ReceiveOrder(replace(ORDER, accession_number="A2")), TESS)
    await night.images(first, accession="A1")
    doc = await night.until(first, lambda d: d.get("images") == 1)
    await night.study(first, c.MoveStudy(doc["step"], "wrong line", "A2"), MAX)
    orders = {r["accession_number"]: r["study_uid"] for r in await night.rows("SELECT * FROM rr.orders")}
    assert orders["A2"] == first
    assert orders["A1"] not in {first, second}
    assert (await night.doc(orders["A1"]))["status"] == "ordered"
    await check(night, first, second, orders["A1"])


async def test_a_study_moves_to_a_patient_with_its_order(night: Night) -> None:
    await night.study(minted_study_uid("t", "harbor", "A1"), c.ReceiveOrder(ORDER), TESS)
    await night.images("1.2.3", accession="A1")
    await night.images("1.2.4", patient="p2")
    doc = await night.until("1.2.3", lambda d: d.get("ordered"))
    await night.until("1.2.4", lambda d: d.get("images") == 1)
    moved = await night.study("1.2.3", c.MoveStudy(doc["step"], "A45", patient_id="p2"), TESS)
    assert (moved["row"]["patient"]["mrn"], moved["row"]["priors"]) == ("2", 1)
    assert (await night.doc("1.2.4"))["priors"] == 1
    assert [r["patient_id"] for r in await night.rows("SELECT patient_id FROM rr.orders")] == ["p2"]
    await check(night, "1.2.3", "1.2.4")


async def test_a_damaged_image_brings_its_study_back_flagged(night: Night) -> None:
    await night.online(ADA)
    await night.images("1.2.3")
    offer = await night.offered("1.2.3")
    await night.study("1.2.3", c.Accept(offer["offer_id"]), ADA)
    await night.study("1.2.3", c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    await night.study("1.2.3", c.Sign(SignKind.FINAL, 1), ADA)
    db = await Database(night.settings.dsn("rr_ingest")).open()
    await night.rows(
        "INSERT INTO rr.instance (tenant_id, study_uid, series_uid, sop_uid, site_id, sop_class, transfer_syntax, path, size,"
        " sha256, header) VALUES ('t', '1.2.3', '1', '1', 'harbor', '1', '1', 't/aa/x/1.dcm', 1, '', '{}')"
    )
    async with db.scope(["t"]) as conn:
        shard = await damage.found(conn, "t", "1.2.3", "t/aa/x/1.dcm", "changed", "scrub")
    await db.close()
    assert shard == study_key("t", "1.2.3").shard
    doc = await night.until("1.2.3", lambda d: "image_damaged" in d["flags"])
    assert (doc["status"], doc["report"]["status"]) == ("final", "final")
