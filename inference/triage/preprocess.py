"""From DICOM slices to the model's lattice, or the reason why not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import SimpleITK
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from inference.triage.hyperdense import SPACING_MM, Volume
from inference.triage.result import NotAssessed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

sitk: Any = SimpleITK  # it ships no types
File: TypeAlias = Callable[[], BinaryIO]

SIZE = 128  # pixels of the lattice
_AIR_HU = -1000.0
_BONE_HU = 300
_LEAST_EXTENT_MM, _LEAST_SLICES = 70.0, 12
_TILT_DEGREES = 0.5
_UNEVEN = 0.1  # of the median distance
_COARSE_MM = 8.0  # a distance between slices in which small bleeds vanish
_MOST_SLICES = 1200
_MEMORY = next(
    (str(d) for d in (Path("/", "dev", "shm"),) if d.is_dir()), None
)  # where plain images may lie for a moment
_FINER = 1.2  # times finer than the lattice: averaged
_NEEDED = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "RescaleSlope",
    "RescaleIntercept", "PixelData",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scan:
    """A series as scanned: HU (z, y, x) from the feet up, towards the patient's back and left; mm along z, y, x."""

    hu: Volume
    spacing_mm: tuple[float, float, float]


def read(files: Sequence[File]) -> Scan:
    """Read one series of single-frame slices.

    Args:
        files: one of each slice; calling it opens it for reading.

    Raises:
        NotAssessed: the slices make no volume in HU with one even spacing.
    """
    if not _LEAST_SLICES <= len(files) <= _MOST_SLICES:
        raise NotAssessed(f"{len(files)} slices, {_LEAST_SLICES} to {_MOST_SLICES} are")
    slices = [(_header(file), file) for file in files]
    first = slices[0][0]
    for ds, _ in slices:
        _check_alike(first, ds)
    row, column = np.reshape(np.asarray(first.ImageOrientationPatient, float), (2, 3))
    normal = np.cross(row, column)
    normal = normal if normal[2] > 0 else -normal
    slices.sort(key=lambda pair: float(np.dot(np.asarray(pair[0].ImagePositionPatient, float), normal)))
    places = np.asarray([[float(part) for part in ds.ImagePositionPatient] for ds, _ in slices])
    gap_mm = _even_gap(places, normal)
    tilt = float(first.get("GantryDetectorTilt") or 0)
    if abs(tilt) > _TILT_DEGREES:
        raise NotAssessed(f"the gantry is tilted by {abs(tilt):.0f} degrees")
    hu = np.empty((len(slices), first.Rows, first.Columns), np.float32)
    for index, (ds, file) in enumerate(slices):
        hu[index] = _pixels(ds, file)
    if row[0] < 0:
        hu = hu[:, :, ::-1]
    if column[1] < 0:
        hu = hu[:, ::-1]
    down_mm, across_mm = (float(mm) for mm in first.PixelSpacing)
    return Scan(np.ascontiguousarray(np.maximum(hu, -1024)), (gap_mm, down_mm, across_mm))


def _header(file: File) -> Dataset:
    try:
        with file() as opened:
            ds = dcmread(opened)
    except InvalidDicomError as exc:
        raise NotAssessed("a slice cannot be read") from exc
    for name in _NEEDED:
        if ds.get(name) is None:
            raise NotAssessed(f"a slice lacks {'its rescale to HU' if name.startswith('Rescale') else name}")
    if int(ds.get("NumberOfFrames") or 1) != 1 or ds.get("SamplesPerPixel") != 1:
        raise NotAssessed("its images are not single slices")
    return ds


def _check_alike(first: Dataset, ds: Dataset) -> None:
    if (ds.Rows, ds.Columns) != (first.Rows, first.Columns) or not np.allclose(ds.PixelSpacing, first.PixelSpacing):
        raise NotAssessed("its slices differ in size")
    if not np.allclose(ds.ImageOrientationPatient, first.ImageOrientationPatient, atol=1e-3):
        raise NotAssessed("its slices lie in different planes")


def _even_gap(places: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Return the distance of two slices along their normal."""
    steps = np.diff(places, axis=0)
    along = steps @ normal
    gap = float(np.median(along))
    if gap <= 0 or np.abs(along - gap).max() > _UNEVEN * gap:
        raise NotAssessed("its slices are unevenly spaced")
    aside = np.linalg.norm(steps - along[:, None] * normal, axis=1)
    if aside.max() > np.sin(np.deg2rad(_TILT_DEGREES)) * gap + 1e-2:
        raise NotAssessed("its slices are sheared, as by a tilted gantry")
    if gap > _COARSE_MM or gap * len(places) < _LEAST_EXTENT_MM:
        raise NotAssessed(f"{len(places)} slices {gap:.1f} mm apart do not show a head")
    return gap


def _pixels(ds: Dataset, file: File) -> Volume:
    """Return a slice in HU; compressed ones are decoded by GDCM, which rescales them too."""
    try:
        if ds.file_meta.TransferSyntaxUID.is_compressed:
            decoded = _decoded(file)
            return np.asarray(decoded[0] if decoded.ndim > 2 else decoded, np.float32)  # noqa: PLR2004 - z, y, x
        stored = ds.pixel_array
    except (RuntimeError, ValueError, AttributeError, NotImplementedError) as exc:
        raise NotAssessed("the pixels of a slice cannot be decoded") from exc
    return np.asarray(stored, np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)


def _decoded(file: File) -> Volume:
    with file() as opened, NamedTemporaryFile(dir=_MEMORY, suffix=".dcm") as plain:  # GDCM reads files only
        shutil.copyfileobj(opened, plain)
        plain.flush()
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(plain.name)
        return np.asarray(sitk.GetArrayFromImage(reader.Execute()))


def to_lattice(scan: Scan) -> Volume:
    """Return the scan on the model's lattice, centred on the skull; finer scans are averaged, nothing is invented."""
    have, count = scan.spacing_mm, len(scan.hu)
    slices = max(1, int((count - 1) * have[0] / SPACING_MM[0]) + 1)
    y_mm, x_mm = _centre_mm(scan)
    half_mm = (SIZE - 1) / 2 * SPACING_MM[1]
    along = _weights(count, have[0], np.arange(slices) * SPACING_MM[0], SPACING_MM[0])
    down = _weights(scan.hu.shape[1], have[1], np.arange(SIZE) * SPACING_MM[1] + y_mm - half_mm, SPACING_MM[1])
    across = _weights(scan.hu.shape[2], have[2], np.arange(SIZE) * SPACING_MM[2] + x_mm - half_mm, SPACING_MM[2])
    thick = np.tensordot(along, scan.hu - _AIR_HU, axes=1)  # the axis that shrinks most first
    return np.asarray(down @ thick @ across.T + _AIR_HU, np.float32)


def _weights(count: int, have_mm: float, at_mm: NDArray[np.floating[Any]], want_mm: float) -> Volume:
    """Return what each of ``count`` samples gives to each place; nothing to places outside (air).

    Between samples as coarse as the lattice it is linear; finer ones are averaged by a Gaussian as
    wide as a box of the lattice's spacing.
    """
    away = (at_mm[:, None] - np.arange(count) * have_mm) / have_mm
    if want_mm > _FINER * have_mm:
        variance = ((want_mm / have_mm) ** 2 - 1) / 12 + 1 / 6
        weights = np.exp(-0.5 * away**2 / variance)
    else:
        weights = np.clip(1 - np.abs(away), 0, None)
    outside = np.abs(away).min(axis=1) > 1
    weights[outside] = 0
    return np.asarray(weights / np.maximum(weights.sum(1, keepdims=True), 1e-9), np.float32)


def _centre_mm(scan: Scan) -> tuple[float, float]:
    """Return the middle of the skull along y and x, or of the image where there is no bone."""
    bone = (scan.hu > _BONE_HU).sum(0)
    centre = []
    for axis, step in enumerate(scan.spacing_mm[1:]):
        line = bone.sum(1 - axis)
        where = np.flatnonzero(line > 0.02 * line.max()) if line.any() else np.arange(len(line))
        centre.append(float(where[0] + where[-1]) / 2 * step)
    return centre[0], centre[1]
