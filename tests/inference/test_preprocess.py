"""Slices become a volume on the model's lattice, or the reason is said."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from inference.triage.preprocess import Scan, read, to_lattice
from inference.triage.result import NotAssessed
from readingroom.demo.phantom import head_ct, head_hu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

ADA = {"name": "Phantom^Ada", "mrn": "P1"}


def _saved(tmp_path: Path, slices: list[Dataset]) -> list[Callable[[], BinaryIO]]:
    return [partial(path.open, "rb") for path in _written(tmp_path, slices)]


def _written(tmp_path: Path, slices: list[Dataset]) -> list[Path]:
    paths = [tmp_path / f"{i * 7 % 29:02}.dcm" for i in range(len(slices))]  # in no order
    for ds, path in zip(slices, paths, strict=True):
        ds.save_as(path, enforce_file_format=True)
    return paths


def _head() -> list[Dataset]:
    return head_ct(3, bleed=False, patient=ADA, slices=28, size=64)


def test_a_series_is_sorted_by_position_in_hu(tmp_path: Path) -> None:
    scan = read(_saved(tmp_path, _head()))
    assert scan.spacing_mm == pytest.approx((5.0, 3.5, 3.5))
    assert np.array_equal(scan.hu, head_hu(3, bleeds=False, slices=28, size=64))


def test_a_series_from_the_head_down_or_mirrored_is_the_same_volume(tmp_path: Path) -> None:
    slices = _head()
    for ds in slices:
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        ds.ImagePositionPatient = [-x, -y, z]
        ds.PixelData = ds.pixel_array[::-1, ::-1].tobytes()
    assert np.array_equal(read(_saved(tmp_path, slices)).hu, head_hu(3, bleeds=False, slices=28, size=64))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_compressed_slices_are_decoded(tmp_path: Path, syntax: str) -> None:
    slices = _head()
    for ds in slices:
        if syntax == RLELossless:
            ds.compress(RLELossless)
        else:
            _to_jpeg2000(ds)
    assert np.array_equal(read(_saved(tmp_path, slices)).hu, head_hu(3, bleeds=False, slices=28, size=64))


def _to_jpeg2000(ds: Dataset) -> None:
    import imagecodecs  # noqa: PLC0415 - one test's peer
    from pydicom.encaps import encapsulate  # noqa: PLC0415

    stream = imagecodecs.jpeg2k_encode(ds.pixel_array, codecformat="j2k", reversible=True, level=0, bitspersample=12)
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless


def _moved(slices: list[Dataset]) -> None:
    x, y, z = slices[9].ImagePositionPatient
    slices[9].ImagePositionPatient = [x, y, z + 2]


def _sheared(slices: list[Dataset]) -> None:
    for index, ds in enumerate(slices):
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, float(y) + index, z]


def _without(name: str) -> Callable[[list[Dataset]], None]:
    def remove(slices: list[Dataset]) -> None:
        del slices[4][name]

    return remove


def _said(name: str, value: Any) -> Callable[[list[Dataset]], None]:
    def say(slices: list[Dataset]) -> None:
        for ds in slices:
            setattr(ds, name, value)

    return say


def _cut(slices: list[Dataset]) -> None:
    slices[3].PixelData = slices[3].PixelData[:-100]


def _turned(slices: list[Dataset]) -> None:
    slices[5].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_moved, "unevenly spaced"),
        (_sheared, "sheared"),
        (_said("GantryDetectorTilt", "18.5"), "tilted by 18 degrees"),
        (_without("RescaleSlope"), "lacks its rescale to HU"),
        (_without("ImagePositionPatient"), "lacks ImagePositionPatient"),
        (_without("PixelData"), "lacks PixelData"),
        (_said("NumberOfFrames", 3), "not single slices"),
        (_cut, "cannot be decoded"),
        (_turned, "different planes"),
        (lambda slices: slices.__delitem__(slice(8, None)), "8 slices"),
        (lambda slices: slices.__delitem__(slice(13, None)), "do not show a head"),
        (lambda slices: slices.append(slices[3]), "unevenly spaced"),
    ],
)
def test_what_makes_no_volume_says_why(tmp_path: Path, spoil: Callable[[list[Dataset]], None], reason: str) -> None:
    slices = _head()
    spoil(slices)
    with pytest.raises(NotAssessed, match=reason):
        read(_saved(tmp_path, slices))


def test_what_is_no_dicom_says_so(tmp_path: Path) -> None:
    paths = _written(tmp_path, _head())
    paths[2].write_bytes(b"not DICOM at all")
    with pytest.raises(NotAssessed, match="cannot be read"):
        read([partial(path.open, "rb") for path in paths])


@pytest.mark.parametrize(("slices", "size"), [(28, 128), (28, 256), (140, 128)])
def test_any_resolution_lands_on_one_lattice(slices: int, size: int) -> None:
    hu = head_hu(5, bleeds=False, slices=slices, size=size).astype(np.float32)
    placed = to_lattice(Scan(hu, (140 / slices, 224 / size, 224 / size)))
    assert placed.shape == (28, 128, 128)
    assert placed.dtype == np.float32
    middle = placed[14][placed[14] > 300]
    assert middle.size > 300  # the skull is in view
    rows = np.flatnonzero((placed[14] > 300).any(1))
    assert abs(rows[0] + rows[-1] - 127) < 12  # and in the middle of it
