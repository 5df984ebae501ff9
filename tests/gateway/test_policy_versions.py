"""Versions of a policy over REST, and what deciders make of them: shadow, days by lot, live, back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain.commands import Envelope, ObservePresence
from actors.domain.identity import Principal, radiologist_key
from actors.domain.words import Role
from tests.gateway.rest import ORDER, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


ALL = "/api/policy/versions"
pytestmark = pytest.mark.postgres


async def draft(rest: World, note: str = "", **policy: Any) -> int:
    answer = await rest.post(ALL, {"policy": policy, "note": note}, "max")
    assert answer.status == 201, answer.json
    assert answer.json["mode"] == "draft"
    return int(answer.json["version"])


async def mode(rest: World, version: int, to: str, was: str) -> Any:
    return await rest.put(f"{ALL}/{version}/mode", {"mode": to, "was": was}, "max")


async def modes(rest: World) -> dict[int, str]:
    return {v["version"]: v["mode"] for v in (await rest.get(ALL, "rei")).json["items"]}


async def until(check: Callable[[], Awaitable[Any]], within_s: float = 20) -> Any:
    async with asyncio.timeout(within_s):
        while not (seen := await check()):
            await asyncio.sleep(0.05)
    return seen


async def online(rest: World, *people: str) -> None:
    for who in people:
        by = Principal(rest.ids[who], "north", Role.RADIOLOGIST)
        await rest.refs.ask(radiologist_key("north", by.user_id), Envelope(ObservePresence(connected=True), by))


async def test_a_draft_has_no_effect_until_it_is_made_live_and_the_old_one_can_be_brought_back(rest: World) -> None:
    await rest.put("/api/policy", {"capacity": 4}, "max")
    two = await draft(rest, "more", capacity=7)
    assert (await rest.get("/api/policy", "max")).json["capacity"] == 4
    assert (await mode(rest, two, "live", "draft")).json["today"] is True
    assert (await rest.get("/api/policy", "max")).json["capacity"] == 7
    assert await modes(rest) == {2: "live", 1: "retired"}
    diff = (await rest.get(f"{ALL}/1/diff", "max")).json
    assert (diff["against"], diff["items"]) == (2, [{"path": "capacity", "before": 7, "after": 4}])
    assert (await rest.get(f"{ALL}/2/diff?against=1", "max")).json["items"][0]["before"] == 4
    back = await rest.post(f"{ALL}/1/rollback", {}, "max")
    assert (back.json["mode"], back.json["today"]) == ("live", True)
    assert (await rest.get("/api/policy", "max")).json["capacity"] == 4
    assert await modes(rest) == {2: "retired", 1: "live"}
    await rest.put("/api/policy", {"capacity": 6}, "max")  # the plain call goes on as before
    assert await modes(rest) == {3: "live", 2: "retired", 1: "retired"}
    acts = [r["act"] for r in await rest.sql("SELECT act FROM rr.access WHERE act LIKE 'policy%' ORDER BY access_id")]
    assert acts == ["policy_set", "policy_drafted", "policy_live", "policy_live", "policy_set"]
    kept = await rest.sql("SELECT change FROM rr.access WHERE act = 'policy_live' ORDER BY access_id")
    assert [json.loads(r["change"]) for r in kept] == [
        {"before": {"mode": "draft", "live": 1}, "after": {"mode": "live", "live": 2}},
        {"before": {"mode": "retired", "live": 2}, "after": {"mode": "live", "live": 1}},
    ]


async def test_a_mode_is_fenced_and_one_version_is_tried_at_a_time(rest: World) -> None:
    one, two = await draft(rest, capacity=2), await draft(rest, capacity=3)
    assert (await mode(rest, one, "shadow", "draft")).json["mode"] == "shadow"
    stale = await mode(rest, one, "live", "draft")
    assert (stale.status, stale.code, stale.json["row"]["mode"]) == (409, "stale_version", "shadow")
    taken = await mode(rest, two, "shadow", "draft")
    assert (taken.status, taken.code) == (409, "wrong_status")
    assert (await mode(rest, two, "by_day", "draft")).status == 200
    assert (await rest.post(f"{ALL}/{two}/rollback", {}, "max")).code == "wrong_status"
    assert (await mode(rest, two, "live", "by_day")).json["mode"] == "live"
    assert (await mode(rest, two, "draft", "live")).code == "wrong_status"
    assert (await mode(rest, two, "party", "live")).json["field"] == "mode"
    for path in (f"{ALL}/99", f"{ALL}/x", f"{ALL}/99/diff", f"{ALL}/99/comparison"):
        assert (await rest.get(path, "max")).status == 404, path
    assert (await rest.get(f"{ALL}/{one}/diff?against=99", "max")).status == 404
    wrong = await rest.post(ALL, {"policy": {"sla": {"STAT": {"due_s": 5, "warn_s": 9}}}}, "max")
    assert (wrong.status, wrong.json["field"]) == (422, "sla.STAT.warn_s")
    page = (await rest.get(f"{ALL}?limit=1", "max")).json
    assert [v["version"] for v in (await rest.get(f"{ALL}?after={page['next']}", "max")).json["items"]] == [one]


async def test_the_shadow_decides_beside_the_live_policy_and_acts_on_nothing(rest: World) -> None:
    await rest.put("/api/policy", {"capacity": 1}, "max")
    version = await draft(rest, capacity=3)
    await mode(rest, version, "shadow", "draft")
    await asyncio.sleep(1)  # a policy acts within a second
    await online(rest, "ada")
    for n in range(4):
        row = await rest.ordered(f"A{n}", priority="URGENT", expected_instances=1)
        await rest.images(row["study_uid"])

    async def compared() -> Any:
        answer = (await rest.get(f"{ALL}/{version}/comparison", "max")).json
        return answer if answer["only_shadow"] >= 2 else None

    seen = await until(compared)
    assert seen["agreed"] >= 1
    assert (seen["live_version"], seen["decisions"]) == (1, seen["agreed"] + seen["only_shadow"])
    pair = next(p for p in seen["items"] if p["live"] is None)
    assert pair["shadow"]["radiologist_id"] == rest.ids["ada"]
    assert pair["shadow"]["why"]
    offered = (await rest.get("/api/studies?status=offered", "max")).json["items"]
    assert len(offered) == 1  # what the live policy allows
    loads = await rest.sql("SELECT load FROM rr.reader WHERE user_id = $1", rest.ids["ada"])
    assert [r["load"] for r in loads] == [1]
    explained = (await rest.get(f"/api/studies/{offered[0]['study_uid']}/explanation", "max")).json
    assert explained["policy_version"] == 1
    more = (await rest.get(f"{ALL}/{version}/comparison?limit=1", "max")).json
    rest_of = (await rest.get(f"{ALL}/{version}/comparison?limit=1&after={more['next']}", "max")).json
    assert rest_of["items"][0] != more["items"][0]


async def test_the_table_of_due_times_acts_on_later_clocks_and_is_tried_compared_and_brought_back(rest: World) -> None:
    table = [
        {"priority": "URGENT", "modality": "CT", "setting": "emergency", "due_s": 1200, "warn_s": 600},
        {"setting": "outpatient", "due_s": 9000, "start": "order", "stop": "final"},
    ]
    wrong = await rest.put("/api/policy", {"sla_rules": [{"due_s": 60, "calendar": "moon"}]}, "max")
    assert (wrong.status, wrong.json["field"]) == (422, "sla_rules.0.calendar")
    assert "clock.calendars" in wrong.json["detail"]
    await rest.put("/api/policy", {}, "max")
    version = await draft(rest, sla_rules=table)
    diff = (await rest.get(f"{ALL}/{version}/diff", "max")).json
    assert {d["path"] for d in diff["items"]} == {"sla_rules.0", "sla_rules.1"}
    await mode(rest, version, "shadow", "draft")
    await mode(rest, version, "live", "shadow")
    assert [r["due_s"] for r in (await rest.get("/api/policy", "max")).json["sla_rules"]] == [1200, 9000]
    await asyncio.sleep(1)  # a policy acts within a second

    async def due_s(accession_number: str, **order: Any) -> float:
        row = await rest.ordered(accession_number, expected_instances=1, **order)
        await rest.images(row["study_uid"])
        sql = "SELECT body->>'due_s' AS due_s FROM rr.journal WHERE entity = $1 AND type = 'ClockStarted'"

        async def started() -> Any:
            return await rest.sql(sql, f"study/{row['study_uid']}")

        [one] = await until(started)
        return float(one["due_s"])

    assert await due_s("A1", priority="URGENT", setting="emergency") == 1200
    assert await due_s("A2", priority="URGENT", setting="inpatient") == 7200
    ordered = await rest.ordered("A3", priority="ROUTINE", setting="outpatient")
    assert (ordered["status"], ordered["sla"]["state"]) == ("ordered", "running")
    await rest.post(f"{ALL}/1/rollback", {}, "max")
    await asyncio.sleep(1)
    assert await due_s("A4", priority="URGENT", setting="emergency") == 7200
    odd = await rest.post("/api/orders", {**ORDER, "setting": "home"}, "tess")
    assert (odd.status, odd.json["field"]) == (422, "setting")


async def test_a_version_by_day_is_in_force_on_the_days_of_its_lot_only(rest: World) -> None:
    await rest.put("/api/policy", {"capacity": 2}, "max")
    version = await draft(rest, capacity=9)
    await mode(rest, version, "by_day", "draft")
    [lot] = await rest.sql("SELECT rr.policy_day('north', $1, now()::date) AS mine", version)
    listed = {v["version"]: v["today"] for v in (await rest.get(ALL, "max")).json["items"]}
    assert listed == {version: lot["mine"], 1: not lot["mine"]}
    assert (await rest.get("/api/policy", "max")).json["capacity"] == 2  # what is live, whatever the day
    capacity = 9 if lot["mine"] else 2

    async def shown() -> bool:
        readers = (await rest.get("/api/board", "max")).json["readers"]
        return {r["capacity"] for r in readers} == {capacity}

    await until(shown)
    row = await rest.ordered("A1", priority="URGENT", expected_instances=1)
    await asyncio.sleep(1)
    await rest.images(row["study_uid"])

    async def arm() -> Any:
        arms = (await rest.get(f"{ALL}/{version}/comparison", "max")).json["arms"]
        return [a["version"] for a in arms]

    assert await until(arm) == [version if lot["mine"] else 1]


async def test_the_lot_of_days_is_even_and_the_same_for_all(rest: World) -> None:
    rows = await rest.sql(
        "SELECT rr.policy_day('north', 3, d::date) AS mine, rr.policy_day('south', 3, d::date) AS other,"
        " rr.policy_day('north', 3, d::date) AS again"
        " FROM generate_series('2026-01-01'::date, '2028-09-26'::date, '1 day') AS d"
    )
    mine = [r["mine"] for r in rows]
    assert len(rows) == 1000
    assert 440 < sum(mine) < 560
    assert mine == [r["again"] for r in rows]
    assert mine != [r["other"] for r in rows]
    weekly = [sum(mine[d::7]) / len(mine[d::7]) for d in range(7)]
    assert all(0.3 < share < 0.7 for share in weekly)  # no weekday is always one's


async def test_a_group_sees_nothing_of_anothers_trials(rest: World) -> None:
    version = await draft(rest, capacity=3)
    assert (await rest.get(f"{ALL}/{version}", "sam")).status == 404
    assert (await rest.get(ALL, "sam")).json["items"] == []
