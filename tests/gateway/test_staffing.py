"""Readers, shifts, rosters and absences over REST: what is right is kept and audited, what is wrong says how to cure it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain.commands import Envelope, ObservePresence
from actors.domain.identity import Principal, radiologist_key
from actors.domain.instant import instant
from actors.domain.words import Role
from readingroom.demo.client import LiveClient

if TYPE_CHECKING:
    from tests.gateway.rest import World

NOW = datetime.now(UTC).replace(microsecond=0)
H = timedelta(hours=1)
pytestmark = pytest.mark.postgres


def at(hours: float) -> str:
    return instant(NOW + hours * H)


async def audited(rest: World, act: str) -> int:
    [row] = await rest.sql("SELECT count(*) AS n FROM rr.access WHERE act = $1 AND tenant_id = 'north'", act)
    return int(row["n"])


async def profile(rest: World, who: str, **fields: Any) -> Any:
    path = f"/api/readers/{rest.ids[who]}"
    now = (await rest.get(path, "max")).json
    return await rest.put(path, {"version": now["version"], **fields}, "max")


async def shift(rest: World, who: str, starts: float, ends: float, **fields: Any) -> Any:
    body = {"radiologist_id": rest.ids[who], "starts_at": at(starts), "ends_at": at(ends), **fields}
    return await rest.post("/api/shifts", body, "max")


# -- readers --------------------------------------------------------------------------------------
async def test_a_profile_is_set_read_and_fenced_by_its_version(rest: World) -> None:
    said = {
        "licences": [{"jurisdiction": "US-ME", "valid_from": "2024-01-01", "valid_to": None}],
        "privileges": [{"site": "Harbor", "valid_from": None, "valid_to": None}],
        "subspecialties": {"neuro": 3}, "modalities": {"CT": 2}, "capacity": 4,
        "conflicts": [{"about": "site", "of": "main"}],
    }  # fmt: skip
    answer = await profile(rest, "ada", **said)
    assert (answer.status, answer.json["version"]) == (200, 1)
    assert answer.json["privileges"][0]["site"] == "harbor"  # by its id, whichever was said
    path = f"/api/readers/{rest.ids['ada']}"
    stale = await rest.put(path, {"version": 0}, "max")
    assert (stale.status, stale.code, stale.json["row"]["capacity"]) == (409, "stale_version", 4)
    listed = (await rest.get("/api/readers?limit=2", "ada")).json
    assert len(listed["items"]) == 2
    rest_of = (await rest.get(f"/api/readers?after={listed['next']}", "ada")).json
    assert {r["radiologist_id"] for p in (listed, rest_of) for r in p["items"]} == {
        rest.ids[w] for w in ("ada", "bob", "rei")
    }
    assert await audited(rest, "reader_set") == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"capacity": 0}, "capacity"),
        ({"privileges": [{"site": "moon"}]}, "privileges[0].site"),
        ({"licences": [{"jurisdiction": "?"}]}, "licences[0].jurisdiction"),
        ({"subspecialties": {"neuro": 9}}, "subspecialties"),
        ({"conflicts": [{"about": "weather", "of": "x"}]}, "conflicts[0].about"),
    ],
)
async def test_a_wrong_profile_changes_nothing_and_names_the_field(
    rest: World, fields: dict[str, Any], field: str
) -> None:
    answer = await profile(rest, "ada", **fields)
    assert (answer.status, answer.code) == (422, "bad_payload")
    assert answer.json["field"].startswith(field)
    assert (await rest.get(f"/api/readers/{rest.ids['ada']}", "max")).json["version"] == 0


async def test_a_repeated_write_has_one_effect_and_one_answer(rest: World) -> None:
    path, key = f"/api/readers/{rest.ids['ada']}", {"Idempotency-Key": "k1"}
    first = await rest.put(path, {"version": 0, "capacity": 3}, "max", headers=key)
    again = await rest.put(path, {"version": 0, "capacity": 3}, "max", headers=key)
    assert first.json == again.json
    other = await rest.put(path, {"version": 0, "capacity": 4}, "max", headers=key)
    assert (other.status, other.json["field"]) == (422, "Idempotency-Key")
    body = {"radiologist_id": rest.ids["ada"], "starts_at": at(1), "ends_at": at(2)}
    at_once = [rest.post("/api/shifts", body, "max", headers={"Idempotency-Key": "k2"}) for _ in range(5)]
    ids = {a.json["shift_id"] for a in await asyncio.gather(*at_once)}
    assert len(ids) == 1
    assert await audited(rest, "shift_added") == 1


async def test_a_changed_capacity_is_told_and_acted_upon_within_seconds(rest: World) -> None:
    by = Principal(rest.ids["ada"], "north", Role.RADIOLOGIST)
    await profile(rest, "ada", capacity=1)
    await rest.refs.ask(radiologist_key("north", by.user_id), Envelope(ObservePresence(connected=True), by))
    client = LiveClient(rest.url, token=rest.tokens["max"])
    await client.connect()
    try:
        for n in range(3):
            row = await rest.ordered(f"A{n}", priority="STAT")
            await rest.images(row["study_uid"])
        await _until(lambda: _reader(client, by.user_id)["load"] == 2)  # 1, and one more for a STAT
        await profile(rest, "ada", capacity=2)
        await _until(lambda: _reader(client, by.user_id)["capacity"] == 2, within_s=5)
        await _until(lambda: _reader(client, by.user_id)["load"] == 3, within_s=5)
    finally:
        await client.close()


async def test_a_day_off_is_acted_upon_within_seconds(rest: World) -> None:
    by = Principal(rest.ids["ada"], "north", Role.RADIOLOGIST)
    await rest.refs.ask(radiologist_key("north", by.user_id), Envelope(ObservePresence(connected=True), by))
    await shift(rest, "ada", -1, 8)
    away = {"radiologist_id": by.user_id, "starts_at": at(-0.5), "ends_at": at(8)}
    absence = (await rest.post("/api/absences", away, "max")).json
    row = await rest.ordered("A1", priority="STAT")
    await rest.images(row["study_uid"])

    async def status() -> str:
        return str((await rest.get(f"/api/studies/{row['study_uid']}", "max")).json["status"])

    async with asyncio.timeout(20):
        while await status() == "ordered":
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    assert await status() == "unread"
    assert (await rest.call("DELETE", f"/api/absences/{absence['absence_id']}?version=1", who="max")).status == 200
    async with asyncio.timeout(5):
        while await status() != "offered":
            await asyncio.sleep(0.02)


def _reader(client: LiveClient, user_id: str) -> dict[str, Any]:
    return client.readers.get(user_id, {"load": None, "capacity": None})


async def _until(true: Any, within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.02)


# -- shifts ---------------------------------------------------------------------------------------
async def test_shifts_are_added_listed_changed_and_removed(rest: World) -> None:
    first = await shift(rest, "ada", 1, 9, breaks=[{"starts_at": at(4), "ends_at": at(4.5)}])
    assert (first.status, first.json["version"], first.json["kind"]) == (201, 1, "duty")
    await shift(rest, "bob", 9, 17)
    await shift(rest, "ada", 2, 30, kind="on_call")
    page = (await rest.get("/api/shifts?limit=2", "rei")).json
    more = (await rest.get(f"/api/shifts?after={page['next']}", "rei")).json
    assert [s["starts_at"] for s in page["items"] + more["items"]] == [at(1), at(2), at(9)]
    assert more["next"] is None
    hers = (await rest.get(f"/api/shifts?reader={rest.ids['bob']}&to={at(10)}", "max")).json["items"]
    assert [s["radiologist_id"] for s in hers] == [rest.ids["bob"]]
    path = f"/api/shifts/{first.json['shift_id']}"
    body = {"radiologist_id": rest.ids["rei"], "starts_at": at(1), "ends_at": at(8), "version": 1}
    assert (await rest.put(path, body, "max")).json["version"] == 2
    assert (await rest.put(path, body, "max")).code == "stale_version"
    assert (await rest.call("DELETE", f"{path}?version=1", who="max")).code == "stale_version"
    assert (await rest.call("DELETE", path, who="max")).json["field"] == "version"
    assert (await rest.call("DELETE", f"{path}?version=2", who="max")).status == 200
    assert (await rest.get(path, "max")).status == 404
    kept = await rest.sql("SELECT change FROM rr.access WHERE act = 'shift_removed'")
    assert json.loads(kept[0]["change"])["before"]["ends_at"] == at(8)
    assert json.loads(kept[0]["change"])["after"] is None
    assert [await audited(rest, f"shift_{act}") for act in ("added", "changed", "removed")] == [3, 1, 1]


async def test_nobody_works_twice_at_once(rest: World) -> None:
    await shift(rest, "ada", 1, 9)
    twice = await shift(rest, "ada", 8, 12)
    assert (twice.status, twice.json["field"]) == (422, "starts_at")
    at_once = await asyncio.gather(*(shift(rest, "bob", n, n + 2) for n in range(1, 5)))
    assert sorted(a.status for a in at_once) in ([201, 201, 422, 422], [201, 422, 422, 422])
    assert (await shift(rest, "ada", 9, 9)).json["field"] == "ends_at"
    assert (await shift(rest, "ada", 9, 12, breaks=[{"starts_at": at(1), "ends_at": at(2)}])).json["field"] == "breaks"
    unknown = await rest.post(
        "/api/shifts", {"radiologist_id": rest.ids["sam"], "starts_at": at(1), "ends_at": at(2)}, "max"
    )
    assert unknown.status == 404


async def test_two_readers_swap_shifts_both_or_neither(rest: World) -> None:
    mine, hers = await shift(rest, "ada", 1, 9), await shift(rest, "bob", 1, 9)
    late = await shift(rest, "bob", 10, 12)
    path = f"/api/shifts/{mine.json['shift_id']}/swap"
    swapped = await rest.post(path, {"with_shift_id": hers.json["shift_id"], "version": 1}, "max")
    assert [s["radiologist_id"] for s in swapped.json["items"]] == [rest.ids["bob"], rest.ids["ada"]]
    assert await audited(rest, "shift_swapped") == 2
    await shift(rest, "ada", 9.5, 11)
    refused = await rest.post(
        f"/api/shifts/{late.json['shift_id']}/swap", {"with_shift_id": hers.json["shift_id"], "version": 1}, "max"
    )
    assert (refused.status, refused.json["field"]) == (422, "starts_at")
    assert (await rest.get(f"/api/shifts/{late.json['shift_id']}", "max")).json["version"] == 1
    self_swap = await rest.post(path, {"with_shift_id": late.json["shift_id"], "version": 2}, "max")
    assert self_swap.json["field"] == "with_shift_id"


async def test_a_swap_decides_within_seconds_who_is_offered_what(rest: World) -> None:
    for who in ("ada", "bob"):
        by = Principal(rest.ids[who], "north", Role.RADIOLOGIST)
        await rest.refs.ask(radiologist_key("north", by.user_id), Envelope(ObservePresence(connected=True), by))
    now, later = await shift(rest, "ada", -1, 8), await shift(rest, "bob", 12, 20)
    path = f"/api/shifts/{now.json['shift_id']}/swap"
    swapped = await rest.post(path, {"with_shift_id": later.json["shift_id"], "version": 1}, "max")
    assert swapped.status == 200
    await asyncio.sleep(5)
    row = await rest.ordered("A1", priority="STAT")
    await rest.images(row["study_uid"])

    async def offer() -> Any:
        return (await rest.get(f"/api/studies/{row['study_uid']}", "max")).json["offer"]

    async with asyncio.timeout(20):
        while (made := await offer()) is None:
            await asyncio.sleep(0.05)
    assert made["radiologist_id"] == rest.ids["bob"]
    told = await rest.sql("SELECT change FROM rr.access WHERE act = 'shift_swapped' ORDER BY access_id")
    was, became = (json.loads(told[0]["change"])[side]["radiologist_id"] for side in ("before", "after"))
    assert (was, became) == (rest.ids["ada"], rest.ids["bob"])


# -- rosters and absences -------------------------------------------------------------------------
async def test_a_roster_makes_shifts_and_replaces_those_to_come(rest: World) -> None:
    first, last = (NOW + 24 * H).date(), (NOW + 24 * 14 * H).date()
    body = {
        "radiologist_id": rest.ids["ada"], "time_zone": "America/New_York", "weekdays": [1, 2, 3, 4, 5, 6, 7],
        "starts": "22:00", "ends": "06:00", "first_day": first.isoformat(), "last_day": last.isoformat(),
        "breaks": [{"starts": "02:00", "ends": "02:30"}],
    }  # fmt: skip
    made = await rest.post("/api/rosters", body, "max")
    assert (made.status, made.json["shifts"]) == (201, 14)
    path = f"/api/rosters/{made.json['roster_id']}"
    [one, *_] = (await rest.get(f"/api/shifts?reader={rest.ids['ada']}", "ada")).json["items"]
    by_hand = {
        "radiologist_id": rest.ids["bob"],
        "starts_at": one["starts_at"],
        "ends_at": one["ends_at"],
        "version": 1,
    }
    assert (await rest.put(f"/api/shifts/{one['shift_id']}", by_hand, "max")).json["roster_id"] is None
    changed = await rest.put(path, {**body, "ends": "04:00", "version": 1}, "max")
    assert (changed.json["shifts"], changed.json["version"], changed.json["ends"]) == (14, 2, "04:00")
    assert (await rest.put(path, {**body, "version": 1}, "max")).code == "stale_version"
    assert len((await rest.get("/api/rosters", "rei")).json["items"]) == 1
    assert (await rest.call("DELETE", f"{path}?version=2", who="max")).status == 200
    left = (await rest.get("/api/shifts", "max")).json["items"]
    assert [s["radiologist_id"] for s in left] == [rest.ids["bob"]]  # who was put there by hand stays
    assert [await audited(rest, f"roster_{a}") for a in ("added", "changed", "removed")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"weekdays": [8]}, "weekdays"),
        ({"starts": "25:00"}, "starts"),
        ({"last_day": "2020-01-01"}, "last_day"),
        ({"first_day": "2026-02-31"}, "first_day"),
        ({"last_day": "2031-01-01"}, "last_day"),
    ],
)
async def test_a_wrong_roster_names_the_field(rest: World, fields: dict[str, Any], field: str) -> None:
    day = (NOW + 24 * H).date().isoformat()
    body = {
        "radiologist_id": rest.ids["ada"], "weekdays": [1, 2, 3, 4, 5, 6, 7], "starts": "08:00", "ends": "16:00",
        "first_day": day, "last_day": day,
    }  # fmt: skip
    assert (await rest.post("/api/rosters", body, "max")).status == 201
    answer = await rest.post("/api/rosters", {**body, **fields}, "max")
    assert (answer.status, answer.code) == (422, "bad_payload")
    assert answer.json["field"].startswith(field)


async def test_absences_are_kept_and_taken_back(rest: World) -> None:
    body = {"radiologist_id": rest.ids["ada"], "starts_at": at(1), "ends_at": at(100), "reason": "vacation"}
    made = await rest.post("/api/absences", body, "max")
    assert made.status == 201
    path = f"/api/absences/{made.json['absence_id']}"
    changed = await rest.put(path, {**body, "ends_at": at(50), "version": 1}, "max")
    assert (changed.json["ends_at"], changed.json["version"]) == (at(50), 2)
    assert (await rest.put(path, {**body, "ends_at": at(0), "version": 2}, "max")).json["field"] == "ends_at"
    assert [a["reason"] for a in (await rest.get("/api/absences", "rei")).json["items"]] == ["vacation"]
    assert (await rest.call("DELETE", f"{path}?version=2", who="max")).status == 200
    assert (await rest.get("/api/absences", "rei")).json["items"] == []


# -- sheets ---------------------------------------------------------------------------------------
async def sheet(rest: World, path: str, text: str, who: str = "max") -> Any:
    return await rest.call("POST", path, who=who, raw=text.encode(), headers={"Content-Type": "text/csv"})


READERS = """email,licences,modalities,subspecialties,capacity
ada@example.org,US-ME; US-NH 2024-01-01..2026-12-31,CT=3; MR,neuro=3,6
BOB@example.org,,,,
"""


WRONG = [(4, "email"), (5, "capacity"), (5, "licences"), (5, "modalities"), (6, "email"), (7, "")]


async def test_a_sheet_of_readers_is_taken_whole(rest: World) -> None:
    tried = await sheet(rest, "/api/readers/import?dry_run=true", READERS)
    assert tried.json == {"rows": 2, "changed": 1, "applied": False, "errors": []}
    assert (await rest.get(f"/api/readers/{rest.ids['ada']}", "max")).json["capacity"] is None
    taken = await sheet(rest, "/api/readers/import", READERS)
    assert taken.json == {"rows": 2, "changed": 1, "applied": True, "errors": []}
    ada = (await rest.get(f"/api/readers/{rest.ids['ada']}", "max")).json
    assert (ada["capacity"], ada["modalities"]) == (6, {"CT": 3, "MR": 2})
    assert ada["licences"][1] == {"jurisdiction": "US-NH", "valid_from": "2024-01-01", "valid_to": "2026-12-31"}
    assert (await sheet(rest, "/api/readers/import", READERS)).json["changed"] == 0
    assert await audited(rest, "reader_set") == 1


async def test_a_sheet_with_wrong_rows_changes_nothing_and_says_where_what_and_how_to_cure_it(rest: World) -> None:
    wrong = READERS + "eve@example.org,,,,\nrei@example.org,US-ME soon..,CT=9,,many\nada@example.org,,,,3\n"
    wrong += "rei@example.org,x\n"
    tried = await sheet(rest, "/api/readers/import?dry_run=1", wrong)
    assert (tried.status, tried.json["rows"], tried.json["changed"], tried.json["applied"]) == (200, 6, 0, False)
    said = [(e["line"], e["column"]) for e in tried.json["errors"]]
    assert said == WRONG, said
    assert all(e["what"] and e["cure"] for e in tried.json["errors"])
    refused = await sheet(rest, "/api/readers/import", wrong)
    assert (refused.status, refused.code) == (422, "bad_payload")
    assert refused.json["errors"] == tried.json["errors"]
    assert (await rest.get(f"/api/readers/{rest.ids['ada']}", "max")).json["version"] == 0
    for text in ("", "name\nx\n", "email,email\n", 'email\n"x\n', "\x00"):
        assert (await sheet(rest, "/api/readers/import", text)).status == 422, text
    assert (await rest.call("POST", "/api/readers/import", who="max", raw=b"email\n\xff")).status == 422
    site = await sheet(rest, "/api/readers/import?dry_run=1", "email,privileges\nada@example.org,moon\n")
    assert [(e["line"], e["column"]) for e in site.json["errors"]] == [(2, "privileges")]


SHIFTS = """email,starts,ends,kind,breaks,time_zone
ada@example.org,2027-03-13 22:00,06:00,,02:30-03:30; 04:00-04:15,America/New_York
bob@example.org,2027-03-14T06:00Z,2027-03-14T14:00Z,on_call,,
"""


async def test_a_sheet_of_shifts_knows_nights_zones_and_clock_changes(rest: World) -> None:
    taken = await sheet(rest, "/api/shifts/import", SHIFTS)
    assert taken.json == {"rows": 2, "changed": 2, "applied": True, "errors": []}
    items = (await rest.get("/api/shifts?from=2027-03-01T00:00Z&to=2027-04-01T00:00Z", "max")).json["items"]
    assert (items[0]["starts_at"], items[0]["ends_at"]) == ("2027-03-14T03:00:00.000Z", "2027-03-14T10:00:00.000Z")
    assert items[1]["kind"] == "on_call"
    assert (await sheet(rest, "/api/shifts/import", SHIFTS)).json["changed"] == 0  # they stand already


async def test_wrong_shifts_of_a_sheet_are_named(rest: World) -> None:
    head = "email,starts,ends,kind,breaks,time_zone\n"
    rows = [
        ("ada@example.org,soon,06:00,,,", "starts"), ("ada@example.org,2027-03-13 22:00,late,,,", "ends"),
        ("ada@example.org,2027-03-13 22:00,06:00,party,,", "kind"),
        ("ada@example.org,2027-03-13 22:00,06:00,,12:00-13:00,", "breaks"),
        ("ada@example.org,2027-03-13 22:00,06:00,,noon,", "breaks"),
        ("ada@example.org,2027-03-13 22:00,06:00,,,Mars/Olympus", "time_zone"),
        ("ada@example.org,2027-03-13 22:00,2027-03-13 21:00,,,", "ends"),
        ("nobody@example.org,2027-03-13 22:00,06:00,,,", "email"),
    ]  # fmt: skip
    answer = await sheet(rest, "/api/shifts/import?dry_run=true", head + "\n".join(text for text, _ in rows))
    assert [(e["line"], e["column"]) for e in answer.json["errors"]] == [(n + 2, c) for n, (_, c) in enumerate(rows)]
    twice = head + "ada@example.org,2027-03-13 22:00,06:00,,,\nada@example.org,2027-03-14 05:00,08:00,,,\n"
    answer = await sheet(rest, "/api/shifts/import", twice)
    assert [(e["line"], e["column"]) for e in answer.json["errors"]] == [(3, "starts")]
    assert (await rest.get("/api/shifts?from=2027-03-01T00:00Z&to=2027-04-01T00:00Z", "max")).json["items"] == []
