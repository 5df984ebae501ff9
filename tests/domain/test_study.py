"""A study's life: what happens, what is refused, and what everyone sees of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain import commands as c
from actors.domain.errors import (
    AlreadyTaken,
    BadPayload,
    ConfirmNeeded,
    Forbidden,
    NotAssigned,
    NotEligible,
    OfferExpired,
    ReadingRoomError,
    StaleVersion,
    WrongStatus,
)
from actors.domain.events import EVENTS, event
from actors.domain.evolve import evolve
from actors.domain.study import Study, dump, load
from actors.domain.words import ClockState, DeclineReason, Flag, Presence, Priority, ReadinessState, SignKind, Status
from tests.domain.story import ADA, BOB, MAX, NOW, ORDER, PATIENT, SAM, Story, assigned


def signed() -> Story:
    story = assigned()
    story.tell(c.StartReading(), ADA)
    story.tell(c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    story.tell(c.Sign(SignKind.FINAL, 1), ADA)
    return story


def test_an_order_its_images_an_offer_a_signature() -> None:
    story = signed()
    assert story.types == [
        "OrderReceived", "FirstInstanceReceived", "ReadinessChanged", "ClockStarted", "Offered", "Accepted",
        "ReadingStarted", "DraftSaved", "FinalSigned",
    ]  # fmt: skip
    assert (story.study.status, story.study.open) == (Status.FINAL, False)
    assert story.study.sla is not None
    assert story.study.sla.state is ClockState.STOPPED


def test_a_stat_study_is_offerable_on_its_first_instance_others_when_ready() -> None:
    assert Story().order().images(1).study.offerable
    urgent = Story().order(c.Order("harbor", "A26-1", Priority.URGENT, "CT", "CT", PATIENT, expected_instances=2))
    assert not urgent.images(1).study.offerable
    assert urgent.images(2).study.offerable


def test_images_without_an_order_become_ready_when_the_sender_is_quiet() -> None:
    story = Story().images(3)
    assert story.study.flags == {Flag.NO_ORDER}
    assert (story.study.priority, story.study.readiness.state) == (Priority.URGENT, ReadinessState.INCOMPLETE)
    assert story.images(3, quiet=True).study.offerable


def test_an_order_joins_only_when_number_and_birth_date_agree() -> None:
    assert Story().images(1, patient=PATIENT).study.flags == {Flag.NO_ORDER}
    story = Story()
    story.tell(c.ImagesArrived("harbor", PATIENT, 1, accession_number="A26-1"), order=ORDER)
    assert (story.study.ordered, story.study.flags, story.study.priority) == (True, frozenset(), Priority.STAT)
    other = Story()
    wrong = c.Patient("p2", "X^Y", "004417", "harbor", "1970-01-01", "F")
    other.tell(c.ImagesArrived("harbor", wrong, 1, accession_number="A26-1"), order=ORDER)
    assert (other.study.ordered, other.study.flags) == (False, {Flag.PATIENT_MISMATCH})


def test_the_minted_study_leaves_before_the_images_stand_with_its_order() -> None:
    minted = Story(Study("2.25.1")).order().study
    story = Story()
    unit = story.tell(c.ImagesArrived("harbor", PATIENT, 1, accession_number="A26-1"), order=ORDER, minted=minted)
    assert (unit.events[0].entity, unit.events[0].type) == ("study/2.25.1", "OrderMoved")
    rows = [f.data["row"] for f in unit.feed if f.stream == "tenant:t"]
    assert rows[0] is None
    assert rows[-1]["study_uid"] == "1.2.3"
    assert unit.counters["tenant:t"] == {"open": 0, "unread": 1}


def test_images_after_the_signature_alert_until_an_addendum() -> None:
    story = signed().images(3)
    assert (story.study.flags, story.study.open) == ({Flag.IMAGES_AFTER_SIGN}, True)
    assert any(f.stream == "user:ada" for f in story.units[-1].feed)
    story.tell(c.Sign(SignKind.ADDENDUM, 0, text="Two more images: no change."), ADA)
    assert not story.study.open


def test_other_content_under_a_known_uid_is_flagged_once_and_changes_no_offer() -> None:
    story = Story().order().images().offer()
    story.images(2, conflict=True)
    assert story.study.flags == {Flag.UID_CONFLICT}
    assert story.study.offer is not None
    assert story.tell(c.ImagesArrived("harbor", PATIENT, 2, conflict=True)).events == []


def test_accept_is_answered_alike_for_tabs_and_retries() -> None:
    story = Story().order().images().offer()
    story.tell(c.Accept("o1"), ADA)
    assert story.tell(c.Accept("o1"), ADA).events == []
    with pytest.raises(AlreadyTaken) as taken:
        story.tell(c.Accept("o1"), BOB)
    assert taken.value.fields == {"by": "ada"}


def test_somebody_elses_offer_is_forbidden_and_a_late_one_expired() -> None:
    story = Story().order().images().offer()
    with pytest.raises(Forbidden):
        story.tell(c.Accept("o1"), BOB)
    story.later(121)
    with pytest.raises(OfferExpired):
        story.tell(c.Accept("o1"), ADA)


@pytest.mark.parametrize("reason", list(DeclineReason))
def test_a_decline_returns_the_study_and_only_competence_and_conflict_exclude(reason: DeclineReason) -> None:
    story = Story().order().images().offer()
    story.tell(c.Decline("o1", reason), ADA)
    assert story.study.status is Status.UNREAD
    assert [a.radiologist_id for a in story.study.asked] == ["ada"]
    assert ("ada" in story.study.excluded) == (reason in {"outside_competence", "conflict_of_interest"})


def test_an_offer_timer_of_an_older_step_does_nothing() -> None:
    story = Story().order().images().offer()
    step = story.study.step
    assert story.tell(c.FireTimer("offer", step - 1, story.now)).events == []
    assert [e.type for e in story.tell(c.FireTimer("offer", step, story.now)).events] == ["OfferExpired"]
    assert story.tell(c.FireTimer("offer", step, story.now)).events == []


def test_images_never_move_the_step_of_an_open_offer() -> None:
    story = Story().order().images(1).offer()
    step = story.study.step
    story.images(2)
    assert story.study.step == step
    assert story.study.rev > step


def test_a_grant_commits_once_and_only_at_its_step() -> None:
    story = Story().order().images()
    grant = c.Grant("ada", "o1", story.study.step, 1)
    assert len(story.tell(c.Offer(grant, "", 120)).events) == 1
    assert story.tell(c.Offer(grant, "", 120)).events == []
    with pytest.raises(WrongStatus):
        story.tell(c.Claim(c.Grant("bob", "o2", story.study.step, 1)))


def test_a_manager_takes_a_study_that_is_being_read_only_with_a_reason() -> None:
    story = assigned()
    story.tell(c.StartReading(), ADA)
    grant = c.Grant("bob", "m1", story.study.step, 1)
    with pytest.raises(BadPayload):
        story.tell(c.Assign(grant))
    unit = story.tell(c.Assign(grant, "Ada is called away"), MAX)
    assert story.study.assigned_to == "bob"
    assert [f.type for f in unit.feed if f.stream == "user:ada"] == ["assignment_revoked"]
    with pytest.raises(NotAssigned):
        story.tell(c.SaveDraft(0, {}), ADA)


def test_a_newer_draft_is_shown_to_who_saved_an_older_one() -> None:
    story = assigned()
    story.tell(c.SaveDraft(0, {"findings": "one"}), ADA)
    from actors.domain.facts import Draft  # noqa: PLC0415

    with pytest.raises(StaleVersion) as stale:
        story.tell(c.SaveDraft(0, {"findings": "two"}), ADA, draft=Draft({"findings": "one"}, "ada"))
    assert stale.value.fields == {"report_version": 1, "sections": {"findings": "one"}, "by": "ada"}
    with pytest.raises(BadPayload):
        story.tell(c.SaveDraft(1, {"opinion": "?"}), ADA)


def test_signing_with_images_missing_asks_and_keeps_the_answer() -> None:
    story = Story().order().images(1).offer()
    story.tell(c.Accept("o1"), ADA)
    story.tell(c.SaveDraft(0, {}), ADA)
    with pytest.raises(ConfirmNeeded) as asked:
        story.tell(c.Sign(SignKind.FINAL, 1), ADA)
    assert asked.value.fields == {"received": 1, "expected": 2}
    unit = story.tell(c.Sign(SignKind.FINAL, 1, confirm=True), ADA)
    assert (unit.events[0].body["received"], unit.events[0].body["expected"]) == (1, 2)
    assert [o.type for o in unit.outbox] == ["report_final"]


def test_a_resident_signs_prelim_and_an_attending_co_signs() -> None:
    story = Story().order().images().offer(SAM)
    story.tell(c.Accept("o1"), SAM)
    story.tell(c.SaveDraft(0, {}), SAM)
    with pytest.raises(Forbidden):
        story.tell(c.Sign(SignKind.FINAL, 1), SAM)
    story.tell(c.Sign(SignKind.PRELIM, 1), SAM)
    assert (story.study.shown, story.study.offerable) == (Status.PRELIM, True)
    story.tell(c.Sign(SignKind.FINAL, 2), BOB)
    assert (story.study.status, story.study.signed_by) == (Status.FINAL, "bob")


def test_a_breach_is_never_cleared_and_never_told_twice() -> None:
    story = Story().order().images()
    clock = story.study.sla
    assert clock is not None
    story.tell(c.FireTimer("sla_warn", 0, clock.warn_at))
    story.tell(c.FireTimer("sla_breach", 0, clock.due_at))
    assert story.tell(c.FireTimer("sla_breach", 0, clock.due_at)).events == []
    story.tell(c.PauseClock(story.study.step, "scanner down"))
    story.later(600)
    story.tell(c.ResumeClock(story.study.step, "scanner up"))
    after = story.study.sla
    assert after is not None
    assert (after.state, after.due_at, after.paused_s) == (ClockState.BREACHED, clock.due_at, 600)
    assert after.breached_at == NOW


def test_a_pause_before_the_breach_moves_the_due_time_and_its_timers() -> None:
    story = Story().order().images()
    before = story.study.sla
    story.tell(c.PauseClock(story.study.step, "contrast reaction"))
    assert set(story.units[-1].disarm) == {"sla_warn", "sla_breach"}
    story.later(60)
    unit = story.tell(c.ResumeClock(story.study.step, "went on"))
    assert {arm.name for arm in unit.arm} == {"sla_warn", "sla_breach"}
    assert before is not None
    assert story.study.sla is not None
    assert (story.study.sla.due_at - before.due_at).total_seconds() == 60


def test_triage_only_raises() -> None:
    story = Story().order().images()
    story.tell(c.RecordTriage("m", "1", "ok", "Possible bleed", "suspected_critical"))
    story.tell(c.RecordTriage("m", "2", "ok", "Nothing flagged", "nothing_flagged"))
    assert (story.study.acuity, len(story.study.ai)) == ("suspected_critical", 1)


def test_a_technologist_never_sees_what_a_machine_suspects() -> None:
    story = Story().order().images()
    unit = story.tell(c.RecordTriage("m", "1", "ok", "Possible bleed", "suspected_critical"))
    site = [f for f in unit.feed if f.stream == "site:harbor"]
    assert [f.type for f in site] == ["study_changed"]
    assert not {"ai", "acuity", "offer", "second_reader"} & set(site[0].data["row"])
    assert "headline" not in site[0].data
    wall = [f for f in unit.feed if f.stream == "wall:t"]
    assert wall[0].data["row"]["patient"] is None


def test_every_event_survives_its_journal_row() -> None:
    story = signed()
    replayed = Study("1.2.3")
    for unit in story.units:
        for recorded in unit.events:
            replayed = evolve(replayed, event(recorded.type, recorded.body), recorded.at)
    assert replayed == story.study
    assert load(dump(replayed)) == replayed


def test_every_event_has_a_name_of_its_own() -> None:
    assert len(EVENTS) == 36
    assert all(body.__name__ for body in EVENTS.values())


COMMANDS: list[tuple[Any, Any]] = [
    (c.StartReading(), ADA),
    (c.Release("tired"), ADA),
    (c.SaveDraft(0, {}), ADA),
    (c.Sign(SignKind.FINAL, 1), ADA),
    (c.Sign(SignKind.PRELIM, 1), ADA),
    (c.Accept("o1"), ADA),
    (c.Decline("o1", DeclineReason.OTHER), ADA),
    (c.CancelOrder("twice"), MAX),
    (c.ImagesArrived("harbor", PATIENT, 1), None),
    (c.ImagesArrived("harbor", PATIENT, 5), None),
    (c.RecordTriage("m", "1", "ok", "h", "nothing_flagged"), None),
    (c.ReceiveOrder(ORDER), None),
]


@given(st.lists(st.sampled_from(range(len(COMMANDS) + 3)), max_size=25))
def test_whatever_comes_in_whatever_order_the_books_balance(steps: list[int]) -> None:
    story, open_total, load = Story(), 0, {"ada": 0}
    for number in steps:
        try:
            if number < len(COMMANDS):
                command, by = COMMANDS[number]
                unit = story.tell(command, by)
            elif number == len(COMMANDS):
                unit = story.tell(c.Offer(c.Grant("ada", "o1", story.study.step, 1), "", 120))
            elif number == len(COMMANDS) + 1:
                unit = story.tell(c.FireTimer("offer", story.study.step, story.now))
            else:
                unit = story.tell(c.Claim(c.Grant("ada", "o2", story.study.step, 1)))
        except ReadingRoomError:
            continue
        versions = [e.version for e in unit.events]
        assert versions == sorted(versions)
        open_total += unit.counters.get("tenant:t", {}).get("open", 0)
        for delta in unit.readers:
            load[delta.user_id] += delta.load
        assert open_total == int(story.study.open)
        assert load["ada"] == int(story.study.load_of == "ada")


def test_who_is_off_takes_nothing_and_writes_nothing() -> None:
    story = Story().order().images(1).offer()
    offer = story.study.offer
    assert offer is not None
    for command in (c.Accept(offer.offer_id), c.Decline(offer.offer_id, DeclineReason.OTHER)):
        with pytest.raises(NotEligible, match="You are off"):
            story.tell(command, ADA, presence=Presence.OFF)
    with pytest.raises(Forbidden):  # what is refused anyway is refused in its own words
        story.tell(c.Accept(offer.offer_id), BOB, presence=Presence.OFF)
    story.tell(c.Accept(offer.offer_id), ADA, presence=Presence.AWAY)
    story.tell(c.Accept(offer.offer_id), ADA, presence=Presence.OFF)  # said again: nothing happens
    for command in (c.StartReading(), c.SaveDraft(0, {"findings": "x"})):
        with pytest.raises(NotEligible, match="You are off"):
            story.tell(command, ADA, presence=Presence.OFF)
