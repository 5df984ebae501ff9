"""Generated head CTs as DICOM: real CT Image Storage, no patient behind them."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from inference.training import anatomy, scanner
from inference.training.bleed import Bleed, add
from inference.training.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PROCEDURE = "CT head without contrast"
_SPACE = UUID("0a0c2f1e-3a58-5b0e-9d0f-6d0b7c1e5a44")
_IMPLEMENTATION = UID(f"2.25.{uuid5(_SPACE, 'implementation').int}")
_INTERCEPT_HU = -1024
_CLEAR = (Bleed.INTRAPARENCHYMAL, Bleed.INTRAPARENCHYMAL, Bleed.SUBDURAL, Bleed.EPIDURAL)
_CLEAR_ML, _CLEAR_HU = (15.0, 40.0), (60.0, 76.0)


def head_hu(seed: int, *, bleeds: bool, slices: int = 28, size: int = 256) -> NDArray[np.int16]:
    """Return a scanned head in HU, (z, y, x) from the feet up; a bleed is one that nobody overlooks."""
    rng = np.random.default_rng(seed)
    grid = Grid(slices=slices, size=size, slice_mm=140 / slices)
    head = anatomy.head(rng, grid)
    if bleeds:
        kind, ml = Bleed(rng.choice(_CLEAR)), rng.uniform(*_CLEAR_ML)
        add(rng, head, kind, least_ml=_CLEAR_ML[0] * 0.8, ml=ml, hu=_CLEAR_HU)
    return scanner.acquire(rng, head)


def head_ct(  # noqa: PLR0913 - a study is a seed, a finding, a person, an order and a matrix
    seed: int,
    bleed: bool,  # noqa: FBT001 - reads as head_ct(7, True, patient) everywhere
    patient: Mapping[str, str],
    *,
    order: Mapping[str, str] | None = None,
    slices: int = 28,
    size: int = 256,
) -> list[Dataset]:
    """Return a head CT, one dataset a slice, each ready to send or to save.

    ``patient`` has ``name`` (as DICOM PN), ``mrn`` and perhaps ``issuer``, ``birth_date`` (ISO) and
    ``sex``; ``order`` perhaps ``accession_number``, ``study_uid``, ``procedure``, ``priority``,
    ``referring_physician`` and ``at`` (ISO instant, now when absent). The same arguments with the
    same ``at`` give the same bytes; another instant is another study.
    """
    told = dict(order or {})
    at = datetime.fromisoformat(told["at"]) if "at" in told else datetime.now(UTC)
    text = f"{at.isoformat()}/{seed}/{bleed}/{slices}/{size}/{sorted(patient.items())}/{sorted(told.items())}"
    study_uid = told.get("study_uid") or _uid(text, "study")
    hu = head_hu(seed, bleeds=bleed, slices=slices, size=size)
    common = _common(patient, told, at)
    common.StudyInstanceUID = study_uid
    common.SeriesInstanceUID = _uid(text, "series")
    common.FrameOfReferenceUID = _uid(text, "frame")
    grid = Grid(slices=slices, size=size, slice_mm=140 / slices)
    return [_slice(common, grid, hu, index, _uid(text, f"image/{index}")) for index in range(slices)]


def _uid(text: str, part: str) -> UID:
    """Return a UUID-derived UID (PS3.5 B.2)."""
    return UID(f"2.25.{uuid5(_SPACE, f'{text}/{part}').int}")


def _common(patient: Mapping[str, str], order: Mapping[str, str], at: datetime) -> Dataset:
    """Return what every slice says: patient, study, series, equipment and technique (PS3.3 A.3)."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    date, time = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = time
    ds.AccessionNumber = order.get("accession_number", "")
    ds.Modality = "CT"
    ds.Manufacturer = "Reading Room"
    ds.InstitutionName = order.get("institution", "")
    ds.ReferringPhysicianName = order.get("referring_physician", "")
    ds.StationName = "PHANTOM"
    ds.StudyDescription = order.get("procedure", PROCEDURE)
    ds.SeriesDescription = "Axial 5 mm brain"
    ds.ManufacturerModelName = "Generated head"
    ds.PatientName = patient["name"]
    ds.PatientID = patient["mrn"]
    if patient.get("issuer"):
        ds.IssuerOfPatientID = patient["issuer"]
    ds.PatientBirthDate = patient.get("birth_date", "").replace("-", "")
    ds.PatientSex = patient.get("sex", "")
    ds.BodyPartExamined = "HEAD"
    ds.KVP = "120"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"
    ds.ProtocolName = "Head routine"
    ds.GantryDetectorTilt = "0"
    ds.ConvolutionKernel = "STANDARD"
    ds.PatientPosition = "HFS"
    ds.StudyID = "1"
    ds.SeriesNumber = 2
    ds.AcquisitionNumber = 1
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PositionReferenceIndicator = ""
    if order.get("priority"):
        ds.RequestedProcedurePriority = {"STAT": "STAT", "URGENT": "HIGH"}.get(order["priority"], "ROUTINE")
    return ds


def _slice(common: Dataset, grid: Grid, hu: NDArray[np.int16], index: int, sop_uid: UID) -> Dataset:
    """Return one slice with its place, pixels and file meta information."""
    ds = deepcopy(common)
    z, y, x = grid.axes()
    ds.SOPInstanceUID = sop_uid
    ds.InstanceNumber = index + 1
    ds.SliceThickness = f"{grid.slice_mm:.3f}"
    ds.ImagePositionPatient = [f"{float(axis):.4f}" for axis in (x.flat[0], y.flat[0], z.flat[index])]
    ds.SliceLocation = f"{float(z.flat[index]):.4f}"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = grid.size
    ds.PixelSpacing = [f"{grid.pixel_mm:.5f}"] * 2
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth, ds.WindowCenterWidthExplanation = "40", "80", "BRAIN"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(_INTERCEPT_HU), "1", "HU"
    ds.PixelData = (hu[index] - _INTERCEPT_HU).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = _meta(sop_uid, ExplicitVRLittleEndian)
    return ds


def _meta(sop_uid: UID, syntax: UID) -> FileMetaDataset:
    """Return the file meta information (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "READINGROOM"
    return meta
