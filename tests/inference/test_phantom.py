"""Phantoms are valid CT studies that look like heads, and the same words give the same study."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage
from scipy.ndimage import gaussian_filter

from inference.training.bleed import Bleed
from inference.training.grid import Grid
from inference.training.scanner import study
from readingroom.demo.phantom import head_ct, head_hu

ADA = {"name": "Phantom^Ada", "mrn": "P1", "issuer": "harbor", "birth_date": "1950-02-03", "sex": "F"}
ORDER = {"accession_number": "A1", "priority": "STAT", "at": "2026-01-02T03:04:05+00:00"}

# Type 1 of CT Image Storage (PS3.3 A.3, C.7.6.2, C.8.2.1), and type 2 that must at least be there.
TYPE_1 = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "RescaleIntercept",
    "RescaleSlope",
]
TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesNumber",
    "Manufacturer",
    "InstanceNumber",
    "SliceThickness",
    "KVP",
    "AcquisitionNumber",
    "PositionReferenceIndicator",
    "PatientPosition",
]


@pytest.fixture(scope="module")
def written() -> list[bytes]:
    out = []
    for ds in head_ct(7, bleed=True, patient=ADA, order=ORDER, slices=24, size=128):
        file = DicomBytesIO()
        ds.save_as(file, enforce_file_format=True)
        out.append(file.getvalue())
    return out


def test_a_phantom_is_ct_image_storage_with_every_required_attribute(written: list[bytes]) -> None:
    read = [dcmread(DicomBytesIO(data)) for data in written]
    assert len(read) == 24
    for ds in read:
        assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID == CTImageStorage
        assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
        for name in TYPE_1:
            assert ds[name].value not in (None, ""), name
        for name in TYPE_2:
            assert name in ds, name
    assert len({ds.SOPInstanceUID for ds in read}) == 24
    assert len({ds.SeriesInstanceUID for ds in read}) == len({ds.StudyInstanceUID for ds in read}) == 1


def test_slices_are_evenly_spaced_from_the_feet_to_the_head(written: list[bytes]) -> None:
    z = [dcmread(DicomBytesIO(data)).ImagePositionPatient[2] for data in written]
    assert np.allclose(np.diff(z), float(dcmread(DicomBytesIO(written[0])).SliceThickness), atol=1e-3)


def test_the_same_words_give_the_same_bytes_and_another_instant_another_study(written: list[bytes]) -> None:
    again = DicomBytesIO()
    head_ct(7, bleed=True, patient=ADA, order=ORDER, slices=24, size=128)[3].save_as(again, enforce_file_format=True)
    assert again.getvalue() == written[3]
    later = head_ct(
        7, bleed=True, patient=ADA, order={**ORDER, "at": "2026-01-02T03:04:06+00:00"}, slices=24, size=128
    )[3]
    assert later.SOPInstanceUID != dcmread(DicomBytesIO(written[3])).SOPInstanceUID


def test_an_order_names_study_accession_and_priority() -> None:
    ds = head_ct(1, bleed=False, patient=ADA, order={**ORDER, "study_uid": "1.2.3"}, slices=24, size=64)[0]
    assert (ds.StudyInstanceUID, ds.AccessionNumber, ds.RequestedProcedurePriority) == ("1.2.3", "A1", "STAT")
    assert (ds.PatientID, ds.IssuerOfPatientID, ds.PatientBirthDate) == ("P1", "harbor", "19500203")


@pytest.mark.parametrize("seed", range(4))
def test_a_head_has_air_bone_brain_and_fluid(seed: int) -> None:
    hu = head_hu(seed, bleeds=False, size=128)
    middle = hu[len(hu) // 2]
    assert (middle < -900).mean() > 0.2
    assert (middle > 500).mean() > 0.04
    assert ((middle > 15) & (middle < 55)).mean() > 0.15
    assert ((middle > -10) & (middle < 14)).mean() > 0.002


@pytest.mark.parametrize("seed", range(8))
def test_a_bleed_of_the_demo_is_ten_millilitres_of_blood_or_more(seed: int) -> None:
    hu, clean = (head_hu(seed, bleeds=bleeds, size=128).astype(float) for bleeds in (True, False))
    smooth, before = (gaussian_filter(volume, [0.5, 1.5, 1.5]) for volume in (hu, clean))
    blood = (smooth > 48) & (smooth < 90) & (smooth > before + 9)
    assert blood.sum() * Grid().voxel_ml > 8


@pytest.mark.parametrize("kind", list(Bleed))
def test_each_kind_of_bleed_is_brighter_than_the_brain_around_it(kind: Bleed) -> None:
    hu, blood, said = study(11, bleeds=True, kind=kind)
    assert said is kind
    assert blood.sum() * Grid().voxel_ml >= 0.6
    assert np.median(hu[blood]) > 42
