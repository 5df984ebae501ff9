"""The demo's studies: generated head CTs, and pydicom's own test images with every identity replaced."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import pydicom
from pydicom.uid import UID

from readingroom.demo import phantom

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydicom.dataset import Dataset

_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
_SPACE = UUID("6c0c3f0a-9be1-5d4c-8a55-61d6f0b7e0d2")
_FAMILY = ("PHANTOM", "MOCKUP", "SPECIMEN", "DUMMY", "PLACEBO", "FIXTURE", "SAMPLE", "STANDIN")
_GIVEN = ("ADA", "BO", "CLEO", "DAN", "EVE", "FINN", "GRETA", "HUGO", "INA", "JON", "KIM")

# Identifies a person, an institution or a day; whatever stays is geometry, technique or pixels (after PS3.15 E.1).
_REPLACED = (
    "AccessionNumber", "AdmissionID", "DeviceSerialNumber", "EthnicGroup", "FillerOrderNumberImagingServiceRequest",
    "InstitutionAddress", "InstitutionalDepartmentName", "IssuerOfPatientID", "MedicalAlerts", "Occupation",
    "OtherPatientIDs", "OtherPatientIDsSequence", "PatientAddress", "PatientAge", "PatientComments", "PatientSize",
    "PatientTelephoneNumbers", "PatientWeight", "PlacerOrderNumberImagingServiceRequest", "ProcedureCodeSequence",
    "ReferencedImageSequence", "ReferencedStudySequence", "ReferencedPerformedProcedureStepSequence",
    "RequestAttributesSequence", "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID",
    "SourceImageSequence", "StationName", "StudyID",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of study: what was asked for, and the files it is made from (none: a generated head CT)."""

    modality: str
    body_part: str
    procedure: str
    files: tuple[str, ...] = ()


HEAD_CT = Kind("CT", "HEAD", phantom.PROCEDURE)
KINDS = (
    HEAD_CT,
    Kind("MR", "BRAIN", "MR brain angiography", ("dicomdirtests/98892003/MR700/*",)),
    Kind("CR", "CSPINE", "Cervical spine, 4 views", ("dicomdirtests/77654033/CR[123]/*",)),
    Kind("MR", "ABDOMEN", "MR liver", ("examples_overlay.dcm",)),
    Kind("CT", "CHEST", "CT chest, calcium score", ("dicomdirtests/98892001/CT5N/*",)),
    Kind("CT", "HEAD", "CT head, one plain slice", ("693_J2KI.dcm",)),
)


def patient(number: int) -> dict[str, str]:
    """Return a person who never was."""
    return {
        "name": f"{_FAMILY[number % len(_FAMILY)]}^{_GIVEN[number % len(_GIVEN)]}",
        "mrn": f"{100_000 + number}",
        "birth_date": f"{1940 + number * 7 % 60}-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "sex": "FM"[number % 2],
    }


def images(  # noqa: PLR0913 - a sort, a person, an order and a size
    kind: Kind,
    number: int,
    who: Mapping[str, str],
    order: Mapping[str, str],
    *,
    bleed: bool = False,
    slices: int = 28,
    size: int = 256,
) -> list[Dataset]:
    """Return the images of a new study, ready to send. ``order`` has ``accession_number``, perhaps ``study_uid``."""
    if not kind.files:
        return phantom.head_ct(number, bleed, who, order=order, slices=slices, size=size)
    now = datetime.now(UTC)
    fresh = _Fresh(f"{now.isoformat()}/{number}")
    study_uid = UID(order.get("study_uid") or fresh.uid("study"))
    return [_replaced(image, who, {**order, "study_uid": study_uid}, now, fresh) for image in _originals(kind)]


@cache
def _originals(kind: Kind) -> tuple[Dataset, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the files test a parser: some are odd on purpose
        return tuple(pydicom.dcmread(path) for path in sorted(_paths(kind)))


def _paths(kind: Kind) -> Iterator[Path]:
    for pattern in kind.files:
        yield from _FILES.glob(pattern)


class _Fresh:
    """UUID-derived UIDs (PS3.5 B.2): equal for equal originals within one study, new for the next."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def uid(self, original: str) -> UID:
        return UID(f"2.25.{uuid5(_SPACE, f'{self._seed}/{original}').int}")


def _replaced(
    image: Dataset, who: Mapping[str, str], order: Mapping[str, str], now: datetime, fresh: _Fresh
) -> Dataset:
    """Return a copy with another identity, other UIDs and today's dates."""
    copy = deepcopy(image)
    copy.remove_private_tags()
    for keyword in _REPLACED:
        if keyword in copy:
            delattr(copy, keyword)
    copy.walk(_without_people_and_days(now))
    copy.PatientName, copy.PatientID = who["name"], who["mrn"]
    copy.PatientBirthDate, copy.PatientSex = who["birth_date"].replace("-", ""), who["sex"]
    copy.AccessionNumber = order["accession_number"]
    copy.StudyDate, copy.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    copy.InstitutionName = order.get("site_name", "")
    copy.StudyInstanceUID = order["study_uid"]
    copy.SeriesInstanceUID = fresh.uid(str(image.SeriesInstanceUID))
    if "FrameOfReferenceUID" in image:
        copy.FrameOfReferenceUID = fresh.uid(str(image.FrameOfReferenceUID))
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = fresh.uid(str(image.SOPInstanceUID))
    return copy


def _without_people_and_days(now: datetime) -> Any:
    def change(dataset: Dataset, element: Any) -> None:
        match element.VR:
            case "PN":
                element.value = ""
            case "DA":
                element.value = now.strftime("%Y%m%d")
            case "TM":
                element.value = now.strftime("%H%M%S")
            case "DT":
                element.value = now.strftime("%Y%m%d%H%M%S")
            case _:
                del dataset  # nothing else says who or when

    return change
