"""Corrected demographics reach the patient's row, every study of hers, the feed and the audit chain, in one commit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from actors.domain import commands as c
from actors.domain.identity import Principal, minted_study_uid
from actors.domain.words import Priority, Role
from storage import audit, worklist
from storage.pool import Database
from tests.actors.night import ADA, PATIENT, Night, at_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

TESS = Principal("tess", "t", Role.TECHNOLOGIST)
ORDER = c.Order("harbor", "A1", Priority.STAT, "CT head", "CT", PATIENT)
MARRIED = replace(PATIENT, name="NEWNAME^Iris", sex="F", birth_date="1961-04-13")


@pytest.fixture
async def night(fresh: Settings) -> AsyncIterator[Night]:
    async with at_work(fresh) as made:
        yield made


async def test_a_correction_is_on_every_study_at_once_also_for_actors_that_hold_the_old_name(night: Night) -> None:
    await night.online(ADA)
    minted = minted_study_uid("t", "harbor", "A1")
    await night.study(minted, c.ReceiveOrder(ORDER), TESS)
    await night.images("1.2.4")
    offer = await night.offered("1.2.4")
    answer = await night.study(minted, c.ReceiveOrder(replace(ORDER, patient=MARRIED)), TESS)
    assert answer["row"]["patient"]["name"] == "NEWNAME^Iris"
    stored = await night.admin.fetchrow("SELECT name, birth_date, mrn FROM rr.patient")
    assert tuple(stored) == ("NEWNAME^Iris", "1961-04-13", "1")
    accepted = await night.study("1.2.4", c.Accept(offer["offer_id"]), ADA)
    assert accepted["row"]["patient"]["name"] == "NEWNAME^Iris"

    db = await Database(night.settings.dsn("rr_host")).open()
    async with db.view(Principal("", "t", Role.MANAGER), snapshot=True) as conn:
        rows = {r["study_uid"]: r for r in await worklist.open_rows(conn, "t")}
        assert (await audit.verify(conn, "t")).intact
        fed = await conn.fetch(
            "SELECT DISTINCT ON (data->>'study_uid') data->'row'->>'rev' AS rev, data->>'study_uid' AS uid,"
            " data->'row'->'patient'->>'name' AS name FROM rr.feed WHERE stream = 'tenant:t' AND data ? 'row'"
            " ORDER BY data->>'study_uid', seq DESC"
        )
    await db.close()
    shown = {(r["uid"], int(r["rev"]), r["name"]) for r in fed}
    assert shown == {(uid, row["rev"], row["patient"]["name"]) for uid, row in rows.items()}
    by = [r["by"] for r in await night.admin.fetch("SELECT by FROM rr.journal WHERE type = 'PatientCorrected'")]
    assert by == ["tess", "tess"]
    assert not await night.admin.fetchval("SELECT count(*) FROM rr.journal WHERE body::text ~ 'NEWNAME'")


async def test_an_order_of_another_number_leaves_the_first_person_as_she_is(night: Night) -> None:
    minted = minted_study_uid("t", "harbor", "A1")
    await night.study(minted, c.ReceiveOrder(ORDER), TESS)
    other = replace(MARRIED, patient_id="p2", mrn="2")
    await night.study(minted, c.ReceiveOrder(replace(ORDER, patient=other)), TESS)
    names = {r["patient_id"]: r["name"] for r in await night.admin.fetch("SELECT patient_id, name FROM rr.patient")}
    assert names == {"p1": PATIENT.name, "p2": "NEWNAME^Iris"}


async def test_a_corrected_birth_date_lets_images_that_stood_alone_join(night: Night) -> None:
    wrong = replace(PATIENT, birth_date="1916-04-12", patient_id="p-order")
    minted = minted_study_uid("t", "harbor", "A1")
    await night.study(minted, c.ReceiveOrder(replace(ORDER, patient=wrong)), TESS)
    await night.images("1.2.3", accession="A1")
    await night.until("1.2.3", lambda d: "patient_mismatch" in d.get("flags", ()))
    await night.study(minted, c.ReceiveOrder(replace(ORDER, patient=replace(PATIENT, patient_id="p-order"))), TESS)
    doc = await night.until("1.2.3", lambda d: d["ordered"])
    assert doc["flags"] == []
