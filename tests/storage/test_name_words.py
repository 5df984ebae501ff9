"""Fuzzy matching of names: what is found, by which index, by whom, and that nothing of a name outlives it."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.domain.identity import Principal
from actors.domain.words import Role
from storage import dicom_query, name_words
from storage.dicom_query import STUDY, Match, Search
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

_RITA = Principal("rita", "t", Role.RADIOLOGIST)
_WORLD = """
INSERT INTO rr.tenant VALUES ('t', 'Night Group'), ('u', 'Other Group');
INSERT INTO rr.site (tenant_id, site_id, name, issuer) VALUES ('t', 'harbor', 'Harbor', 'h'), ('t', 'main', 'Main', 'm');
"""
_PATIENT = "INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name) VALUES ($1, $2, 'h', $2, $3)"
_STUDY = """
INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, header)
VALUES ($1, $2, $3, $4, $2, '{}')
"""
_MANY = """
INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name)
  SELECT 't', 'p' || n, 'h', n::text, 'N' || md5(n::text) || '^M' || md5('x' || n) FROM generate_series(1, 20000) n;
INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, header)
  SELECT 't', '1.2.' || n, 'harbor', 'p' || n, '1.2.' || n, '{}' FROM generate_series(1, 20000) n;
UPDATE rr.patient SET name = 'Øster-Müller^Jürgen=山田^太郎' WHERE patient_id = 'p77';
"""
_LETTERS = st.characters(codec="utf-8", categories=("Lu", "Ll", "Lo"), max_codepoint=0x4FF) | st.sampled_from(
    "やまだガギ山田太郎ßÉ"
)
_WORD = st.text(_LETTERS, min_size=1, max_size=12)
_NAME = st.lists(st.lists(_WORD, min_size=1, max_size=3), min_size=1, max_size=3)
_CHANGES: list[Callable[[str], str]] = [str, str.upper, str.lower, str.title, str.swapcase]


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not "\u0300" <= c <= "\u036f")


def _asked(text: str) -> Search:
    return Search(STUDY, None, None, (Match(("00100010",), "fuzzy", name_words.words(text)),), 10, 0)


async def _found(conn: Any, text: str, who: Principal = _RITA) -> list[str]:
    return [one.study_uid for one in (await dicom_query.find(conn, who, _asked(text)))[0]]


@given(name=_NAME, data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_beginning_of_any_word_finds_a_name(
    fresh: Settings, name: list[list[str]], data: st.DataObject
) -> None:
    stored = "=".join("^".join(script) for script in name)
    word = data.draw(st.sampled_from([word for script in name for word in script]))
    start = word[: data.draw(st.integers(1, len(word)))]
    asked = data.draw(st.sampled_from(_CHANGES))(_bare(start) if data.draw(st.booleans()) else start)
    conn = await asyncpg.connect(fresh.admin_dsn)
    example = conn.transaction()
    await example.start()
    await conn.execute(_WORLD)
    for patient, called in (("p", stored), ("q", "1")):
        await conn.execute(_PATIENT, "t", patient, called)
        await conn.execute(_STUDY, "t", f"1.{patient}", "harbor", patient)
    found = await _found(conn, asked)
    await example.rollback()
    await conn.close()
    assert found == ["1.p"]


async def _filled(fresh: Settings, sql: str) -> asyncpg.Connection[Any]:
    admin = await asyncpg.connect(fresh.admin_dsn)
    await admin.execute(_WORLD)
    await admin.execute(sql or "SELECT")
    return admin


def _scans(plan: dict[str, Any]) -> list[tuple[str, str, str]]:
    own = [(plan["Relation Name"], plan["Node Type"], plan.get("Index Name", ""))] if "Relation Name" in plan else []
    return own + [scan for below in plan.get("Plans", ()) for scan in _scans(below)]


@pytest.mark.parametrize("text", ["muller", "Jur müll", "山田", "OSTER,jurgen", "mu?l*r"])
@pytest.mark.parametrize(
    "who", [_RITA, Principal("tess", "t", Role.TECHNOLOGIST, frozenset({"harbor"}))], ids=["all", "site"]
)
async def test_a_word_is_found_by_its_index(fresh: Settings, text: str, who: Principal) -> None:
    admin = await _filled(fresh, _MANY)
    await admin.execute("ANALYZE rr.patient, rr.patient_word, rr.dicom_study")
    await admin.close()
    db = await Database(fresh.dsn("rr_app"), max_size=1).open()
    async with db.view(who, generic=True, only_read=True) as conn:
        sql, args = dicom_query.statement(who, _asked(text))
        assert await _found(conn, text, who) == ["1.2.77"]
        plan = msgspec.json.decode(await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *args))[0][
            "Plan"
        ]
    await db.close()
    scans = _scans(plan)
    assert {"patient_word_found"} <= {index for _, _, index in scans}
    assert not [scan for scan in scans if scan[0] in ("patient", "patient_word") and scan[1] == "Seq Scan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 8_000


async def test_whoever_may_not_see_the_patient_sees_no_word(fresh: Settings) -> None:
    admin = await _filled(fresh, "")
    for tenant, patient, site in (("t", "a", "harbor"), ("t", "b", "main"), ("u", "c", "main")):
        await admin.execute(_PATIENT, tenant, patient, f"Müller^{patient}")
        await admin.execute(_STUDY, tenant, f"1.{patient}", site, patient)
    await admin.close()
    db = await Database(fresh.dsn("rr_app")).open()
    for who, seen in (
        (_RITA, {"a", "b"}),
        (Principal("tess", "t", Role.TECHNOLOGIST, frozenset({"harbor"})), {"a"}),
        (Principal("rolf", "u", Role.RADIOLOGIST), {"c"}),
    ):
        async with db.view(who, generic=True, only_read=True) as conn:
            words = await conn.fetch("SELECT patient_id FROM rr.patient_word WHERE word = 'muller'")
            assert {row["patient_id"] for row in words} == seen
            assert {uid[2:] for uid in await _found(conn, "mull", who)} == seen
    await db.close()


async def test_words_follow_the_name_and_go_with_the_patient(fresh: Settings) -> None:
    admin = await _filled(fresh, "")
    words = "SELECT array_agg(word ORDER BY word) FROM rr.patient_word WHERE tenant_id = 't' AND patient_id = 'p'"
    ingest, host, keeper = [await Database(fresh.dsn(f"rr_{role}")).open() for role in ("ingest", "host", "keeper")]
    async with ingest.scope(["t"]) as conn:
        await conn.execute(_PATIENT, "t", "p", "O'BRIEN^Sean=Groß-Ærø^^^Dr.=" + "x" * 3000)
    assert await admin.fetchval(words) == ["aero", "dr.", "gross", "obrien", "sean", "x" * 64]
    async with host.scope(["t"]) as conn:
        await conn.execute("UPDATE rr.patient SET name = 'Sean^Quay' WHERE tenant_id = 't'")
    assert await admin.fetchval(words) == ["quay", "sean"]
    async with keeper.scope(["t"]) as conn:
        await conn.execute("DELETE FROM rr.patient WHERE tenant_id = 't' AND patient_id = 'p'")
    assert await admin.fetchval(words) is None
    for db in (ingest, host, keeper):
        await db.close()
    await admin.close()
