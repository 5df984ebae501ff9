"""Odd data on the way out: every test file and character set of pydicom answers rightly or is clearly refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import imagecodecs
import msgspec
import numpy as np
import pydicom
import pytest
from aiohttp import MultipartReader
from pydicom.pixels import pixel_array
from pydicom.uid import generate_uid

from gateway.dimse import forms
from storage.dicom import Stored
from storage.objects import object_store
from tests.dicom.conftest import World
from tests.dicom.test_stow import part10
from tests.dicom.web import gateway

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    from tests.gateway import rest

__all__ = ["gateway"]
DATA = Path(pydicom.data.__file__).parent
FRAMES = "multipart/related; type=application/octet-stream"
NO_IMAGES = frozenset({"JPEG2000-embedded-sequence-delimiter.dcm"})  # its code stream is made up
RLE, DEFLATED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"


class Asked:
    """Asks the gateway, and looks at what is refused."""

    def __init__(self, gateway: rest.World) -> None:
        self._gateway = gateway
        self._bearer = {"Authorization": f"Bearer {gateway.tokens['amy']}"}

    async def store(self, file: bytes) -> str | None:
        """Return the path of what was stored."""
        body = b"--rr\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--rr--\r\n"
        headers = self._bearer | {"Content-Type": 'multipart/related; type="application/dicom"; boundary=rr'}
        async with self._gateway.http.post(
            f"{self._gateway.url}/dicom-web/studies", data=body, headers=headers
        ) as answer:
            assert answer.status in (200, 409), await answer.text()
            told = msgspec.json.decode(await answer.read())
        if answer.status != 200:
            return None
        url: str = told["00081199"]["Value"][0]["00081190"]["Value"][0]
        return url.partition("/dicom-web")[2]

    async def get(self, path: str, accept: str) -> bytes | None:
        """Return the body, of the first part when there are parts; None when it was refused with 406 and a sentence."""
        headers = self._bearer | {"Accept": accept}
        async with self._gateway.http.get(f"{self._gateway.url}/dicom-web{path}", headers=headers) as answer:
            if answer.status == 406:
                assert len(msgspec.json.decode(await answer.read())["detail"]) > 20
                return None
            assert answer.status == 200, (path, accept, answer.status, await answer.text())
            if answer.content_type != "multipart/related":
                return await answer.read()
            part: Any = await MultipartReader.from_response(answer).next()
            return bytes(await part.read())


def renamed(file: bytes) -> tuple[bytes, FileDataset | None]:
    """Return a file under UIDs of its own of the same lengths, and what pydicom reads of it."""
    try:
        image = pydicom.dcmread(pydicom.filebase.DicomBytesIO(file))
        found = [str(image[keyword].value) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        packed = image.file_meta.TransferSyntaxUID == DEFLATED
    except Exception:  # noqa: BLE001 - whatever it finds, the file is no image to it
        return file, None
    for uid in [] if packed else found:
        own = str(generate_uid())[-12:].lstrip("0.")
        file = file.replace(uid.encode(), (uid[: -len(own)] + own).encode() if len(uid) > 16 else uid.encode())
    return file, pydicom.dcmread(pydicom.filebase.DicomBytesIO(file))


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
async def test_all_176_test_files_are_answered_or_clearly_refused(gateway: rest.World) -> None:
    files = sorted(path for path in (DATA / "test_files").rglob("*") if path.is_file())
    assert len(files) == 176
    asked, stored, shown, same = Asked(gateway), 0, 0, 0
    for path in files:
        file, image = renamed(path.read_bytes())
        at = await asked.store(file)
        if at is None:
            continue
        stored += 1
        assert image is not None, path
        [header] = msgspec.json.decode(await asked.get(f"{at}/metadata", "application/dicom+json") or b"[]")
        assert header["00080018"]["Value"] == [image.SOPInstanceUID]
        whole = await asked.get(at, "application/dicom")
        assert whole is not None
        assert World.strip(whole) == World.strip(file), path
        frame = await asked.get(f"{at}/frames/1", f"{FRAMES}; transfer-syntax=*")
        native = await asked.get(f"{at}/frames/1", FRAMES)
        picture = await asked.get(f"{at}/rendered", "image/png")
        pixels = any(keyword in image for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
        assert (frame is not None) == pixels, path
        assert (native is not None) == (picture is not None) == (pixels and path.name not in NO_IMAGES), path
        if native is not None and picture is not None:
            shown += 1
            assert imagecodecs.png_decode(picture).shape[:2] == (image.Rows, image.Columns)
            same += _same(image, native, path)
    assert (stored, shown, same) == (144, 87, 58)


def _same(image: FileDataset, native: bytes, path: Path) -> bool:
    """Check the first frame against pydicom's own reading, where that needs no codec; say whether it could be."""
    syntax = image.file_meta.TransferSyntaxUID
    if "PixelData" not in image or (syntax.is_encapsulated and syntax != RLE) or image.BitsAllocated == 1:
        return False
    try:
        frame = pixel_array(image, index=0, raw=True)
    except (ValueError, AttributeError):  # a header that pydicom does not take
        return False
    if image.get("PlanarConfiguration") and syntax != RLE:
        frame = frame.transpose(2, 0, 1)
    if len(native) != frame.nbytes:
        return False
    assert np.array_equal(np.frombuffer(native, frame.dtype.newbyteorder("<")), frame.reshape(-1)), path
    return True


@pytest.mark.parametrize("file", sorted(path.name for path in (DATA / "charset_files").glob("*.dcm")))
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
async def test_names_of_every_character_set_are_told_and_found(
    gateway: rest.World, images: Callable[..., list[FileDataset]], file: str
) -> None:
    odd = pydicom.dcmread(DATA / "charset_files" / file)
    (image,) = images()
    asked = Asked(gateway)
    odd.decode()
    name = str(odd.get("PatientName", ""))
    if "SpecificCharacterSet" in odd:
        image.SpecificCharacterSet = odd.SpecificCharacterSet
    image.PatientName = odd.get("PatientName", "")
    at = await asked.store(part10(image))
    assert at is not None
    [header] = msgspec.json.decode(await asked.get(f"{at}/metadata", "application/dicom+json") or b"")
    told = header["00100010"].get("Value", [{}])[0]
    assert "=".join(told.get(kind, "") for kind in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=") == name
    search = f"/studies?PatientName={quote(name.rsplit('=', maxsplit=1)[-1])}"
    assert len(msgspec.json.decode(await asked.get(search, "application/dicom+json") or b"[]")) == 1


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
async def test_a_big_endian_image_goes_to_peers_with_its_pixels_turned(
    gateway: rest.World, images: Callable[..., list[FileDataset]], syntax: str
) -> None:
    (image,) = images("MR_small_bigendian.dcm")
    assert await Asked(gateway).store(part10(image)) is not None
    [row] = await gateway.sql("SELECT path, sha256, size FROM rr.instance")
    place = Stored(
        str(image.StudyInstanceUID), str(image.StudyInstanceUID), str(image.SeriesInstanceUID), str(image.SOPInstanceUID),
        str(image.SOPClassUID), str(image.file_meta.TransferSyntaxUID), row["path"], row["size"], row["sha256"], image=True,
        received_at=datetime.now(UTC),
    )  # fmt: skip
    data = bytes(forms.data_set(object_store(gateway.settings), place, syntax))
    made = pydicom.dcmread(pydicom.filebase.DicomBytesIO(part10_of(data, syntax)), force=True)
    assert made.PixelData == images("MR_small.dcm")[0].PixelData


def part10_of(data: bytes, syntax: str) -> bytes:
    """Return a data set with the shortest head that says its transfer syntax."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = b"\2\0\x10\0UI" + len(uid).to_bytes(2, "little") + uid
    return bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0" + len(meta).to_bytes(4, "little") + meta + data
