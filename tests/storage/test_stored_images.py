"""What is stored of a study is found by its key, also in the tables of a new instance, of which the planner knows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import msgspec
import pytest

from storage import inbox
from storage.pool import Database

if TYPE_CHECKING:
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

_FILL = """
ALTER TABLE rr.patient SET (autovacuum_enabled = false);
ALTER TABLE rr.dicom_study SET (autovacuum_enabled = false);
INSERT INTO rr.tenant VALUES ('t', 'Night Group');
INSERT INTO rr.site VALUES ('t', 'harbor', 'Harbor', NULL, 'harbor');
INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name, birth_date, sex)
  SELECT 't', 'p' || n, 'harbor', n::text, 'PHANTOM^Iris', '1961-04-12', 'F' FROM generate_series(1, 300) AS n;
INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, header)
  SELECT 't', '1.2.' || n, 'harbor', 'p' || n, '1.2.' || n, '{}' FROM generate_series(1, 300) AS n;
"""


async def test_whose_images_they_are_is_found_without_reading_every_patient_for_every_study(fresh: Settings) -> None:
    admin = await asyncpg.connect(fresh.admin_dsn)
    await admin.execute(_FILL)
    await admin.close()
    db = await Database(fresh.dsn("rr_host"), max_size=1).open()
    asked = inbox.STORED.replace("$1", "'{t,t}'").replace("$2", "'{1.2.7,1.2.8}'")
    try:
        async with db.scope(["t"]) as conn:
            found = await inbox.stored(conn, [("t", "1.2.7"), ("t", "1.2.8")])
            plan = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {asked}")
    finally:
        await db.close()
    assert [s.patient.patient_id for s in found.values()] == ["p7", "p8"]
    blocks = msgspec.json.decode(plan)[0]["Plan"]["Shared Hit Blocks"]
    assert blocks < 5_000, "90,000 pairs of a patient and a study would be 100,000 blocks"


async def test_studies_that_are_held_back_are_not_read_and_hide_nobody(fresh: Settings) -> None:
    admin = await asyncpg.connect(fresh.admin_dsn)
    await admin.execute(_FILL)
    for uid, images in (("1.2.7", 6_000), ("1.2.8", 1)):
        await admin.execute(
            "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) SELECT 't', $1, 3, '{}' FROM generate_series(1, $2)",
            uid, images,
        )  # fmt: skip
    await admin.close()
    db = await Database(fresh.dsn("rr_timer"), max_size=1).open()
    try:
        async with db.scope() as conn:
            flood = await inbox.waiting(conn, [("", 3)], (), [])
            found = await inbox.waiting(conn, [("", 3)], (), [("t", "1.2.7"), ("other", "1.2.8")])
    finally:
        await db.close()
    assert {e.study_uid for e in flood} == {"1.2.7"}
    assert [e.study_uid for e in found] == ["1.2.8"]
