"""Double reads and co-signing over REST and sockets: real actors in this process, a real database, real sockets."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import pytest
from pypdf import PdfReader

from actors.domain.words import Role
from readingroom.demo.client import LiveClient
from tests.gateway.test_api import online, reading, until

if TYPE_CHECKING:
    from tests.gateway.rest import World

pytestmark = pytest.mark.postgres


@pytest.fixture
def room(rest: World) -> World:
    """Both groups with live actors."""
    return rest


async def _policy(room: World, **second_reads: Any) -> None:
    answer = await room.put("/api/policy", {"second_reads": second_reads}, "max")
    assert answer.status == 200, answer.json


async def _sign(room: World, uid: str, who: str, text: str, kind: str = "final") -> dict[str, Any]:
    """Write a report, or change the one that is there, and sign it."""
    row = (await room.get(f"/api/studies/{uid}", who)).json
    if row["report"] is None:
        begun = (await room.post("/api/reports", {"study_uid": uid}, who)).json
        report_id, version = begun["report_id"], begun["version"]
    else:
        report_id, version = row["report"]["report_id"], row["report"]["version"]
    path = f"/api/reports/{report_id}"
    saved = await room.put(path, {"sections": {"impression": text}, "version": version}, who)
    body = {"kind": kind, "version": saved.json["version"], "confirm": True}
    signed = await room.put(f"{path}/finalize", body, who)
    assert signed.status == 200, signed.json
    answer: dict[str, Any] = signed.json
    return answer


async def _take(room: World, uid: str, who: str) -> dict[str, Any]:
    """Wait for the offer, accept it and open the study."""
    async with asyncio.timeout(20):
        while True:
            row = (await room.get(f"/api/studies/{uid}", who)).json
            if row["offer"] and row["offer"]["radiologist_id"] == room.ids[who]:
                break
            await asyncio.sleep(0.05)
    taken = await room.post(f"/api/studies/{uid}/accept", {"offer_id": row["offer"]["offer_id"]}, who)
    assert taken.status == 200, taken.json
    begun = await room.post(f"/api/studies/{uid}/start", None, who)
    shown: dict[str, Any] = begun.json["row"]
    return shown


async def _seen(room: World, who: str, uid: str, report_id: str) -> set[str]:
    """Return through which doors a person sees the first report, its reader, or that there is one."""
    ada, doors = room.ids["ada"], set()
    for door, path in (
        ("report", f"/api/reports/{report_id}"),
        ("pdf", f"/api/reports/{report_id}.pdf"),
        ("conflicts", f"/api/reports/{report_id}/conflicts"),
    ):
        if (await room.get(path, who)).status == 200:
            doors.add(door)
    for door, path in (
        ("reports", f"/api/reports?study_uid={uid}"),
        ("row", f"/api/studies/{uid}"),
        ("worklist", "/api/worklist"),
        ("board", "/api/board"),
        ("history", f"/api/studies/{uid}/history?limit=200"),
        ("explanation", f"/api/studies/{uid}/explanation"),
        ("readings", f"/api/studies/{uid}/readings"),
    ):
        answer = await room.get(path, who)
        shown = answer.json
        rows = shown.pop("readers", None) if door == "board" else None  # that she is there is no secret
        if answer.status == 200 and (report_id in str(shown) or ada in str(shown) or "no bleed" in str(shown)):
            doors.add(door)
        assert rows is None or door == "board"
    stream, told = f"study:{uid}", []
    client = LiveClient(room.url, token=room.tokens[who], streams=[])
    client.check = lambda _name, message: told.append(message) if message.get("s") == stream else None
    async with client:
        await client.follow(stream)
        await client.wait_live()
        again = await client.ask("subscribe", {"streams": {stream: 0}})  # everything from the first event
        await client.wait_live()
        if again["streams"][stream]["mode"] == "resume" or any(report_id in str(m) or ada in str(m) for m in told):
            doors.add("socket")
    assert told
    return doors


async def test_a_blind_second_reader_sees_nothing_of_the_first_until_she_has_signed(room: World) -> None:
    await _policy(room, double=[{"modality": ["CT"]}])
    uid = (await reading(room))["study_uid"]
    first = await _sign(room, uid, "ada", "no bleed")
    assert (first["status"], first["signed_by"]) == ("prelim", room.ids["ada"])
    await online(room, "bob")
    row = await _take(room, uid, "bob")
    assert (row["status"], row["report"], row["assigned_to"]) == ("reading", None, None)
    assert row["second_reader"] == room.ids["bob"]
    assert row["second_read"]["why"] == "second read"
    for who in ("bob", "rei"):
        assert await _seen(room, who, uid, first["report_id"]) == set()
    everything = {"report", "pdf", "conflicts", "reports", "history", "readings", "socket"}
    assert await _seen(room, "max", uid, first["report_id"]) >= everything
    assert await _seen(room, "ada", uid, first["report_id"]) >= everything  # her own
    assert "second read" in (await room.get(f"/api/studies/{uid}/explanation", "bob")).json["why"].lower()
    for who in ("tess", "vic"):
        assert (await room.get(f"/api/reports/{first['report_id']}", who)).code == "not_found"
        assert (await room.get(f"/api/studies/{uid}/readings", who)).code == "forbidden"
    again = {"radiologist_id": room.ids["ada"], "version": row["version"], "override": True, "reason": "called away"}
    assert (await room.put(f"/api/studies/{uid}/assign", again, "max")).code == "not_eligible"
    second = await _sign(room, uid, "bob", "a bleed")
    assert second["report_id"] != first["report_id"]
    after = await room.get(f"/api/studies/{uid}", "bob")
    assert (after.json["status"], after.json["second_read"]["state"]) == ("prelim", "compare")
    both = (await room.get(f"/api/studies/{uid}/readings", "bob")).json["items"]
    assert [(r["radiologist_id"], r["sections"]["impression"]) for r in both] == [
        (room.ids["ada"], "no bleed"), (room.ids["bob"], "a bleed"),
    ]  # fmt: skip
    assert "report" in await _seen(room, "bob", uid, first["report_id"])


async def test_readings_that_agree_make_one_final_report_under_both_names(room: World) -> None:
    await _policy(room, double=[{"mode": "open"}])
    uid = (await reading(room))["study_uid"]
    first = await _sign(room, uid, "ada", "no bleed")
    await online(room, "bob")
    row = await _take(room, uid, "bob")
    assert (row["status"], row["assigned_to"], row["second_reader"]) == ("prelim", room.ids["ada"], room.ids["bob"])
    assert (await room.get(f"/api/reports/{first['report_id']}", "bob")).status == 200
    await _sign(room, uid, "bob", "nothing acute")
    step = (await room.get(f"/api/studies/{uid}", "bob")).json["version"]
    path = f"/api/studies/{uid}/settle"
    assert (await room.put(path, {"outcome": "first", "version": step}, "bob")).code == "forbidden"
    assert (await room.put(path, {"outcome": "agree", "version": step - 1}, "bob")).code == "stale_version"
    assert (await room.put(path, {"outcome": "agree", "version": step}, "ada")).code == "not_assigned"
    settled = await room.put(path, {"outcome": "agree", "version": step, "note": "only words"}, "bob")
    assert (settled.status, settled.json["row"]["status"]) == (200, "final")
    [report] = (await room.get(f"/api/reports?study_uid={uid}", "vic")).json["items"]
    assert (report["report_id"], report["sections"]["impression"]) == (first["report_id"], "no bleed")
    names = {v: k for k, v in room.ids.items()}
    signed = [(names[s["by"]], s["kind"]) for s in report["signatures"]]
    assert signed == [("ada", "prelim"), ("bob", "second"), ("bob", "final")]
    printed = await room.get(f"/api/reports/{report['report_id']}.pdf", "vic")
    text = PdfReader(io.BytesIO(printed.body)).pages[0].extract_text()
    assert "Signed by Bob" in text
    assert "Read also by Ada" in text
    [said] = (await room.get(f"/api/studies/{uid}/readings", "max")).json["settled"]
    assert (said["outcome"], said["note"], said["by"]) == ("agree", "only words", room.ids["bob"])


async def test_a_discordance_is_decided_by_a_third_reader_and_all_texts_are_kept(room: World) -> None:
    await _policy(room, double=[{}])
    await room.person("cai", "north", Role.RADIOLOGIST)
    uid = (await reading(room))["study_uid"]
    await _sign(room, uid, "ada", "no bleed")
    await online(room, "bob")
    await _take(room, uid, "bob")
    await _sign(room, uid, "bob", "a bleed")
    step = (await room.get(f"/api/studies/{uid}", "bob")).json["version"]
    differ = await room.put(f"/api/studies/{uid}/settle", {"outcome": "discordant", "version": step}, "bob")
    assert differ.json["row"]["second_read"]["state"] == "discordant"
    await online(room, "cai")
    row = await _take(room, uid, "cai")
    assert (row["assigned_to"], row["second_reader"]) == (room.ids["cai"], room.ids["bob"])
    final = await _sign(room, uid, "cai", "a small bleed")
    assert (final["status"], [s["kind"] for s in final["signatures"]]) == ("final", ["prelim", "second", "final"])
    await until(room, uid, "final")
    found = (await room.get(f"/api/reports?study_uid={uid}", "max")).json["items"]
    assert {r["sections"]["impression"]: r["status"] for r in found} == {
        "no bleed": "prelim", "a bleed": "prelim", "a small bleed": "final",
    }  # fmt: skip


async def test_a_residents_report_goes_to_an_attending_who_edits_and_signs_it(room: World) -> None:
    uid = (await reading(room, who="rei"))["study_uid"]
    prelim = await _sign(room, uid, "rei", "no bleed", "prelim")
    assert prelim["status"] == "prelim"
    row = await until(room, uid, "prelim")
    assert row["second_read"]["kind"] == "cosign"
    await online(room, "ada")
    row = await _take(room, uid, "ada")
    assert "co-sign" in (await room.get(f"/api/studies/{uid}/explanation", "max")).json["why"].lower()
    assert (row["status"], row["assigned_to"], row["second_reader"]) == ("prelim", room.ids["rei"], room.ids["ada"])
    final = await _sign(room, uid, "ada", "a bleed")
    assert (final["report_id"], final["status"]) == (prelim["report_id"], "final")
    assert [s["by"] for s in final["signatures"]] == [room.ids["rei"], room.ids["ada"]]
    texts = (await room.get(f"/api/studies/{uid}/readings", "rei")).json
    assert (texts["state"], [r["sections"]["impression"] for r in texts["items"]]) == (
        "decided",
        ["no bleed", "a bleed"],
    )
