"""A patient's number is another's, or a study belongs elsewhere: nothing is lost, nothing is guessed, all is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.domain import commands as c
from actors.domain.errors import BadPayload, ConfirmNeeded, Forbidden, NotFound, WrongStatus
from actors.domain.identity import Principal
from actors.domain.moving import contradictions
from actors.domain.replay import replay
from actors.domain.study import Study
from actors.domain.words import Flag, Priority, Role, SignKind
from tests.domain.story import ADA, MAX, ORDER, PATIENT, TESS, Story, assigned

OTHER = replace(PATIENT, patient_id="p2", mrn="7", name="PHANTOM^I")
AMY = Principal("amy", "t", Role.ADMIN)
ORDER_2 = replace(ORDER, accession_number="A26-2", priority=Priority.ROUTINE, patient=OTHER)


def merge(into: c.Patient = OTHER, **more: Any) -> c.MergePatient:
    return c.MergePatient("p1", into, "one person", **more)


def sibling(uid: str = "9.9", patient: c.Patient = PATIENT, images: int = 1, site: str = "harbor") -> Study:
    story = Story(Study(uid))
    if images:
        story.tell(c.ImagesArrived(site, patient, images))
    else:
        story.tell(c.ReceiveOrder(replace(ORDER, site_id=site, accession_number=uid, patient=patient)))
    return story.study


def signed() -> Story:
    story = assigned()
    story.tell(c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    story.tell(c.Sign(SignKind.FINAL, 1), ADA)
    return story


def events(unit: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in unit.events:
        found.setdefault(event.entity.removeprefix("study/"), []).append(event.type)
    return found


def test_a_merge_moves_every_study_in_one_commit_and_counts_priors_anew() -> None:
    story = Story().order().images()
    unit = story.tell(
        merge(), TESS, known=OTHER, left=((sibling(), "Harbor"),), there=((sibling("8.8", OTHER), "Harbor"),)
    )
    assert events(unit) == {"1.2.3": ["PatientMerged"], "9.9": ["PatientMerged"], "8.8": ["PriorsCounted"]}
    assert {row.study_uid: (row.patient_id, row.doc["priors"]) for row in unit.studies} == {
        "1.2.3": ("p2", 2), "9.9": ("p2", 2), "8.8": ("p2", 2),
    }  # fmt: skip
    assert (unit.merges, story.study.merged) == ([("p1", "p2")], ("p1",))
    shown = [f.data["row"]["patient"]["mrn"] for f in unit.feed if f.stream == "tenant:t"]
    assert shown == ["7", "7", "7"]
    assert all("PHANTOM" not in str(e.body) and "004417" not in str(e.body) for e in unit.events)


def test_a_merge_into_a_number_nobody_knew_keeps_the_demographics() -> None:
    story = Story().order().images()
    unit = story.tell(merge(c.Patient("p3", "", "final-1", "harbor", "", "")), TESS)
    assert unit.patients == [replace(PATIENT, patient_id="p3", mrn="final-1")]


def test_who_has_it_open_is_told_and_signs_only_what_she_has_seen() -> None:
    story = assigned()
    story.tell(c.StartReading(), ADA)
    before = story.study.step
    unit = story.tell(merge(), TESS, known=OTHER)
    told = {f.stream for f in unit.feed if not f.stream.startswith("wall:") and f.data["row"]["patient"]["mrn"] == "7"}
    assert {"user:ada", "study:1.2.3"} <= told
    assert story.study.step > before
    assert (story.study.reading_by, story.study.lock is not None) == ("ada", True)


def test_a_signed_report_stays_as_it_is_and_the_signer_is_told() -> None:
    story = signed()
    report = story.study.report
    unit = story.tell(merge(), TESS, known=OTHER)
    assert (unit.reports, story.study.report) == ([], report)
    assert (story.study.flags, story.study.open) == ({Flag.PATIENT_AFTER_SIGN}, True)
    assert unit.counters["tenant:t"]["open"] == 1
    again = story.tell(c.UnmergePatient("p1", "no"), TESS, known=PATIENT, left=(), there=())
    assert events(again) == {"1.2.3": ["PatientUnmerged"]}
    story.tell(c.DismissFlag("patient_after_sign", "right again"), ADA)
    assert story.study.flags == frozenset()


def test_a_final_sibling_is_reopened_and_counted() -> None:
    other = signed().study
    other = other.but(study_uid="9.9")
    story = Story().order().images()
    unit = story.tell(merge(), TESS, known=OTHER, left=((other, "Harbor"),))
    assert events(unit)["9.9"] == ["PatientMerged", "Flagged"]
    assert unit.counters["tenant:t"]["open"] == 1


def test_an_addendum_settles_the_flag() -> None:
    story = signed()
    story.tell(merge(), TESS, known=OTHER)
    story.tell(c.Sign(SignKind.ADDENDUM, 0, text="Of the right patient."), ADA)
    assert story.study.flags == frozenset()


@pytest.mark.parametrize(("field", "value"), [("sex", "M"), ("birth_date", "1990-01-01")])
def test_what_contradicts_wants_a_persons_word(field: str, value: str) -> None:
    differs = replace(OTHER, **{field: value})
    version = Story().order().images().study.step
    commands: tuple[c.MergePatient | c.MoveStudy, ...] = (merge(), c.MoveStudy(version, "A45", patient_id="p2"))
    for command in commands:
        story = Story().order().images()
        with pytest.raises(ConfirmNeeded, match=field.replace("_", " ")) as refused:
            story.tell(command, TESS, known=differs)
        assert refused.value.fields["differ"] == [field]
        assert story.tell(replace(command, confirm=True), TESS).events
        assert story.study.patient_id == "p2"


def test_a_technologist_corrects_only_what_is_wholly_her_sites() -> None:
    elsewhere = sibling(site="pier")
    for facts in ({"left": ((elsewhere, "Pier"),)}, {"there": ((elsewhere, "Pier"),)}):
        with pytest.raises(Forbidden, match="admin"):
            Story().order().images().tell(merge(), TESS, known=OTHER, **facts)
        assert Story().order().images().tell(merge(), AMY, known=OTHER, **facts).events


def test_refusals_of_a_merge() -> None:
    story = Story().order().images()
    with pytest.raises(BadPayload, match="reason"):
        story.tell(replace(merge(), reason=" "), TESS, known=OTHER)
    with pytest.raises(BadPayload, match="one already"):
        story.tell(merge(), TESS, known=PATIENT)
    with pytest.raises(NotFound):
        story.tell(replace(merge(), patient_id="p9"), TESS, known=OTHER)


def test_an_unmerge_gives_back_what_was_hers_and_what_came_since() -> None:
    story = Story().order().images()
    story.tell(merge(), TESS, known=OTHER)
    since, joined, theirs = sibling("7.7", OTHER), sibling("6.6", OTHER), sibling("8.8", OTHER)
    joined = joined.but(ordered=True, priors=3, flags=frozenset())
    left = (
        (since, "Harbor"),
        (joined, "Harbor"),
        (theirs.but(priors=3), "Harbor"),
        (sibling("5.5", OTHER, 0), "Harbor"),
    )
    unit = story.tell(
        c.UnmergePatient("p1", "two people"), TESS, known=PATIENT, left=left, apart=frozenset({"7.7", "6.6"})
    )
    assert events(unit) == {
        "1.2.3": ["PatientUnmerged"], "7.7": ["PatientUnmerged"], "6.6": ["PriorsCounted", "Flagged"], "8.8": ["PriorsCounted"],
    }  # fmt: skip
    assert unit.merges == [("p1", None)]
    assert (story.study.patient_id, story.study.merged, story.study.priors) == ("p1", (), 1)
    assert story.study == replay("1.2.3", [e for u in story.units for e in u.events if e.entity == "study/1.2.3"])


def test_the_study_that_is_asked_may_be_the_survivors_own() -> None:
    story = Story(Study("8.8"))
    story.tell(c.ImagesArrived("harbor", OTHER, 1))
    hers = sibling("9.9", OTHER).but(merged=("p1",))
    unit = story.tell(c.UnmergePatient("p1", "two"), TESS, known=PATIENT, left=((hers, "Harbor"),))
    assert events(unit) == {"9.9": ["PatientUnmerged"]}
    assert story.study.patient_id == "p2"


def test_merges_of_merges_are_undone_one_by_one() -> None:
    third = replace(PATIENT, patient_id="p3", mrn="8")
    story = Story().order().images()
    story.tell(merge(), TESS, known=OTHER)
    story.tell(c.MergePatient("p2", third, "again"), TESS, known=third)
    assert story.study.merged == ("p1", "p2")
    with pytest.raises(WrongStatus, match="undo that merge first"):
        story.tell(c.UnmergePatient("p1", "no"), TESS, known=PATIENT)
    story.tell(c.UnmergePatient("p2", "no"), TESS, known=OTHER)
    assert (story.study.patient_id, story.study.merged) == ("p2", ("p1",))
    story.tell(c.UnmergePatient("p1", "no"), TESS, known=PATIENT)
    assert (story.study.patient_id, story.study.merged) == ("p1", ())
    with pytest.raises(WrongStatus, match="left to give back"):
        story.tell(c.UnmergePatient("p1", "no"), TESS, known=PATIENT)
    with pytest.raises(NotFound):
        story.tell(c.UnmergePatient("p1", "no"), TESS, known=None)


def moved(story: Story, **where: Any) -> c.MoveStudy:
    return c.MoveStudy(story.study.step, "wrong patient chosen", **where)


def test_a_study_moves_to_another_patient_with_its_order() -> None:
    story = Story().order().images()
    unit = story.tell(
        moved(story, patient_id="p2"), TESS, known=OTHER, own_order=ORDER, left=((sibling().but(priors=1), "Harbor"),),
        there=((sibling("8.8", OTHER), "Harbor"),),
    )  # fmt: skip
    assert events(unit) == {"1.2.3": ["StudyMoved"], "8.8": ["PriorsCounted"], "9.9": ["PriorsCounted"]}
    assert (unit.orders[0].order.patient, unit.orders[0].study_uid) == (OTHER, "1.2.3")
    assert (story.study.patient_id, story.study.priors, story.study.ordered) == ("p2", 1, True)
    assert story.tell(moved(story, patient_id="p2"), TESS).events == []
    back = story.tell(moved(story, patient_id="p1"), TESS, known=PATIENT, left=(), there=(), own_order=None)
    assert (events(back), story.study.patient_id) == ({"1.2.3": ["StudyMoved"]}, "p1")


def test_a_mismatch_that_a_move_settles_is_gone() -> None:
    story = Story().order().images(patient=replace(PATIENT, patient_id="p9", mrn="9"))
    assert story.study.flags == {Flag.PATIENT_MISMATCH}
    story.tell(moved(story, patient_id="p2"), TESS, known=OTHER)
    assert story.study.flags == frozenset()
    alone = Story()
    alone.tell(c.ImagesArrived("harbor", PATIENT, 1, accession_number="A26-2"), order=ORDER_2)
    assert alone.study.flags == {Flag.PATIENT_MISMATCH}
    alone.tell(moved(alone, patient_id="p2"), TESS, known=OTHER)
    assert alone.study.flags == {Flag.NO_ORDER}


def test_images_and_report_move_to_another_order_and_the_first_one_waits_again() -> None:
    story = signed()
    report = story.study.report
    minted = sibling("2.25.2", OTHER, 0)
    unit = story.tell(
        moved(story, accession_number="A26-2"), TESS, order=ORDER_2, minted=minted, own_order=ORDER, own_home=Study("2.25.1"),
        there=((minted, "Harbor"), (sibling("8.8", OTHER), "Harbor")), left=(),
    )  # fmt: skip
    assert events(unit) == {
        "2.25.2": ["OrderMoved"],
        "1.2.3": ["StudyMoved", "OrderReceived", "Flagged", "Flagged"],
        "8.8": ["PriorsCounted"], "2.25.1": ["OrderReceived"],
    }  # fmt: skip
    assert story.study.flags == {Flag.ORDER_AFTER_SIGN, Flag.PATIENT_AFTER_SIGN}
    assert (story.study.report, story.study.accession_number, story.study.patient_id) == (report, "A26-2", "p2")
    assert [(w.order.accession_number, w.study_uid) for w in unit.orders] == [("A26-1", "2.25.1"), ("A26-2", "1.2.3")]
    home = next(row for row in unit.studies if row.study_uid == "2.25.1")
    assert (home.status, home.patient_id, home.accession_number) == ("ordered", "p1", "A26-1")
    assert story.tell(moved(story, accession_number="A26-2"), TESS).events == []


def test_images_without_an_order_move_to_one_of_the_same_patient() -> None:
    story = Story().images()
    unit = story.tell(moved(story, accession_number="A26-1"), TESS, order=ORDER)
    assert events(unit)["1.2.3"][:2] == ["StudyMoved", "OrderReceived"]
    assert (unit.orders[0].study_uid, len(unit.orders), story.study.priors) == ("1.2.3", 1, 0)


def test_refusals_of_a_move() -> None:
    story = Story().order().images()
    busy = sibling("2.25.2", OTHER, 0).but(images=3)
    for fields, facts, refusal in (
        ({}, {}, BadPayload),
        ({"accession_number": "A26-2", "patient_id": "p2"}, {}, BadPayload),
        ({"patient_id": "p2"}, {"there": ((sibling(site="pier"), "Pier"),)}, Forbidden),
        ({"accession_number": "A26-2"}, {"there": (), "order": None}, NotFound),
        ({"accession_number": "A26-2"}, {"order": ORDER_2, "minted": busy}, WrongStatus),
    ):  # fmt: skip
        with pytest.raises(refusal):
            story.tell(moved(story, **fields), TESS, **facts)
    with pytest.raises(WrongStatus, match="with images"):
        Story().order().tell(c.MoveStudy(1, "x", accession_number="A26-2"), MAX)


def test_an_order_under_the_number_given_up_is_the_survivors() -> None:
    story = Story()
    unit = story.tell(c.ReceiveOrder(ORDER), known=replace(OTHER, name=PATIENT.name))
    assert (story.study.patient_id, unit.orders[0].order.patient.mrn) == ("p2", "7")
    assert story.tell(c.ReceiveOrder(ORDER)).events == []


def test_a_damaged_image_is_flagged_once_also_after_the_signature() -> None:
    story = signed()
    unit = story.tell(c.ImagesArrived("harbor", PATIENT, 2, damaged=True))
    assert (events(unit), story.study.flags) == ({"1.2.3": ["Flagged"]}, {Flag.IMAGE_DAMAGED})
    assert story.tell(c.ImagesArrived("harbor", PATIENT, 2, damaged=True)).events == []


def test_who_is_not_known_contradicts_nobody() -> None:
    assert contradictions(None, PATIENT) == contradictions(PATIENT, None) == ()
    assert contradictions(replace(PATIENT, sex=""), replace(PATIENT, birth_date="")) == ()
