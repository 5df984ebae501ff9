"""REST over a real socket, real actors in this process and a real database."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import msgspec
import pytest
from pypdf import PdfReader

from actors.domain.commands import Envelope, ObservePresence
from actors.domain.identity import Principal, apart_study_uid, radiologist_key
from actors.domain.words import Role
from gateway.shapes import Row
from storage import worklist
from tests.gateway.rest import ORDER, World


async def until(rest: World, study_uid: str, status: str, who: str = "max") -> dict[str, Any]:
    """Wait until a study stands where it should."""
    async with asyncio.timeout(20):
        while True:
            answer = await rest.get(f"/api/studies/{study_uid}", who)
            if answer.status == 200 and answer.json["status"] == status:
                row: dict[str, Any] = answer.json
                return row
            await asyncio.sleep(0.05)


async def online(rest: World, *people: str) -> None:
    for who in people:
        by = Principal(rest.ids[who], "north", Role.RADIOLOGIST)
        await rest.refs.ask(radiologist_key("north", by.user_id), Envelope(ObservePresence(connected=True), by))


async def offered(rest: World, accession: str = "A1", who: str = "ada") -> dict[str, Any]:
    """Return the row of a STAT study with images, offered to the one reader present."""
    await online(rest, who)
    row = await rest.ordered(accession)
    await rest.images(row["study_uid"])
    return await until(rest, row["study_uid"], "offered", who)


async def reading(rest: World, accession: str = "A1", who: str = "ada") -> dict[str, Any]:
    row = await offered(rest, accession, who)
    uid = row["study_uid"]
    taken = await rest.post(f"/api/studies/{uid}/accept", {"offer_id": row["offer"]["offer_id"]}, who)
    assert taken.json["row"]["assigned_to"] == rest.ids[who]
    begun = await rest.post(f"/api/studies/{uid}/start", None, who)
    assert begun.status == 200, begun.json
    shown: dict[str, Any] = begun.json["row"]
    return shown


# -- orders ---------------------------------------------------------------------------------------
async def test_an_order_is_placed_once_and_corrected_after(rest: World) -> None:
    first = await rest.post("/api/orders", ORDER, "tess")
    assert (first.status, first.json["status"], first.json["site"]["id"]) == (201, "ordered", "harbor")
    msgspec.convert(first.json, Row)
    again = await rest.post("/api/orders", {**ORDER, "procedure": "CT head and neck"}, "tess")
    assert (again.status, again.json["procedure"]) == (200, "CT head and neck")
    assert again.json["study_uid"] == first.json["study_uid"]
    assert again.json["study_uid"].startswith("2.25.")


async def test_the_same_number_of_two_sites_is_two_orders(rest: World) -> None:
    harbor, main = await rest.ordered("A1", "tess"), await rest.ordered("A1", "mia")
    assert harbor["study_uid"] != main["study_uid"]
    assert (main["site"]["id"], main["site"]["name"]) == ("main", "main")


async def test_an_order_without_a_site_goes_to_main(rest: World) -> None:
    assert (await rest.ordered("A2", "max"))["site"]["id"] == "main"
    assert (await rest.ordered("A3", "max", site="Harbor"))["site"]["id"] == "harbor"


async def test_a_site_outside_the_view_is_not_found(rest: World) -> None:
    for site in ("main", "nowhere"):
        answer = await rest.post("/api/orders", {**ORDER, "site": site, "priority": 7}, "tess")
        assert (answer.status, answer.code) == (404, "not_found")


async def test_others_spelling_of_a_priority_is_read(rest: World) -> None:
    assert (await rest.ordered("A1", priority="normal"))["priority"] == "ROUTINE"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"priority": "SOON"}, "priority"), ({"priority": None}, "priority"), ({"accession_number": ""}, "accession_number"),
        ({"accession_number": "  "}, "accession_number"), ({"accession_number": 7}, "accession_number"),
        ({"modality": "ct"}, "modality"), ({"study_uid": "1.02.3"}, "study_uid"), ({"study_uid": "1." * 40}, "study_uid"),
        ({"study_uid": "1.2\n"}, "study_uid"), ({"patient": {"name": "X"}}, "patient.mrn"), ({"patient": None}, "patient"),
        ({"patient": {"mrn": "1", "name": "X", "birth_date": "12.4.61"}}, "patient.birth_date"),
        ({"patient": {"mrn": "1", "name": "X", "sex": "female"}}, "patient.sex"),
        ({"patient": {"mrn": " ", "name": "X"}}, "patient.mrn"), ({"expected_instances": 0}, "expected_instances"),
        ({"procedure": ["CT"]}, "procedure"), ({"procedure": "nul \x00"}, ""),
    ],
)  # fmt: skip
async def test_a_wrong_field_is_named(rest: World, change: dict[str, Any], field: str) -> None:
    answer = await rest.post("/api/orders", {**ORDER, **change}, "tess")
    assert (answer.status, answer.code, answer.json["field"]) == (422, "bad_payload", field)
    if change == {"priority": "SOON"}:
        assert answer.json["allowed"] == ["STAT", "URGENT", "ROUTINE"]
        assert "STAT, URGENT, ROUTINE" in answer.json["detail"]


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b"\xff", b"null", b'"x"', b'{"a":"\xff"}', b"[" * 100_000, b'{"a":"\\ud800"}']
)
async def test_malformed_json_is_a_bad_payload(rest: World, raw: bytes) -> None:
    answer = await rest.post("/api/orders", raw=raw, who="tess")
    assert (answer.status, answer.code) == (422, "bad_payload")


async def test_a_body_that_is_too_large_is_refused(rest: World) -> None:
    answer = await rest.post("/api/orders", raw=io.BytesIO(b"x" * (2**20 + 1)), who="tess")
    assert (answer.status, answer.code) == (413, "too_large")


async def test_an_order_may_name_its_study_but_not_take_another_sites(rest: World) -> None:
    named = await rest.post("/api/studies", {**ORDER, "study_uid": "1.2.840.1"}, "tess")
    assert (named.status, named.json["study_uid"]) == (201, "1.2.840.1")
    missing = await rest.post("/api/studies", ORDER, "tess")
    assert (missing.code, missing.json["field"]) == ("bad_payload", "study_uid")
    other = await rest.post("/api/studies", {**ORDER, "study_uid": "1.2.840.1"}, "mia")
    assert other.json["study_uid"] == apart_study_uid("north", "main", "1.2.840.1")
    moved = await rest.post("/api/orders", {**ORDER, "study_uid": "1.2.840.9"}, "tess")
    assert (moved.code, moved.json["field"]) == ("bad_payload", "study_uid")


async def test_the_same_idempotency_key_gives_the_same_answer(rest: World) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await rest.post("/api/orders", ORDER, "tess", headers=key)
    again = await rest.post("/api/orders", ORDER, "tess", headers=key)
    assert again.json == first.json
    assert len((await rest.get(f"/api/studies/{first.json['study_uid']}/history", "max")).json["items"]) == 1
    other = await rest.post("/api/orders", {**ORDER, "procedure": "MR head"}, "tess", headers=key)
    assert (other.status, other.code) == (422, "bad_payload")
    assert (await rest.post("/api/orders", ORDER, "tess", headers={"Idempotency-Key": "k" * 201})).code == "bad_payload"


async def test_an_order_is_cancelled(rest: World) -> None:
    row = await rest.ordered("A/1 x")
    path = "/api/orders/A%2F1%20x/cancel"
    assert (await rest.post(path, {"site": "harbor"}, "tess")).json["field"] == "reason"
    assert (await rest.post(path, {"site": "main", "reason": "twice"}, "tess")).code == "not_found"
    assert (await rest.post("/api/orders/B1/cancel", {"site": "harbor"}, "tess")).code == "not_found"
    done = await rest.post(path, {"site": "Harbor", "reason": "twice"}, "tess")
    assert done.json["row"]["status"] == "cancelled"
    assert (await rest.get(f"/api/studies/{row['study_uid']}", "max")).json["status"] == "cancelled"


# -- the unmatched --------------------------------------------------------------------------------
async def test_images_without_an_order_wait_until_a_person_joins_them(rest: World) -> None:
    await rest.images("1.2.3")
    row = await until(rest, "1.2.3", "unread")
    assert row["flags"] == ["no_order"]
    listed = await rest.get("/api/unmatched", "tess")
    assert [r["study_uid"] for r in listed.json["items"]] == ["1.2.3"]
    assert "acuity" not in listed.json["items"][0]
    assert (await rest.get("/api/unmatched", "mia")).json["items"] == []
    await rest.ordered("A1")
    stale = await rest.post("/api/studies/1.2.3/join", {"accession_number": "A1", "version": 0}, "tess")
    assert (stale.status, stale.code) == (409, "stale_version")
    assert "ai" not in stale.json["row"]
    assert (await rest.post("/api/studies/1.2.3/join", {"accession_number": "B9"}, "tess")).code == "not_found"
    joined = await rest.post("/api/studies/1.2.3/join", {"accession_number": "A1", "version": row["version"]}, "tess")
    assert (joined.status, joined.json["row"]["accession_number"]) == (200, "A1")
    assert (await rest.get("/api/unmatched", "max")).json["items"] == []


async def test_a_manager_dismisses_a_flag(rest: World) -> None:
    await rest.images("1.2.3")
    await until(rest, "1.2.3", "unread")
    wrong = await rest.post("/api/studies/1.2.3/dismiss", {"flag": "odd", "reason": "x"}, "max")
    assert (wrong.json["field"], wrong.json["allowed"][0]) == ("flag", "no_order")
    done = await rest.post("/api/studies/1.2.3/dismiss", {"flag": "no_order", "reason": "from abroad"}, "max")
    assert done.json["row"]["flags"] == []


# -- looking up -----------------------------------------------------------------------------------
async def test_studies_are_found_page_by_page(rest: World) -> None:
    uids = {(await rest.ordered(f"A{n}"))["study_uid"] for n in range(5)}
    seen: list[str] = []
    after = ""
    for _ in range(3):
        answer = await rest.get(f"/api/studies?limit=2{after}", "max")
        seen += [r["study_uid"] for r in answer.json["items"]]
        after = f"&after={answer.json['next']}"
    assert (set(seen), len(seen), answer.json["next"]) == (uids, 5, None)
    for limit in ("0", "-1", "x", "1e9"):
        wrong = await rest.get(f"/api/studies?limit={limit}", "max")
        assert (wrong.code, wrong.json["field"]) == ("bad_payload", "limit")
    assert (await rest.get("/api/studies?limit=1000&after=unknown", "max")).json["items"] == []


async def test_studies_are_filtered(rest: World) -> None:
    await rest.ordered("A1", "tess", priority="STAT")
    await rest.ordered("B_2", "mia", priority="ROUTINE", patient={"mrn": "9", "name": "OTHER^Otto"})

    async def found(query: str) -> list[str]:
        return [r["accession_number"] for r in (await rest.get(f"/api/studies?{query}", "max")).json["items"]]

    assert await found("priority=STAT") == ["A1"]
    assert await found("priority=normal") == ["B_2"]
    assert await found("site=harbor") == ["A1"]
    assert await found("q=otto%20other") == ["B_2"]
    assert await found("q=B_") == ["B_2"]
    assert await found("q=%25") == []
    assert await found("status=in_progress,completed") == []
    assert sorted(await found("status=ordered")) == ["A1", "B_2"]
    assert await found(f"reader={rest.ids['ada']}") == []
    wrong = await rest.get("/api/studies?status=lost", "max")
    assert (wrong.code, wrong.json["field"], wrong.json["allowed"][0]) == ("bad_payload", "status", "ordered")
    for query in ("site=nowhere", "reader=nobody", f"reader={rest.ids['sam']}"):
        assert (await rest.get(f"/api/studies?{query}", "max")).code == "not_found"


async def test_a_technologists_row_lacks_what_machines_and_deciders_say(rest: World) -> None:
    row = await rest.ordered("A1")
    for shown in (row, (await rest.get(f"/api/studies/{row['study_uid']}", "tess")).json):
        assert not {"ai", "acuity", "offer", "second_reader", "second_read"} & set(shown)
    assert "acuity" in (await rest.get(f"/api/studies/{row['study_uid']}", "max")).json


async def test_another_group_or_site_sees_nothing(rest: World) -> None:
    uid = (await rest.ordered("A1"))["study_uid"]
    for who in ("sam", "mia", "vic", "pam"):
        assert (await rest.get(f"/api/studies/{uid}", who)).code == "not_found"
        assert (await rest.get("/api/studies", who)).json["items"] == []
    for method, path, body in (
        ("PUT", "assign", {"radiologist_id": 7}), ("GET", "history", None), ("GET", "explanation", None),
    ):  # fmt: skip
        assert (await rest.call(method, f"/api/studies/{uid}/{path}", body, who="sam")).code == "not_found"


async def test_the_role_is_refused_before_the_view_and_the_view_before_the_body(rest: World) -> None:
    assert (await rest.put("/api/studies/1.2.3/assign", raw=b"{", who="ada")).code == "forbidden"
    assert (await rest.put("/api/studies/1.2.3/assign", raw=b"{", who="max")).code == "not_found"
    uid = (await rest.ordered("A1"))["study_uid"]
    assert (await rest.put(f"/api/studies/{uid}/assign", raw=b"{", who="max")).code == "bad_payload"
    assert (await rest.put(f"/api/studies/{uid}/assign", {"radiologist_id": "x"}, "max")).code == "not_found"
    assert (await rest.put(f"/api/studies/{uid}/assign", {"radiologist_id": "x"})).code == "unauthenticated"


async def test_openings_are_audited_once(rest: World) -> None:
    uid = (await rest.ordered("A1"))["study_uid"]
    for _ in range(2):
        await rest.get(f"/api/studies/{uid}", "max")
    acts = await rest.sql("SELECT user_id, subject FROM rr.access WHERE act = 'study_opened'")
    assert [(r["user_id"], r["subject"]) for r in acts] == [(rest.ids["max"], uid)]


# -- reading --------------------------------------------------------------------------------------
async def test_a_study_goes_from_the_offer_to_the_signature(rest: World) -> None:
    row = await reading(rest)
    uid = row["study_uid"]
    begun = await rest.post("/api/reports", {"study_uid": uid}, "ada")
    assert (begun.status, begun.json["status"], begun.json["version"]) == (201, "draft", 1)
    path = f"/api/reports/{begun.json['report_id']}"
    sections = {"technique": "CT", "comparison": "none", "findings": "no bleed", "impression": "nothing acute"}
    saved = await rest.put(path, {"sections": sections, "version": 1}, "ada")
    assert (saved.json["version"], saved.json["sections"]) == (2, sections)
    stale = await rest.put(path, {"sections": {"findings": "old"}, "version": 1}, "ada")
    assert (stale.status, stale.code, stale.json["sections"]) == (409, "stale_version", sections)
    kept = await rest.get(f"{path}/conflicts", "ada")
    assert [c["sections"]["findings"] for c in kept.json["items"]] == ["old"]
    for who in ("tess", "vic", "pam", "sam"):
        assert (await rest.get(path, who)).code == "not_found"
    assert (await rest.get(f"/api/reports?study_uid={uid}", "max")).json["items"][0]["version"] == 2
    assert (await rest.put(f"{path}/finalize", {"kind": "addendum", "version": 2}, "ada")).json["allowed"] == [
        "prelim", "final",
    ]  # fmt: skip
    signed = await rest.put(f"{path}/finalize", {"kind": "final", "version": 2}, "ada")
    if signed.code == "confirm_needed":
        signed = await rest.put(f"{path}/finalize", {"kind": "final", "version": 2, "confirm": True}, "ada")
    assert (signed.json["status"], signed.json["signed_by"]) == ("final", rest.ids["ada"])
    for who in ("tess", "vic", "max"):
        assert (await rest.get(path, who)).json == signed.json
    assert (await rest.get(path, "pam")).code == "not_found"  # the order does not name her
    assert (await rest.get(f"{path}/conflicts", "vic")).code == "forbidden"
    added = await rest.post(f"{path}/addenda", {"text": "seen with the neurologist"}, "ada")
    assert (added.status, added.json["addenda"][0]["text"]) == (201, "seen with the neurologist")
    printed = await rest.get(f"{path}.pdf", "vic")
    assert printed.headers["Content-Type"] == "application/pdf"
    text = PdfReader(io.BytesIO(printed.body)).pages[0].extract_text()
    for words in ("FINAL", "PHANTOM, Iris", "no bleed", "Signed by Ada", "seen with the neurologist"):
        assert words in text
    assert (await rest.get(f"{path}.pdf", "pam")).code == "not_found"
    types = [e["type"] for e in (await rest.get(f"/api/studies/{uid}/history?limit=200", "max")).json["items"]]
    assert types[0] == "OrderReceived"
    assert [t for t in types if t in {"Offered", "Accepted", "ReadingStarted", "FinalSigned", "Addended"}] == [
        "Offered", "Accepted", "ReadingStarted", "FinalSigned", "Addended",
    ]  # fmt: skip


async def test_history_is_paged_and_names_who_and_under_which_key(rest: World) -> None:
    answer = await rest.post("/api/orders", ORDER, "tess", headers={"Idempotency-Key": "mine"})
    uid = answer.json["study_uid"]
    await rest.ordered("A1", procedure="other")
    first = (await rest.get(f"/api/studies/{uid}/history?limit=1", "max")).json
    assert (first["items"][0]["by"], first["items"][0]["data"]["idem"]) == (rest.ids["tess"], "mine")
    second = (await rest.get(f"/api/studies/{uid}/history?limit=1&after={first['next']}", "max")).json
    assert (second["items"][0]["version"], second["next"]) == (2, None)
    assert (await rest.get(f"/api/studies/{uid}/history?after=x", "max")).json["field"] == "after"
    assert "PHANTOM" not in str(first)


async def test_an_offer_is_declined_with_a_reason_and_explained(rest: World) -> None:
    row = await offered(rest)
    path = f"/api/studies/{row['study_uid']}"
    told = await rest.get(f"{path}/explanation", "ada")
    assert told.json["offer_id"] == row["offer"]["offer_id"]
    wrong = await rest.post(f"{path}/decline", {"offer_id": row["offer"]["offer_id"], "reason": "tired"}, "ada")
    assert wrong.json["field"] == "reason"
    other = await rest.post(f"{path}/accept", {"offer_id": row["offer"]["offer_id"]}, "bob")
    assert (other.status, other.code) == (403, "forbidden")
    done = await rest.post(f"{path}/decline", {"offer_id": row["offer"]["offer_id"], "reason": "overloaded"}, "ada")
    assert done.json["ok"]
    late = await rest.post(f"{path}/accept", {"offer_id": row["offer"]["offer_id"]}, "ada")
    assert (late.status, late.code) == (409, "offer_expired")


async def test_a_study_that_nobody_decided_about_has_no_explanation(rest: World) -> None:
    uid = (await rest.ordered("A1"))["study_uid"]
    assert (await rest.get(f"/api/studies/{uid}/explanation", "max")).code == "not_found"


async def test_a_manager_assigns_and_gives_back(rest: World) -> None:
    await rest.images("1.2.3")
    row = await until(rest, "1.2.3", "unread")
    body = {"radiologist_id": rest.ids["bob"], "version": row["version"]}
    stale = await rest.put("/api/studies/1.2.3/assign", {**body, "version": 0}, "max")
    assert (stale.code, stale.json["row"]["study_uid"]) == ("stale_version", "1.2.3"), stale.json
    absent = await rest.put("/api/studies/1.2.3/assign", body, "max")
    assert (absent.status, absent.code) == (409, "not_eligible")
    assert absent.json["why"]
    done = await rest.put("/api/studies/1.2.3/assign", {**body, "override": True}, "max")
    assert done.json["row"]["assigned_to"] == rest.ids["bob"], done.json
    given = await rest.post("/api/studies/1.2.3/release", {"reason": "shift ends"}, "max")
    assert given.json["row"]["assigned_to"] is None


async def test_a_resident_signs_prelim_only(rest: World) -> None:
    refused = await rest.put("/api/reports/none/finalize", {"kind": "final", "version": 1}, "rei")
    assert refused.code == "forbidden"
    assert (await rest.put("/api/reports/none/finalize", {"kind": "prelim", "version": 1}, "rei")).code == "not_found"
    assert (await rest.post("/api/reports/none/addenda", {"text": "x"}, "rei")).code == "forbidden"


async def test_a_referring_physician_sees_what_she_ordered_once_it_is_final(rest: World) -> None:
    await online(rest, "ada")
    row = await rest.ordered("A1", referring_physician="PAM@example.org")
    await rest.images(row["study_uid"])
    row = await until(rest, row["study_uid"], "offered")
    uid = row["study_uid"]
    assert (await rest.get(f"/api/studies/{uid}", "pam")).code == "not_found"
    await rest.post(f"/api/studies/{uid}/accept", {"offer_id": row["offer"]["offer_id"]}, "ada")
    report = (await rest.post("/api/reports", {"study_uid": uid}, "ada")).json
    body = {"kind": "final", "version": report["version"], "confirm": True}
    await rest.put(f"/api/reports/{report['report_id']}/finalize", body, "ada")
    assert (await rest.get(f"/api/studies/{uid}", "pam")).json["status"] == "final"
    assert [r["study_uid"] for r in (await rest.get("/api/studies", "pam")).json["items"]] == [uid]
    assert [r["study_uid"] for r in (await rest.get("/api/reports", "pam")).json["items"]] == [uid]
    assert (await rest.get("/api/worklist", "pam")).code == "forbidden"
    unknown = await rest.post("/api/orders", {**ORDER, "referring_physician": "vic@example.org"}, "tess")
    assert unknown.code == "not_found"


# -- worklist and board ---------------------------------------------------------------------------
async def test_worklist_and_board_hold_what_the_tenants_stream_holds(rest: World) -> None:
    await rest.ordered("A1", priority="ROUTINE")
    await rest.ordered("A2", "mia", priority="STAT")
    await offered(rest, "A3", "ada")
    async with rest.deps.app_db.view(Principal(rest.ids["max"], "north", Role.MANAGER), snapshot=True) as conn:
        snapshot = await worklist.tenant_snapshot(conn, "north")
    board = (await rest.get("/api/board", "max")).json
    by_uid = {r["study_uid"]: r for r in snapshot["data"]["rows"]}
    assert {r["study_uid"]: r for r in board["items"]} == by_uid
    assert (board["counters"], board["readers"]) == (snapshot["data"]["counters"], snapshot["data"]["readers"])
    assert board["counters"]["open"] == 3
    assert board["as_of_seq"] == snapshot["as_of_seq"] > 0
    ada = next(r for r in board["readers"] if r["radiologist_id"] == rest.ids["ada"])
    assert (ada["presence"], ada["load"]) == ("online", 1)
    items = (await rest.get("/api/worklist", "ada")).json["items"]
    assert [r["priority"] for r in items] == ["STAT", "STAT", "ROUTINE"]
    assert {r["study_uid"]: r for r in items} == by_uid
    paged: list[str] = []
    after = ""
    while after != "&after=None":
        page = (await rest.get(f"/api/board?limit=1{after}", "max")).json
        paged += [r["study_uid"] for r in page["items"]]
        after = f"&after={page['next']}"
    assert paged == [r["study_uid"] for r in items]
    assert (await rest.get("/api/board?after=9.1", "max")).json["field"] == "after"
    assert (await rest.get("/api/board", "sam")).json["items"] == []
    assert (await rest.get("/api/board", "tess")).code == "forbidden"


# -- policy ---------------------------------------------------------------------------------------
async def test_a_policy_has_defaults_and_is_set_as_a_whole(rest: World) -> None:
    default = (await rest.get("/api/policy", "ada")).json
    assert default["sla"]["STAT"] == {"due_s": 1800.0, "warn_s": 1350.0}
    assert (default["offer_open_s"]["ROUTINE"], default["capacity"]) == (120.0, 5)
    changed = await rest.put("/api/policy", {"capacity": 2, "sla": {"STAT": {"due_s": 60}}}, "max")
    assert (changed.json["capacity"], changed.json["sla"]["STAT"]["warn_s"]) == (2, 45.0)
    assert (await rest.get("/api/policy", "ada")).json == changed.json
    assert (await rest.get("/api/policy", "sam")).json == default
    for body, field in (
        ({"capacity": 0}, "capacity"), ({"sla": {"STAT": {"due_s": 60, "warn_s": 61}}}, "sla.STAT.warn_s"),
        ({"offer_open_s": {"STAT": -1}}, "offer_open_s[...]"),
    ):  # fmt: skip
        wrong = await rest.put("/api/policy", body, "max")
        assert (wrong.code, wrong.json["field"]) == ("bad_payload", field)
    assert (await rest.put("/api/policy", {}, "ada")).code == "forbidden"
    acts = await rest.sql("SELECT user_id FROM rr.access WHERE act = 'policy_set'")
    assert [r["user_id"] for r in acts] == [rest.ids["max"]]
