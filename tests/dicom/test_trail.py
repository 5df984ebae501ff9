"""A header that is read along the one before it says what it says when it is read by itself."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from gateway.ingest.trail import Trail
from gateway.ingest.walk import Odd, Walker

if TYPE_CHECKING:
    from pydicom import Dataset

    from gateway.ingest.dicom_json import DataSet

_FILES = sorted(
    path for path in Path(str(get_testdata_file("CT_small.dcm"))).parent.glob("*.dcm") if path.stat().st_size < 1 << 18
)


def _image() -> Dataset:
    image = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    del image[0xFFFC, 0xFFFC]
    image.PixelData = b"\0" * 64
    return image


def _bytes(image: Dataset, *, explicit: bool) -> bytes:
    return encode(image, is_implicit_vr=not explicit, is_little_endian=True) or b""


_HEADERS = {explicit: _bytes(_image(), explicit=explicit) for explicit in (True, False)}


def _alone(data: bytes, *, explicit: bool) -> tuple[DataSet, tuple[int, int] | None] | None:
    walker = Walker(data, explicit=explicit)
    try:
        return walker.walk(), walker.pixels
    except Odd:
        return None


def _along(trail: Trail, data: bytes, *, explicit: bool) -> tuple[DataSet, tuple[int, int] | None] | None:
    try:
        return trail.walk(data, explicit=explicit)
    except Odd:
        return None


@settings(max_examples=300, deadline=None)
@given(st.data(), st.booleans())
def test_whatever_bytes_differ(data: st.DataObject, explicit: bool) -> None:  # noqa: FBT001
    trail, before = Trail(), _HEADERS[explicit]
    assert _along(trail, before, explicit=explicit) == _alone(before, explicit=explicit)
    for _ in range(data.draw(st.integers(1, 3))):
        other = bytearray(before)
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(0, len(other) - 1))
            other[at] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            at, size = data.draw(st.integers(0, len(other))), data.draw(st.integers(1, 40))
            piece = data.draw(st.sampled_from([bytes(other[at : at + size]), b"", b"\x08\x00\x70\x00LO\x02\x00ab"]))
            other[at : at + data.draw(st.integers(0, 40))] = piece
        found = _alone(bytes(other), explicit=explicit)
        assert _along(trail, bytes(other), explicit=explicit) == found


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"InstanceNumber": "17", "SliceLocation": "-12.25", "ImageComments": "longer than what stood there"},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Jérôme^É"},
        {"SpecificCharacterSet": None, "PixelRepresentation": 0},
        {"PixelRepresentation": 1, "SmallestImagePixelValue": 65000},
        {"AccessionNumber": None, "Manufacturer": None, "Modality": "MR"},
        {"RequestedProcedureDescription": "inserted", "KVP": None},
    ],
    ids="-".join,
)
def test_what_changes_between_images(changes: dict[str, str | int | None], *, explicit: bool) -> None:
    trail, image = Trail(), _image()
    trail.walk(_bytes(image, explicit=explicit), explicit=explicit)
    for keyword, value in changes.items():
        if value is None:
            if keyword in image:
                delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    for each in (image, _image(), image):
        data = _bytes(each, explicit=explicit)
        assert _along(trail, data, explicit=explicit) == _alone(data, explicit=explicit)


def test_headers_of_many_kinds_one_after_the_other() -> None:
    trail = Trail()
    for path in (*_FILES, *reversed(_FILES)):
        try:
            image = pydicom.dcmread(path, force=True)
            explicit = image.file_meta.TransferSyntaxUID != ImplicitVRLittleEndian
            data = _bytes(image, explicit=explicit)
        except Exception:  # noqa: BLE001 - not every file of these can be encoded again
            continue
        assert _along(trail, data, explicit=explicit) == _alone(data, explicit=explicit), path.name


def test_most_of_a_header_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trail, before = Trail(), _HEADERS[True]
    trail.walk(before, explicit=True)
    read: list[int] = []
    step = Walker.step

    def noted(walker: Walker) -> Any:
        read.append(walker.at)
        return step(walker)

    monkeypatch.setattr(Walker, "step", noted)
    number = before.index(struct.pack("<HH2s", 0x0020, 0x0013, b"IS"))
    other = before[: number + 6] + b"\x04\x00" + b"1234" + before[number + 8 + before[number + 6] :]
    assert trail.walk(other, explicit=True)[0]["00200013"]["Value"] == [1234]
    assert read == [number]
