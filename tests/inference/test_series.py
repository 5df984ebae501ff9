"""Which series triage reads, and in what words it says that there is none."""

from __future__ import annotations

from typing import Any

import pytest

from actors.domain.jobs import StoredImage
from inference.triage.result import NotAssessed
from inference.triage.series import choose, shows_head

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]


def _header(**said: Any) -> dict[str, Any]:
    tags = {
        "modality": "00080060", "type": "00080008", "part": "00180015", "series": "0008103E", "study": "00081030",
        "protocol": "00181030", "contrast": "00180010", "kernel": "00181210", "plane": "00200037",
    }  # fmt: skip
    said = {"modality": "CT", "plane": AXIAL, "type": ["ORIGINAL", "PRIMARY", "AXIAL"]} | said
    return {tags[name]: {"vr": "XX", "Value": v if isinstance(v, list) else [v]} for name, v in said.items() if v}


def _series(uid: str, count: int, **said: Any) -> list[StoredImage]:
    header = _header(**said)
    return [StoredImage(uid, f"{uid}.{i}", CT, "1.2.840.10008.1.2.1", f"t/{uid}/{i}", header) for i in range(count)]


def _chosen(*series: list[StoredImage], ordered: str = "") -> str:
    return choose([image for of in series for image in of], ordered)[0].series_uid


def test_the_soft_tissue_series_with_most_slices_is_read() -> None:
    thick = _series("1", 28, part="HEAD", kernel="STANDARD")
    thin = _series("2", 140, part="HEAD", kernel="STANDARD")
    bone = _series("3", 280, part="HEAD", series="BONE 1MM")
    assert _chosen(thick, thin, bone) == "2"
    assert _chosen(bone) == "3"  # better than nothing


@pytest.mark.parametrize(
    "worse",
    [
        {"plane": SAGITTAL},
        {"contrast": "ULTRAVIST"},
        {"series": "CTA head"},
        {"series": "Head post contrast"},
        {"type": ["DERIVED", "SECONDARY", "MPR"]},
        {"type": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"part": "CHEST"},
    ],
)
def test_reformats_contrast_scouts_and_other_parts_are_passed_over(worse: dict[str, Any]) -> None:
    assert _chosen(_series("1", 28, part="HEAD"), _series("2", 300, **({"part": "HEAD"} | worse))) == "1"


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], "only CT of the head is"),
        (_series("1", 30, modality="MR"), "only CT of the head is"),
        (_series("1", 30, part="CHEST"), "only CT of the head is"),
        (_series("1", 3, part="HEAD"), "3 of at least 12 slices"),
        (_series("1", 30, part="HEAD", contrast="ULTRAVIST"), "no axial series without contrast"),
        (_series("1", 30, part="HEAD", type=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "no axial slices"),
    ],
)
def test_a_study_that_is_not_assessed_says_why(images: list[StoredImage], reason: str) -> None:
    with pytest.raises(NotAssessed, match=reason):
        choose(images)


@pytest.mark.parametrize(
    ("said", "ordered", "head"),
    [
        ({"part": "HEAD"}, "", True),
        ({"part": "BRAIN"}, "", True),
        ({"study": "CT Schädel nativ"}, "", True),
        ({"study": "TDM crâne sans injection"}, "", True),
        ({"study": "TC de cráneo"}, "", True),
        ({"protocol": "Kopf_Routine"}, "", True),
        ({"part": "ABDOMEN", "study": "CT head"}, "", False),
        ({"series": "C-Spine 2 mm"}, "CT head", False),
        ({}, "CT head without contrast", True),
        ({}, "CT chest", False),
        ({}, "", None),
        ({"study": "Trauma"}, "", None),
    ],
)
def test_words_say_whether_it_is_a_head(said: dict[str, Any], ordered: str, head: object) -> None:
    assert shows_head(_header(**said), ordered) is head
    if head is None:
        assert _chosen(_series("1", 28, **said)) == "1"  # the pixels decide


def test_without_contrast_is_not_contrast() -> None:
    assert _chosen(_series("1", 28, part="HEAD", series="Head without contrast", protocol="Head w/o")) == "1"
