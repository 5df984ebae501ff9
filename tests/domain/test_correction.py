"""An order placed again corrects its patient everywhere; nothing ever makes one person of two."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.domain import commands as c
from actors.domain.patient import patient_id
from actors.domain.study import Study
from actors.domain.words import Flag, SignKind
from tests.domain.story import ADA, ORDER, PATIENT, Story, assigned

MARRIED = replace(PATIENT, name="NEWNAME^Iris")


def again(patient: c.Patient = MARRIED, **changed: Any) -> c.ReceiveOrder:
    return c.ReceiveOrder(replace(ORDER, patient=patient, **changed))


def told(unit: Any, study_uid: str) -> list[Any]:
    return [f.data["row"]["patient"] for f in unit.feed if f.stream == "tenant:t" and f.data["study_uid"] == study_uid]


def test_an_order_placed_again_corrects_the_patient_on_every_study_of_hers() -> None:
    other = Story(Study("9.9")).images(1).study
    story = Story().order().images()
    unit = story.tell(again(), siblings=((other, "Elsewhere"),))
    assert [(e.entity, e.type, e.body["fields"]) for e in unit.events] == [
        ("study/1.2.3", "PatientCorrected", ("name",)), ("study/9.9", "PatientCorrected", ("name",)),
    ]  # fmt: skip
    assert unit.corrections == [MARRIED]
    assert told(unit, "1.2.3")[-1]["name"] == told(unit, "9.9")[-1]["name"] == "NEWNAME^Iris"
    assert {row.study_uid for row in unit.studies} == {"1.2.3", "9.9"}
    assert [f.data["row"]["site"]["name"] for f in unit.feed if f.stream == "tenant:t"] == ["Harbor", "Elsewhere"]
    assert all("NEWNAME" not in str(e.body) for e in unit.events)
    assert story.tell(again()).events == []


def test_what_is_not_given_corrects_nothing() -> None:
    story = Story().order()
    assert story.tell(again(replace(PATIENT, birth_date="", sex=""))).events == []


def test_other_changes_of_the_order_come_with_the_correction() -> None:
    story = Story().order().images()
    unit = story.tell(again(procedure="CT head with contrast"))
    assert [e.type for e in unit.events] == ["OrderReceived", "PatientCorrected"]
    assert told(unit, "1.2.3")[-1]["name"] == "NEWNAME^Iris"


def test_a_correction_after_the_signature_raises_no_flag_and_edits_no_report() -> None:
    story = assigned()
    story.tell(c.SaveDraft(0, {"impression": "Bleed."}), ADA)
    story.tell(c.Sign(SignKind.FINAL, 1), ADA)
    unit = story.tell(again())
    assert ([e.type for e in unit.events], unit.reports, story.study.flags) == (["PatientCorrected"], [], frozenset())


def test_another_number_is_another_person_whatever_the_name() -> None:
    story = Story().order()
    unit = story.tell(again(replace(PATIENT, patient_id="p2", mrn="999")))
    assert ([e.type for e in unit.events], unit.corrections) == (["OrderReceived"], [])
    assert story.study.patient_id == "p2"


def test_a_new_order_corrects_nobody_and_shows_who_is_known() -> None:
    story = Story()
    unit = story.tell(again(), known=PATIENT)
    assert (unit.corrections, told(unit, "1.2.3")[-1]["name"]) == ([], PATIENT.name)


def test_a_new_order_that_contradicts_who_is_known_is_for_somebody_else() -> None:
    stranger = replace(PATIENT, name="OTHER^Ida", birth_date="1990-01-01")
    story = Story()
    unit = story.tell(again(stranger), known=PATIENT)
    apart = patient_id("t", "harbor", "004417", "1.2.3")
    assert (story.study.patient_id, unit.patients[0].patient_id, unit.corrections) == (apart, apart, [])
    assert told(unit, "1.2.3")[-1]["name"] == "OTHER^Ida"
    assert story.tell(again(stranger)).events == []
    fixed = story.tell(again(replace(stranger, name="OTHER^Ida^Maria")))
    assert fixed.corrections[0].patient_id == apart


@pytest.mark.parametrize("where", ["known", "apart"])
def test_a_corrected_birth_date_settles_the_mismatch_that_it_caused(where: str) -> None:
    wrong = replace(PATIENT, birth_date="1916-04-12")
    story = Story().order(replace(ORDER, patient=wrong))
    of_images = replace(PATIENT, patient_id=patient_id("t", "harbor", "004417", "1.2.3") if where == "apart" else "p9")
    story.images(2, patient=of_images)
    assert story.study.flags == {Flag.PATIENT_MISMATCH}
    story.tell(again(PATIENT), patient=of_images, known=wrong)
    assert (story.study.flags, story.study.ordered) == (frozenset(), True)


def test_a_mismatch_is_flagged_once() -> None:
    story = Story().order().images()
    other = replace(PATIENT, patient_id="p2", mrn="999")
    assert story.tell(again(other)).events[0].type == "Flagged"
    assert story.tell(again(other)).events == []
