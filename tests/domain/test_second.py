"""A second reading: who is asked, what stays hidden, when the clock stops, and what becomes of two texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.domain import commands as c
from actors.domain.assignment.engine import decide as decide_offers
from actors.domain.double import double, lot
from actors.domain.errors import BadPayload, NotAssigned, NotEligible, ReadingRoomError
from actors.domain.policy import Policy, policy
from actors.domain.row import row
from actors.domain.second import Outcome, SecondKind, SecondState
from actors.domain.staff import Member, reader
from actors.domain.study import Study, dump, load
from actors.domain.words import ClockState, DeclineReason, Presence, Role, SignKind, Status
from actors.tenant.ledger import Ledger
from tests.domain import seconds
from tests.domain.seconds import CAI, EVA, compare, discordant, first, resident, take, write
from tests.domain.story import ADA, BOB, MAX, NOW, SAM, Story

CT = Study("1.2.3", modality="CT", site_id="harbor", procedure="CT head")


def _ways(story: Story) -> dict[str, Any]:
    return row(story.study, story.facts.patient, "Harbor")


# -- which studies ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({}, True),
        ({"modality": ["MG", "CT"]}, True),
        ({"modality": ["MG"]}, False),
        ({"procedure": ["screening", "HEAD"]}, True),
        ({"procedure": ["screening"]}, False),
        ({"site": ["harbor"]}, True),
        ({"site": ["north"]}, False),
        ({"priority": ["URGENT"]}, True),
        ({"priority": ["STAT"]}, False),
        ({"share": 0}, False),
    ],
)
def test_a_rule_says_which_studies_are_read_twice(rule: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 - a case
    said = policy({"second_reads": {"double": [rule]}}).second_reads
    assert (double(said, CT) is not None) == fits
    assert double(Policy().second_reads, CT) is None


def test_the_lot_takes_its_share_and_the_same_studies_for_the_same_seed() -> None:
    def drawn(seed: int) -> set[int]:
        said = policy({"second_reads": {"double": [{"share": 0.1}], "seed": seed}}).second_reads
        return {n for n in range(4000) if double(said, CT.but(study_uid=f"1.2.{n}"))}

    assert drawn(1) == drawn(1) != drawn(2)
    assert 320 < len(drawn(1)) < 480
    assert all(0 <= lot(1, 0, str(n)) < 1 for n in range(100))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"double": [{"mode": "secret"}]}, "second_reads.double[0].mode"),
        ({"double": [{"shares": 1}]}, "second_reads.double[0].shares"),
        ({"double": [{"share": 1.5}]}, "second_reads.double[0].share"),
        ({"twice": []}, "second_reads.twice"),
        ({"supervisors": {"sam": "sam"}}, "second_reads.supervisors.sam"),
    ],
)
def test_a_policy_that_is_wrong_is_refused_with_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadPayload) as refused:
        policy({"second_reads": body})
    assert refused.value.fields["field"] == field


def test_a_policy_comes_back_as_it_was_given() -> None:
    body = {"double": [{"modality": ["MG"], "share": 0.5}], "seed": 7, "cosign": False, "supervisors": {"sam": "ada"}}
    known = policy({"second_reads": body})
    assert policy(known.body()) == known


# -- blind --------------------------------------------------------------------------------------
def test_a_blind_second_read_shows_nothing_of_the_first() -> None:
    story = first()
    unit = story.units[-1]
    shown = _ways(story)
    assert (shown["status"], shown["report"], shown["assigned_to"], shown["second_reader"]) == (
        "unread",
        None,
        None,
        None,
    )
    assert shown["second_read"] == {"kind": "double", "state": "waiting", "blind": True, "why": "second read"}
    assert unit.outbox == []
    told = [f for f in unit.feed if not f.stream.startswith("user:")]
    assert {f.type for f in told} == {"study_changed", "lock_changed"}
    assert not any({"report_id", "report_version", "by"} & set(f.data) for f in unit.feed)
    take(story, ADA)
    shown = _ways(story)
    assert (shown["status"], shown["second_reader"], shown["reading_by"]) == ("reading", "ada", "ada")
    write(story, ADA, "a bleed", texts=({"impression": "no bleed"}, {"impression": "a bleed"}))
    shown = _ways(story)
    assert (shown["status"], shown["assigned_to"], shown["second_reader"]) == ("prelim", "eva", "ada")


def test_an_open_second_read_is_preliminary_and_names_both() -> None:
    story = take(first(mode="open"), ADA)
    shown = _ways(story)
    assert (shown["status"], shown["assigned_to"], shown["second_reader"]) == ("prelim", "eva", "ada")
    assert shown["offer"] is None
    assert story.units[-1].studies[-1].status == "prelim"
    assert story.study.load_of == "ada"


def test_a_site_is_told_neither_who_reads_second_nor_that_it_is_read_twice() -> None:
    story = first().offer(ADA)
    said = [f.data["row"] for f in story.units[-1].feed if f.stream == "site:harbor"]
    assert said
    assert not any({"second_reader", "second_read"} & set(r) for r in said)


def test_same_words_agree_by_themselves_and_the_first_report_is_final() -> None:
    story = take(first(), ADA)
    write(story, ADA, "No  bleed", texts=({"impression": "no bleed"}, {"impression": "No  bleed"}))
    assert (story.study.status, story.study.second and story.study.second.state) == (Status.FINAL, SecondState.AGREED)
    assert [(r.report_id, r.status) for r in story.units[-1].reports] == [
        ("report-ada", "prelim"),
        ("report-eva", "final"),
    ]
    assert [(o.type, o.report_id) for o in story.units[-1].outbox] == [("report_final", "report-eva")]
    shown = _ways(story)
    assert (shown["assigned_to"], shown["second_reader"], shown["report"]["report_id"]) == ("eva", "ada", "report-eva")


def test_two_texts_that_differ_wait_until_she_says_whether_they_agree() -> None:
    story = compare()
    assert story.study.second is not None
    assert (story.study.second.state, story.study.load_of) == (SecondState.COMPARE, None)
    story.tell(c.Settle(story.study.step, Outcome.AGREE, "only words"), ADA)
    assert (story.study.status, story.study.report and story.study.report.report_id) == (Status.FINAL, "report-eva")


def test_a_discordance_goes_to_a_third_who_is_neither() -> None:
    story = discordant()
    assert story.study.barred == {"eva", "ada"}
    with pytest.raises(NotEligible):
        story.offer(ADA)
    take(story, CAI)
    assert _ways(story)["second_read"]["why"] == "third read"
    write(story, CAI, "a small bleed")
    shown = _ways(story)
    assert (shown["status"], shown["assigned_to"], shown["second_reader"]) == ("final", "cai", "ada")
    assert (shown["report"]["report_id"], shown["second_read"]["state"]) == ("report-cai", "decided")


@pytest.mark.parametrize(
    ("outcome", "report", "signer"), [("first", "report-eva", "eva"), ("second", "report-ada", "ada")]
)
def test_a_manager_decides_which_reading_stands(outcome: str, report: str, signer: str) -> None:
    story = discordant(discordance="manager")
    assert not story.study.offerable
    story.tell(c.Settle(story.study.step, Outcome(outcome)), MAX)
    assert story.study.report is not None
    assert (story.study.status, story.study.report.report_id, story.study.signed_by) == (Status.FINAL, report, signer)


@pytest.mark.parametrize("clock", ["first", "last"])
def test_the_clock_stops_at_the_signature_that_the_policy_says(clock: str) -> None:
    story = first(clock=clock)
    assert story.study.sla is not None
    assert (story.study.sla.state is ClockState.STOPPED) == (clock == "first")
    take(story, ADA)
    write(story, ADA, "same", texts=({"impression": "same"}, {"impression": "same"}))
    assert story.study.sla.state is ClockState.STOPPED


def test_the_hospital_has_the_first_text_before_only_if_the_policy_says_so() -> None:
    assert [o.type for o in first(deliver="first").units[-1].outbox] == ["report_prelim"]
    assert first().units[-1].outbox == []


# -- co-signing ---------------------------------------------------------------------------------
def test_a_residents_report_is_offered_edited_and_cosigned() -> None:
    story = resident()
    assert [o.type for o in story.units[-1].outbox] == ["report_prelim"]
    take(story, ADA)
    shown = _ways(story)
    assert (shown["status"], shown["assigned_to"], shown["second_reader"]) == ("prelim", "sam", "ada")
    assert shown["report"]["status"] == "prelim"
    write(story, ADA, "a bleed")
    shown = _ways(story)
    assert (shown["status"], shown["assigned_to"], shown["second_reader"]) == ("final", "sam", "ada")
    assert shown["second_read"]["state"] == "decided"


def test_any_attending_cosigns_what_nobody_has_though_it_was_offered_meanwhile() -> None:
    story = resident()
    seen = story.study.step
    story.offer(BOB)
    story.tell(c.Sign(SignKind.FINAL, 2, version=seen), ADA)
    assert (story.study.status, story.study.offer) == (Status.FINAL, None)
    assert story.study.second is not None
    assert story.study.second.state is SecondState.AGREED


def test_a_resident_is_no_second_reader() -> None:
    story = first().offer(SAM)
    with pytest.raises(NotEligible):
        story.tell(c.Accept("o1"), SAM)


def test_a_cosigned_report_may_be_read_by_a_second_reader_who_is_neither() -> None:
    story = take(seconds.double(), SAM)
    write(story, SAM, "x", SignKind.PRELIM)
    assert story.study.second is not None
    assert story.study.second.kind is SecondKind.COSIGN
    write(take(story, ADA), ADA, "y")
    assert story.study.second.kind is SecondKind.DOUBLE
    assert story.study.barred == {"sam", "ada"}


def test_who_wrote_a_draft_and_gave_it_away_is_barred_too() -> None:
    story = take(seconds.double(), ADA)
    story.tell(c.SaveDraft(0, {"impression": "x"}), ADA, new_id="report-eva")
    story.tell(c.Release("tired"), ADA)
    write(take(story, EVA), EVA, "y")
    assert story.study.barred == {"ada", "eva"}
    with pytest.raises(NotAssigned):
        story.tell(c.SaveDraft(0, {}), ADA)


def test_the_state_is_kept_whole() -> None:
    for make in seconds.STUDIES.values():
        study = make().study
        assert load(dump(study)) == study


# -- who is asked -------------------------------------------------------------------------------
def _ledger(story: Story, *people: str, residents: tuple[str, ...] = ()) -> Ledger:
    ledger = Ledger(1)
    found = {}
    for who in (*people, *residents):
        role = Role.RESIDENT if who in residents else Role.RADIOLOGIST
        found[who] = reader(Member(who, who.title(), role, Presence.ONLINE), 5, seconds.UTC, NOW, Presence.ONLINE)
    ledger.meet(found, NOW.timestamp())
    ledger.learn(story.study)
    return ledger


def _offered(ledger: Ledger) -> list[Any]:
    return decide_offers(ledger.pool(), ledger.loaded(NOW), ledger.rules, NOW.timestamp(), 1)


def test_the_decider_asks_neither_the_first_reader_nor_a_resident_and_says_no_name() -> None:
    ledger = _ledger(first(), "eva", "ada", residents=("sam",))
    (choice,) = _offered(ledger)
    assert choice.radiologist_id == "ada"
    assert choice.why.startswith("Second read")
    said = str(choice.explanation)
    assert "eva" not in said.lower()
    assert "before" not in said
    assert _offered(_ledger(first(), "eva", residents=("sam",))) == []


def test_an_open_second_read_says_who_may_not() -> None:
    (choice,) = _offered(_ledger(first(mode="open"), "eva", "ada"))
    assert {"radiologist_id": "eva", "name": "Eva", "why_not": "has read this study before"} in choice.explanation[
        "runners_up"
    ]


def test_who_supervises_the_resident_is_asked_first_and_others_when_she_may_not() -> None:
    story = Story()
    story.facts = replace(story.facts, policy=policy({"second_reads": {"supervisors": {"sam": "cai"}}}))
    write(take(story.order().images(), SAM), SAM, "x", SignKind.PRELIM)
    ledger = _ledger(story, "ada", "bob", "cai")
    (choice,) = _offered(ledger)
    assert choice.radiologist_id == "cai"
    assert "you supervise the resident" in choice.why
    assert {r["why_not"] for r in choice.explanation["runners_up"]} == {"is asked after who supervises the resident"}
    story.offer(CAI)
    story.tell(c.Decline("o1", DeclineReason.OTHER), CAI)
    (choice,) = _offered(_ledger(story, "ada", "bob", "cai"))
    assert choice.radiologist_id in {"ada", "bob"}


# -- never the same person twice ----------------------------------------------------------------
_PEOPLE = (ADA, BOB, CAI, EVA, SAM)
_WHAT = st.sampled_from(
    ["offer", "claim", "assign", "accept", "decline", "start", "release", "recall", "draft", "final", "prelim", "agree",
     "differ", "expire"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(_WHAT, st.sampled_from(_PEOPLE)), min_size=10, max_size=70),
    st.sampled_from(["blind", "open"]),
    st.sampled_from(["attending", "manager"]),
)
@example(
    [("claim", ADA), ("draft", ADA), ("final", ADA), ("claim", BOB), ("draft", BOB), ("final", BOB), ("differ", BOB)],
    "blind",
    "manager",
)
def test_nobody_reads_a_study_twice(steps: list[tuple[str, Any]], mode: str, discordance: str) -> None:
    """Under offers, claims, a manager's assigns, hand-off and expiry alike; readings are by different people."""
    story = seconds.double(mode=mode, discordance=discordance)
    for n, (what, who) in enumerate(steps):
        study = story.study
        grant = c.Grant(who.user_id, f"g{n}", study.step, 1)
        held = study.report.version if study.report else 0
        mine = next((p for p in _PEOPLE if p.user_id == study.reader), who)
        command, by = {
            "offer": (c.Offer(grant, "why", 120), None),
            "claim": (c.Claim(grant), None),
            "assign": (c.Assign(grant, "because"), MAX),
            "accept": (c.Accept(study.granted or ""), mine),
            "decline": (c.Decline(study.granted or "", DeclineReason.OTHER), mine),
            "start": (c.StartReading(), mine),
            "release": (c.Release("tired"), mine),
            "recall": (c.Recall(study.step, "shift_end"), None),
            "draft": (c.SaveDraft(held, {"impression": str(n)}), mine),
            "final": (c.Sign(SignKind.FINAL, held), mine),
            "prelim": (c.Sign(SignKind.PRELIM, held), mine),
            "agree": (c.Settle(study.step, Outcome.AGREE), mine),
            "differ": (c.Settle(study.step, Outcome.DISCORDANT), mine),
            "expire": (c.FireTimer("offer", study.step, NOW), None),
        }[what]
        try:
            story.tell(command, by, new_id=f"report-{n}")
        except ReadingRoomError:
            assert story.study == study
            continue
        after = story.study
        assert after.reader not in after.barred
        if after.second:
            people = [r.radiologist_id for r in after.second.readings]
            assert len(set(people)) == len(people)
            final = after.status is Status.FINAL and after.second.state is SecondState.DECIDED
            if final and after.second.kind is SecondKind.DOUBLE:
                assert after.signed_by not in people
        if after.status is Status.FINAL:
            assert after.second is not None
            assert len(after.second.readings) > 1
            assert after.signed_by != SAM.user_id
