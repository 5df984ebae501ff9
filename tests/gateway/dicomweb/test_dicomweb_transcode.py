"""Frames and instances come in the transfer syntax that was asked for, or are refused; pixels are the stored ones."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from gateway.dicomweb import encode
from gateway.dicomweb.decode import decode, to_rgb
from gateway.dicomweb.transcode import UNENCODED
from tests.gateway.dicomweb.test_dicomweb_encode import shape_of
from tests.gateway.dicomweb.test_dicomweb_retrieve import NATIVE, spoil

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import FileDataset

    Make = Callable[..., FileDataset]
    At = Callable[..., str]

PARTS = "multipart/related; type="
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax='
MEDIA = {
    encode.JPEG_LOSSLESS: "image/jpeg", encode.JPEG_LS: "image/jls", encode.JPEG_2000: "image/jp2",
    encode.HTJ2K: "image/jphc", "1.2.840.10008.1.2.5": "image/dicom-rle",
}  # fmt: skip
CODED = encode.LOSSLESS - {"1.2.840.10008.1.2.5"}
SOURCES = (
    "CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "image_dfl.dcm",
    "SC_rgb_small_odd.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_small_odd_big_endian.dcm", "liver_1frame.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", [*SOURCES[:7], "examples_palette.dcm"])
async def test_frames_come_in_every_lossless_syntax(dicomweb: Any, make: Make, at: At, name: str) -> None:
    image = make(name)
    await dicomweb.store(image)
    path = f"{at(image)}/frames/" + ",".join(str(n + 1) for n in range(int(image.get("NumberOfFrames") or 1)))
    plain = await dicomweb.parts(path, f"{PARTS}{NATIVE}")
    kind = f"{'i' if image.PixelRepresentation else 'u'}{image.BitsAllocated // 8}"
    size = (image.Rows, image.Columns) if image.SamplesPerPixel == 1 else (image.Rows, image.Columns, 3)
    shape = shape_of(np.empty(size, kind), image.BitsStored, image.PhotometricInterpretation)
    for syntax, media in MEDIA.items():
        made = await dicomweb.parts(path, f"{PARTS}{media}")
        assert made == await dicomweb.parts(path, f"{PARTS}application/octet-stream; transfer-syntax={syntax}")
        if syntax == image.file_meta.TransferSyntaxUID:
            continue
        assert {kind for kind, _ in made} == {f"{media}; transfer-syntax={syntax}"}
        for (_, data), (_, native) in zip(made, plain, strict=True):
            found = decode(data, shape, syntax, encapsulated=True)
            assert np.array_equal(found, np.frombuffer(native, kind)[: found.size].reshape(size)), syntax


@pytest.mark.parametrize("name", SOURCES)
async def test_instances_come_in_every_lossless_syntax(dicomweb: Any, make: Make, at: At, name: str) -> None:
    image = make(name)
    await dicomweb.store(image)
    for syntax in (*MEDIA, *UNENCODED):
        if syntax == image.file_meta.TransferSyntaxUID:
            continue
        if image.BitsAllocated == 1 and syntax in MEDIA:
            assert await dicomweb.refusal(at(image), accept=DICOM + syntax) == (406, "not_acceptable")
            continue
        [(kind, data)] = await dicomweb.parts(at(image, level="study"), DICOM + syntax)
        assert kind == f"application/dicom; transfer-syntax={syntax}"
        made = pydicom.dcmread(io.BytesIO(data))
        assert (made.file_meta.TransferSyntaxUID, made.SOPInstanceUID) == (syntax, image.SOPInstanceUID)
        for element in ("NumberOfFrames", "RescaleSlope", "PhotometricInterpretation", "BitsStored", "PatientName"):
            assert made.get(element) == image.get(element), element
        async with dicomweb.get(at(image), accept=f"application/dicom; transfer-syntax={syntax}") as answer:
            assert await answer.read() == data
            assert answer.headers["ETag"] != await _tag(dicomweb, at(image))
        if syntax in CODED:  # no reader of pydicom's is installed, so ours reads it back
            made.StudyInstanceUID, made.SOPInstanceUID = generate_uid(), generate_uid()
            made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
            await dicomweb.store(made)
            [(_, back)] = await dicomweb.parts(at(made), DICOM + "1.2.840.10008.1.2.1")
            made = pydicom.dcmread(io.BytesIO(back))
        if image.file_meta.TransferSyntaxUID not in CODED:
            assert np.array_equal(made.pixel_array, image.pixel_array), syntax


async def _tag(dicomweb: Any, path: str) -> str:
    async with dicomweb.get(path, accept="application/dicom") as answer:
        return str(answer.headers["ETag"])


async def test_words_of_big_endian_instances_are_turned(dicomweb: Any, make: Make, at: At) -> None:
    image = make("MR_small_bigendian.dcm")
    image.add_new(0x60003000, "OW", b"\1\2\3\4")
    image.add_new(0x00281201, "OW", b"\0\1\0\2")
    await dicomweb.store(image)
    async with dicomweb.get(at(image), accept="application/dicom; transfer-syntax=1.2.840.10008.1.2.1") as answer:
        made = pydicom.dcmread(io.BytesIO(await answer.read()))
    assert (made[0x60003000].value, made[0x00281201].value) == (b"\2\1\4\3", b"\1\0\2\0")
    assert made.PixelData == make("MR_small.dcm").PixelData


async def test_what_a_syntax_cannot_hold_is_refused_and_the_next_wish_is_tried(
    dicomweb: Any, make: Make, at: At
) -> None:
    image = make("rtdose.dcm")  # 32 bits
    await dicomweb.store(image)
    path = f"{at(image)}/frames/1"
    for syntax in (encode.JPEG_LS, encode.BASELINE, "1.2.840.10008.1.2.4.81"):
        wanted = f"{PARTS}application/octet-stream; transfer-syntax={syntax}"
        assert await dicomweb.refusal(path, accept=wanted) == (406, "not_acceptable")
        [(kind, _)] = await dicomweb.parts(path, f"{wanted}, {PARTS}{NATIVE}; q=0.1")
        assert kind == NATIVE
    assert (await dicomweb.refusal(at(image), accept=DICOM + encode.JPEG_2000))[0] == 406
    assert (await dicomweb.refusal(at(image), accept=DICOM + encode.BASELINE))[0] == 406
    report = make("reportsi.dcm")
    await dicomweb.store(report)
    assert (await dicomweb.refusal(at(report), accept=DICOM + encode.JPEG_2000))[0] == 406


@pytest.mark.parametrize("syntax", [encode.HTJ2K_RPCL, encode.HTJ2K_ANY])
async def test_other_high_throughput_forms_are_made_when_they_are_named(
    dicomweb: Any, make: Make, at: At, syntax: str
) -> None:
    image = make("MR_small.dcm")
    await dicomweb.store(image)
    [(kind, data)] = await dicomweb.parts(f"{at(image)}/frames/1", f"{PARTS}image/jphc; transfer-syntax={syntax}")
    assert kind == f"image/jphc; transfer-syntax={syntax}"
    shape = shape_of(image.pixel_array, 16, "MONOCHROME2")
    assert np.array_equal(decode(data, shape, syntax, encapsulated=True), image.pixel_array)
    [(kind, whole)] = await dicomweb.parts(at(image), DICOM + syntax)
    assert pydicom.dcmread(io.BytesIO(whole)).file_meta.TransferSyntaxUID == syntax


async def test_baseline_jpeg_is_made_only_when_it_is_named(dicomweb: Any, make: Make, at: At) -> None:
    image = make("SC_rgb_small_odd.dcm")
    await dicomweb.store(image)
    [(kind, _)] = await dicomweb.parts(f"{at(image)}/frames/1", f"{PARTS}image/jpeg")
    assert kind == f"image/jpeg; transfer-syntax={encode.JPEG_LOSSLESS}"
    [(kind, data)] = await dicomweb.parts(
        f"{at(image)}/frames/1", f"{PARTS}image/jpeg; transfer-syntax={encode.BASELINE}"
    )
    assert kind == f"image/jpeg; transfer-syntax={encode.BASELINE}"
    shape = shape_of(image.pixel_array, 8, "YBR_FULL_422")
    assert np.abs(decode(data, shape, encode.BASELINE, encapsulated=True).astype(int) - image.pixel_array).mean() < 20


async def test_a_changed_source_is_told_of_and_never_transcoded(
    dicomweb: Any, make: Make, at: At, tmp_path: Path
) -> None:
    image = make()
    await dicomweb.store(image)
    spoil(tmp_path)
    for path, accept in ((f"{at(image)}/frames/1", f"{PARTS}image/jls"), (at(image), DICOM + encode.JPEG_LS)):
        assert await dicomweb.refusal(path, accept=accept) == (500, "error")


COLOURS = (
    "examples_ybr_color.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "GDCMJ2K_TextGBR.dcm",
    "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_small_odd_big_endian.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", COLOURS)
async def test_metadata_describe_the_colours_of_the_frames_that_are_asked_for(
    dicomweb: Any, make: Make, at: At, name: str
) -> None:
    image = make(name)
    await dicomweb.store(image)
    async with dicomweb.get(f"{at(image)}/frames/1/rendered", accept="image/png") as answer:
        shown = imagecodecs.png_decode(await answer.read())
    assert await _colours(dicomweb, at(image)) == image.PhotometricInterpretation
    assert await _colours(dicomweb, at(image), "*") == image.PhotometricInterpretation
    for syntax in (encode.JPEG_LS, "1.2.840.10008.1.2.1"):
        said = await _colours(dicomweb, at(image), syntax)
        [(_, data)] = await dicomweb.parts(
            f"{at(image)}/frames/1", f"{PARTS}application/octet-stream; transfer-syntax={syntax}"
        )
        shape = shape_of(np.empty(shown.shape, np.uint8), 8, said)
        found = decode(data, shape, syntax, encapsulated=syntax == encode.JPEG_LS)
        assert np.abs(to_rgb(found, said, 8).astype(int) - shown).mean() < 1, (syntax, said)
        [(_, whole)] = await dicomweb.parts(at(image), DICOM + syntax)
        assert pydicom.dcmread(io.BytesIO(whole)).PhotometricInterpretation == said
    if image.file_meta.TransferSyntaxUID != encode.BASELINE:
        assert await _colours(dicomweb, at(image), encode.BASELINE) == "YBR_FULL_422"


async def _colours(dicomweb: Any, path: str, syntax: str | None = None) -> str:
    accept = "application/dicom+json" + (f"; transfer-syntax={syntax}" if syntax else "")
    async with dicomweb.get(f"{path}/metadata", accept=accept) as answer:
        assert answer.status == 200
        [header] = await answer.json(content_type=None)
    return str(header["00280004"]["Value"][0])


async def test_metadata_of_a_syntax_that_frames_do_not_come_in_are_refused(dicomweb: Any, make: Make, at: At) -> None:
    image = make()
    await dicomweb.store(image)
    for path in (at(image), at(image, level="series")):
        wanted = "application/dicom+json; transfer-syntax=1.2.840.10008.1.2.4.100"
        assert await dicomweb.refusal(f"{path}/metadata", accept=wanted) == (406, "not_acceptable")
