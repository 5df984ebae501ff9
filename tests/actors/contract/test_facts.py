"""What the decider knows of readers and studies reaches its decisions, in one process and on Ray."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as c
from actors.domain.identity import study_key
from actors.domain.instant import instant
from actors.domain.words import SignKind
from tests.actors.night import ADA, BOB

if TYPE_CHECKING:
    from actors.domain.identity import Principal
    from tests.actors.night import Night

pytestmark = pytest.mark.postgres


async def policy(night: Night, **body: Any) -> None:
    """Set the policy that the decider begins with."""
    await night.admin.execute("INSERT INTO rr.policy (tenant_id, version, body) VALUES ('t', 1, $1)", json.dumps(body))


async def explained(night: Night, study_uid: str) -> dict[str, Any]:
    rows = await night.rows("SELECT body FROM rr.explanation WHERE study_uid = $1 ORDER BY at DESC LIMIT 1", study_uid)
    found: dict[str, Any] = json.loads(rows[0]["body"])
    return found


def points(explanation: dict[str, Any]) -> dict[str, float]:
    return {f["name"]: f["points"] for f in explanation["factors"] if "points" in f}


async def whole(night: Night, study_uid: str, who: Principal, **more: Any) -> None:
    """Let images come and their reader accept; they are all there are."""
    await night.images(study_uid, **more)
    await night.study(study_uid, c.Accept((await night.offered(study_uid))["offer_id"]), who)


async def read(night: Night, study_uid: str, who: Principal, **more: Any) -> None:
    """Let a reader have a study, read and sign it."""
    await whole(night, study_uid, who, **more)
    await night.study(study_uid, c.StartReading(), who)
    await night.study(study_uid, c.SaveDraft(0, {"impression": "None."}), who)
    await night.study(study_uid, c.Sign(SignKind.FINAL, 1), who)


async def quiet(night: Night, study_uid: str) -> None:
    """Do what the listener does when a sender has fallen silent."""
    await night.admin.execute(
        "INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES ('t', $1, $2, $3)",
        study_uid, study_key("t", study_uid).shard, json.dumps({"kind": "quiet", "site_id": "harbor"}),
    )  # fmt: skip


async def test_what_is_predicted_to_breach_in_her_queue_is_moved_before_it_does_and_the_offer_says_so(
    night: Night,
) -> None:
    await policy(night, sla={"URGENT": {"due_s": 840}}, assignment={"minutes": {"CT": 8.0}, "rescue_lead_s": 60})
    await night.online(ADA)
    for uid, patient in (("1.2.3", "p1"), ("1.2.4", "p2")):
        await night.images(uid, priority="HIGH", patient=patient)
        await quiet(night, uid)
        await night.study(uid, c.Accept((await night.offered(uid))["offer_id"]), ADA)
    await night.study("1.2.3", c.StartReading(), ADA)
    assert (await night.doc("1.2.4"))["assigned_to"] == "ada"  # 16 minutes of hers, due in 14
    await night.online(BOB)
    doc = await night.until("1.2.4", lambda d: d.get("offer"))
    assert doc["offer"]["radiologist_id"] == "bob"
    assert (doc["sla"]["state"], doc["sla"]["breached_at"]) == ("running", None)
    released = await night.rows("SELECT body, at FROM rr.journal WHERE entity = 'study/1.2.4' AND type = 'Released'")
    assert [json.loads(r["body"])["reason"] for r in released] == ["sooner_with_another"]
    assert instant(released[0]["at"]) < doc["sla"]["due_at"]
    said = await explained(night, "1.2.4")
    assert said["why"].startswith("Sooner than with Ada, ")
    assert {"name": "taken_from", "value": "ada"} in said["factors"]
    assert (await night.doc("1.2.3"))["assigned_to"] == "ada"  # begun


async def test_who_read_the_prior_is_preferred_and_told_so(night: Night) -> None:
    await night.online(BOB)
    await read(night, "1.2.3", BOB, patient="p7")
    await night.online(ADA)
    await night.images("1.2.4", patient="p7")
    offer = await night.offered("1.2.4")
    assert (await night.doc("1.2.4"))["priors_by"] == ["bob"]
    said = await explained(night, "1.2.4")
    assert offer["radiologist_id"] == "bob"
    assert offer["why"].startswith("You read the prior, ")
    assert points(said)["prior"] == -15.0


async def test_another_kind_than_the_last_costs_a_little(night: Night) -> None:
    await night.admin.execute("""
        INSERT INTO rr.read_time (tenant_id, study_uid, radiologist_id, modality, body_part, procedure, minutes)
        VALUES ('t', 'x', 'ada', 'MR', 'HEAD', '', 2.0)
    """)
    await night.online(ADA)
    await night.images("1.2.4")
    await night.offered("1.2.4")
    assert points(await explained(night, "1.2.4"))["switch"] == 2.0


async def test_turns_go_by_who_was_given_a_study_longest_ago(night: Night) -> None:
    await policy(night, assignment={"choose": "round_robin", "matching": False, "order": "fifo"})
    await night.online(ADA, BOB)
    to = []
    for n in range(4):
        await night.images(f"1.2.{n}", patient=f"p{n}")
        to.append((await night.offered(f"1.2.{n}"))["radiologist_id"])
    assert sorted(to[:2]) == sorted(to[2:]) == ["ada", "bob"]
    assert to[:2] == to[2:]


async def test_the_least_rvu_counts_what_was_read_today(night: Night) -> None:
    await policy(night, assignment={"choose": "least_rvu", "matching": False, "rvu": {"CT": 1.5}})
    await night.admin.execute("""
        INSERT INTO rr.read_time (tenant_id, study_uid, radiologist_id, modality, body_part, procedure, minutes)
        SELECT 't', 'x' || n, 'ada', 'CT', 'HEAD', '', 2.0 FROM generate_series(1, 4) AS n
    """)
    await night.online(ADA, BOB)
    await night.images("1.2.3")
    assert (await night.offered("1.2.3"))["radiologist_id"] == "bob"


async def test_three_studies_of_one_patient_go_to_one_reader(night: Night) -> None:
    await night.online(ADA, BOB)
    for n in range(3):
        await night.images(f"1.2.{n}", patient="p5")
    to = {(await night.offered(f"1.2.{n}"))["radiologist_id"] for n in range(3)}
    assert len(to) == 1
    whys = [(await night.doc(f"1.2.{n}"))["offer"]["why"] for n in range(3)]
    assert sum("ou have this patient's other study" in why for why in whys) == 2  # all but the first
