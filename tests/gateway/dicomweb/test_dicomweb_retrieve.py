"""What was stored comes back byte for byte: instances, headers, frames of every transfer syntax."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, generate_uid

from actors.domain.words import Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import FileDataset

    Make = Callable[..., FileDataset]
    At = Callable[..., str]

ANY = "multipart/related; type=application/octet-stream; transfer-syntax=*"
NATIVE = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
COMPRESSED = {
    "693_J2KI.dcm": "image/jp2",
    "JPEG2000.dcm": "image/jp2",
    "JPEGLSNearLossless_16.dcm": "image/jls",
    "JPGExtended.dcm": "image/jpeg",
    "MR_small_RLE.dcm": "image/dicom-rle",
    "MR_small_jp2klossless.dcm": "image/jp2",
    "MR_small_jpeg_ls_lossless.dcm": "image/jls",
    "SC_rgb_jpeg_gdcm.dcm": "image/jpeg",
    "SC_rgb_rle_16bit_2frame.dcm": "image/dicom-rle",
    "SC_rgb_small_odd_jpeg.dcm": "image/jpeg",
    "examples_ybr_color.dcm": "image/jpeg",
    "rtdose_rle.dcm": "image/dicom-rle",
}
UNCOMPRESSED = (
    "CT_small.dcm", "MR_small_implicit.dcm", "MR_small_padded.dcm", "MR_small_bigendian.dcm", "ExplVR_BigEnd.dcm",
    "SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm", "SC_ybr_full_422_uncompressed.dcm", "examples_palette.dcm",
    "liver_1frame.dcm", "rtdose.dcm", "rtdose_expb.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", COMPRESSED)
async def test_every_compressed_frame_is_the_original(dicomweb: Any, make: Make, at: At, name: str) -> None:
    image = make(name)
    count = int(image.get("NumberOfFrames") or 1)
    await dicomweb.store(image)
    numbers = ",".join(str(n + 1) for n in range(count))
    parts = await dicomweb.parts(f"{at(image)}/frames/{numbers}", ANY)
    assert [data for _, data in parts] == list(generate_frames(image.PixelData, number_of_frames=count))
    told = f"{COMPRESSED[name]}; transfer-syntax={image.file_meta.TransferSyntaxUID}"
    assert {kind for kind, _ in parts} == {told}
    [(kind, last)] = await dicomweb.parts(f"{at(image)}/frames/{count}", f"multipart/related; type={COMPRESSED[name]}")
    assert (kind, last) == parts[-1]


@pytest.mark.parametrize("name", UNCOMPRESSED)
async def test_every_uncompressed_frame_has_its_pixels(dicomweb: Any, make: Make, at: At, name: str) -> None:
    image = make(name)
    count = int(image.get("NumberOfFrames") or 1)
    await dicomweb.store(image)
    parts = await dicomweb.parts(f"{at(image)}/frames/{','.join(str(n + 1) for n in range(count))}", ANY)
    assert {kind for kind, _ in parts} == {NATIVE}
    data = b"".join(data for _, data in parts)
    if image.file_meta.TransferSyntaxUID.is_little_endian:
        assert image.PixelData.startswith(data)
        assert len(image.PixelData) - len(data) <= (128 if "padded" in name else 1)
        return
    pixels = image.pixel_array  # pydicom knows big endian
    got = np.frombuffer(data, f"<u{image.BitsAllocated // 8}").reshape(-1)
    if image.get("PlanarConfiguration"):
        pixels = pixels.transpose(2, 0, 1)
    assert np.array_equal(got.view(f"<{pixels.dtype.kind}{pixels.dtype.itemsize}"), pixels.reshape(-1))


async def test_frames_are_made_native_when_asked(dicomweb: Any, make: Make, at: At) -> None:
    plain = make("MR_small.dcm")
    for name in ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"):
        image = make(name)
        await dicomweb.store(image)
        for accept in ("multipart/related; type=application/octet-stream", f"multipart/related; type={NATIVE}"):
            [(kind, data)] = await dicomweb.parts(f"{at(image)}/frames/1", accept)
            assert (kind, data) == (NATIVE, plain.PixelData), name
        async with dicomweb.get(f"{at(image)}/frames/1", accept="application/octet-stream") as answer:
            assert await answer.read() == plain.PixelData


async def test_high_throughput_jpeg_2000_is_read(dicomweb: Any, make: Make, at: At) -> None:
    import imagecodecs  # noqa: PLC0415 - here only

    plain = make("MR_small.dcm")
    image = make("MR_small.dcm")
    code = bytes(imagecodecs.htj2k_encode(plain.pixel_array.astype(np.int16)))
    image.PixelData = encapsulate([code])
    image["PixelData"].VR = "OB"
    image.file_meta.TransferSyntaxUID = HTJ2KLossless
    await dicomweb.store(image)
    [(kind, data)] = await dicomweb.parts(f"{at(image)}/frames/1", ANY)
    assert kind == f"image/jphc; transfer-syntax={HTJ2KLossless}"
    assert data.rstrip(b"\0") == code.rstrip(b"\0")
    [(_, data)] = await dicomweb.parts(f"{at(image)}/frames/1", "multipart/related; type=application/octet-stream")
    assert data == plain.PixelData


@pytest.mark.parametrize("table", ["basic", "extended", "none", "ends"])
async def test_frames_are_found_by_any_table(dicomweb: Any, make: Make, at: At, table: str) -> None:
    [code] = generate_frames(make("MR_small_jp2klossless.dcm").PixelData, number_of_frames=1)
    frames = [code + bytes([0, 0]) * n for n in range(3)] if table == "basic" else [code, code, code]
    image = make("MR_small_jp2klossless.dcm", NumberOfFrames=3)
    if table == "extended":
        image.PixelData, image.ExtendedOffsetTable, image.ExtendedOffsetTableLengths = (
            pydicom.encaps.encapsulate_extended(frames)
        )
    else:
        pieces = 2 if table in ("basic", "ends") else 1
        image.PixelData = encapsulate(frames, fragments_per_frame=pieces, has_bot=table == "basic")
    await dicomweb.store(image)
    parts = await dicomweb.parts(f"{at(image)}/frames/3,1,2", ANY)
    got = [data for _, data in parts]
    assert [data.rstrip(b"\0") for data in got] == [frames[n].rstrip(b"\0") for n in (2, 0, 1)]


@pytest.mark.parametrize(
    ("frames", "refusal"),
    [
        ("0", (400, "bad_payload")),
        ("x", (400, "bad_payload")),
        ("1,,2", (400, "bad_payload")),
        ("2", (404, "not_found")),
    ],
)
async def test_a_frame_that_is_not_there(
    dicomweb: Any, make: Make, at: At, frames: str, refusal: tuple[int, str]
) -> None:
    image = make()
    await dicomweb.store(image)
    assert await dicomweb.refusal(f"{at(image)}/frames/{frames}", accept=ANY) == refusal


async def test_a_form_that_cannot_be_made_is_refused(dicomweb: Any, make: Make, at: At) -> None:
    image = make("MR_small_RLE.dcm")
    await dicomweb.store(image)
    for path, accept in (
        ("/frames/1", "multipart/related; type=image/jpx"),
        ("/frames/1", "multipart/related; type=image/dicom-rle; transfer-syntax=1.2.3"),
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50'),
        ("", "application/zip"),
        ("/metadata", 'multipart/related; type="application/dicom+xml"'),
        ("/rendered", "image/gif"),
        ("/bulkdata/7FE00010", "image/jpeg"),
    ):
        assert await dicomweb.refusal(at(image) + path, accept=accept) == (406, "not_acceptable"), path
    report = make("reportsi.dcm")
    await dicomweb.store(report)
    for path in ("/frames/1", "/rendered", "/thumbnail"):
        assert (await dicomweb.refusal(at(report) + path))[0] == 406


async def test_quality_values_decide(dicomweb: Any, make: Make, at: At) -> None:
    image = make("MR_small_RLE.dcm")
    await dicomweb.store(image)
    native = "multipart/related; type=application/octet-stream; q=0.5"
    stored = 'multipart/related; type="image/dicom-rle"; q=0.9'
    [(kind, _)] = await dicomweb.parts(f"{at(image)}/frames/1", f"{native}, {stored}")
    assert kind.startswith("image/dicom-rle")
    [(kind, _)] = await dicomweb.parts(f"{at(image)}/frames/1", f"{native}, {stored};q=0")
    assert kind == NATIVE


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"])
async def test_instances_come_back_as_sent(dicomweb: Any, make: Make, at: At, name: str) -> None:
    image = make(name)
    await dicomweb.store(image)
    sent = io.BytesIO()
    image.save_as(sent, enforce_file_format=True)
    async with dicomweb.get(at(image), accept="application/dicom; transfer-syntax=*") as answer:
        assert answer.status == 200
        whole = await answer.read()
        assert answer.headers["Content-Type"].startswith("application/dicom")
    assert _data_set(whole) == _data_set(sent.getvalue())
    for level in ("instance", "series", "study"):
        [(kind, data)] = await dicomweb.parts(at(image, level=level), 'multipart/related; type="application/dicom"')
        assert data == whole
        assert kind == f"application/dicom; transfer-syntax={image.file_meta.TransferSyntaxUID}"


def _data_set(part10: bytes) -> bytes:
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


async def test_an_instance_is_sent_in_ranges_and_not_twice(dicomweb: Any, make: Make, at: At) -> None:
    image = make()
    await dicomweb.store(image)
    async with dicomweb.get(at(image), accept="application/dicom") as answer:
        whole, tag = await answer.read(), answer.headers["ETag"]
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Cache-Control"].startswith("private")
    async with dicomweb.get(at(image), accept="application/dicom", Range="bytes=100-199") as answer:
        assert (answer.status, await answer.read()) == (206, whole[100:200])
        assert answer.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    for path, accept in (
        ("", "application/dicom"),
        ("/frames/1", ANY),
        ("/rendered", "image/png"),
        ("/metadata", None),
    ):
        async with dicomweb.get(at(image) + path, accept=accept) as answer:
            tag = answer.headers["ETag"]
        async with dicomweb.get(at(image) + path, accept=accept, **{"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")


async def test_metadata_is_the_whole_header_in_order(dicomweb: Any, make: Make, at: At) -> None:
    one, two = make(InstanceNumber=2), make(InstanceNumber=1)
    two.StudyInstanceUID, two.SeriesInstanceUID = one.StudyInstanceUID, one.SeriesInstanceUID
    await dicomweb.store(one, two)
    for level, uids in (("study", [two, one]), ("series", [two, one]), ("instance", [one])):
        found = await dicomweb.json(f"{at(one, level=level)}/metadata")
        assert [header["00080018"]["Value"][0] for header in found] == [image.SOPInstanceUID for image in uids]
        assert not any("7FE00010" in header for header in found)
    header = found[0]
    assert header["00280030"]["Value"] == [0.661468, 0.661468]
    assert (header["00281052"]["Value"], header["00281053"]["Value"]) == ([-1024], [1])
    assert header["00100020"]["Value"] == ["4711"]


async def test_long_values_are_named_and_served(dicomweb: Any, make: Make, at: At) -> None:
    image = make()
    image.add_new(0x00420011, "OB", bytes(range(256)) * 32)
    item = Dataset()
    item.add_new(0x00420011, "OB", b"\1\2" * 4000)
    image.add_new(0x00400555, "SQ", [item])
    await dicomweb.store(image)
    [header] = await dicomweb.json(f"{at(image)}/metadata")
    for element, value in (
        (header["00420011"], bytes(range(256)) * 32),
        (header["00400555"]["Value"][0]["00420011"], b"\1\2" * 4000),
    ):
        path = element["BulkDataURI"].partition("/dicom-web")[2]
        async with dicomweb.get(path, accept="application/octet-stream") as answer:
            assert await answer.read() == value
        [(kind, data)] = await dicomweb.parts(path, "multipart/related; type=application/octet-stream")
        assert (kind, data) == ("application/octet-stream", value)
    assert await dicomweb.refusal(f"{at(image)}/bulkdata/00420012") == (404, "not_found")
    assert await dicomweb.refusal(f"{at(image)}/bulkdata/nonsense") == (400, "bad_payload")


async def test_a_study_kept_apart_is_shown_under_our_uid(dicomweb: Any, make: Make, at: At) -> None:
    image = make()
    await dicomweb.store(image)
    ours = generate_uid()
    for table in ("dicom_study", "series", "instance"):
        await dicomweb.conn.execute(f"UPDATE rr.{table} SET study_uid = $1", ours)
    theirs = image.StudyInstanceUID
    image.StudyInstanceUID = ours
    for level in ("study", "series", "instance"):
        [header] = await dicomweb.json(f"{at(image, level=level)}/metadata")
        assert header["0020000D"]["Value"] == [ours]
    [found] = await dicomweb.json("/studies")
    assert found["0020000D"]["Value"] == [ours]
    assert theirs not in str(await dicomweb.json("/instances?includefield=all"))
    async with dicomweb.get(at(image), accept="application/dicom") as answer:
        got = pydicom.dcmread(io.BytesIO(await answer.read()))
    assert got.StudyInstanceUID == ours
    assert got.PixelData == image.PixelData


async def test_opening_a_study_is_audited_once(dicomweb: Any, make: Make, at: At) -> None:
    image = make()
    await dicomweb.store(image)
    await dicomweb.json("/studies")
    assert await _openings(dicomweb) == []
    for path in ("/metadata", "/frames/1", "/rendered", "/metadata"):
        async with dicomweb.get(at(image) + path) as answer:
            assert answer.status == 200
    assert await _openings(dicomweb) == [("north", "rita", image.StudyInstanceUID)]
    await dicomweb.json(f"{at(image, level='study')}/metadata", by="ada")
    assert len(await _openings(dicomweb)) == 2
    assert (await dicomweb.refusal("/studies/1.2.3/metadata"))[0] == 404
    assert len(await _openings(dicomweb)) == 2


async def _openings(dicomweb: Any) -> list[tuple[str, str, str]]:
    sql = "SELECT tenant_id, user_id, subject FROM rr.access WHERE act = 'study_opened' ORDER BY access_id"
    return [tuple(row) for row in await dicomweb.conn.fetch(sql)]


@pytest.mark.parametrize(
    "below", ["", "/metadata", "/frames/1", "/frames/1/rendered", "/rendered", "/thumbnail", "/bulkdata/7FE00010"]
)
async def test_outside_the_view_there_is_nothing(dicomweb: Any, make: Make, at: At, below: str) -> None:
    main, harbor = make(), make()
    await dicomweb.store(main)
    await dicomweb.store(harbor, site="harbor")
    await dicomweb.status(main.StudyInstanceUID, "prelim", "paula")
    await dicomweb.person("vera", Role.VIEWER, sites=("main",))
    await dicomweb.person("paula", Role.REFERRING_PHYSICIAN, sites=("main",))
    await dicomweb.person("tess", Role.TECHNOLOGIST, sites=("main",))
    await dicomweb.person("rolf", Role.RADIOLOGIST, "south")
    await dicomweb.person("otto", Role.OPERATOR)
    for name, image in (("vera", main), ("paula", main), ("tess", harbor), ("rolf", main)):
        assert await dicomweb.refusal(at(image) + below, by=name) == (404, "not_found"), name
    assert await dicomweb.refusal(at(main) + below, by="otto") == (403, "forbidden")
    assert await dicomweb.refusal(at(main) + below, by=None) == (401, "unauthenticated")
    await dicomweb.status(main.StudyInstanceUID, "final", "paula")
    for name in ("vera", "paula", "tess"):
        async with dicomweb.get(at(main) + below, by=name) as answer:
            assert answer.status == 200, name
    await dicomweb.status(main.StudyInstanceUID, "final", "somebody")
    assert await dicomweb.refusal(at(main) + below, by="paula") == (404, "not_found")


def spoil(objects: Path) -> None:
    """Change one byte of the only image."""
    [file] = objects.rglob("*.dcm")
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)


async def test_a_stored_file_that_was_changed_is_never_shown(dicomweb: Any, make: Make, at: At, tmp_path: Path) -> None:
    one = make()
    await dicomweb.store(one)
    spoil(tmp_path)
    with pytest.raises(aiohttp.ClientError):  # it breaks off, as its beginning was sent before the end was read
        async with dicomweb.get(at(one)) as answer:
            await answer.read()
    for below in ("/frames/1", "/rendered"):
        status, code = await dicomweb.refusal(at(one) + below)
        assert (status, code) == (500, "error"), below


def test_the_j2k_name_is_as_the_standard_says() -> None:
    from gateway.dicomweb.negotiation import media_of  # noqa: PLC0415

    assert media_of(JPEG2000Lossless) == "image/jp2"
