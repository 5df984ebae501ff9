"""Answers that go straight to the connection: whole to slow clients, broken off when files are, and no thread waits."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from pydicom.uid import generate_uid
from yarl import URL

from gateway.dicomweb import straight

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import FileDataset

    Make = Callable[..., FileDataset]
    At = Callable[..., str]

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
COUNT, SIZE = 24, 700  # 24 MB: more than a connection holds, in pieces of several segments
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def _long(make: Make, count: int, size: int) -> list[FileDataset]:
    """Return a series of images of ``size`` square pixels."""
    images = []
    first = make()
    for number in range(1, count + 1):
        image = make(
            StudyInstanceUID=first.StudyInstanceUID, SeriesInstanceUID=first.SeriesInstanceUID, SOPInstanceUID=generate_uid(),
            InstanceNumber=number, Rows=size, Columns=size,
        )  # fmt: skip
        image.PixelData = bytes([number]) * (2 * size * size)
        images.append(image)
    return images


def _spoil_one(objects: Path) -> None:
    file = max(objects.rglob("*.dcm"))
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)


async def _connect(dicomweb: Any, path: str, accept: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    at = URL(dicomweb.base)
    reader, writer = await asyncio.open_connection(at.host, at.port, limit=1 << 16)
    head = f"GET {at.path}{path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nAuthorization: Bearer rita\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200")
    assert b"x-content-type-options: nosniff" in head
    return await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))


async def test_a_slow_client_gets_a_series_whole_and_holds_no_thread(
    dicomweb: Any, make: Make, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _long(make, COUNT, SIZE)
    await dicomweb.store(*images)
    waits: list[int] = []
    writable = straight._writable

    async def waiting(fd: int) -> None:
        waits.append(threading.active_count())
        await writable(fd)

    monkeypatch.setattr(straight, "_writable", waiting)
    path = at(images[0], level="series")
    lines = [await _connect(dicomweb, path, DICOM) for _ in range(4)]
    async with asyncio.timeout(60):
        while len(waits) < len(lines):
            await asyncio.sleep(0.01)
    assert (await dicomweb.json("/studies")) != []  # nobody else waits for them
    for reader, writer in lines:
        body = await _answer(reader)
        parts = body.split(b"\r\n\r\n", 1)[0]
        assert body.endswith(b"--\r\n")
        assert [body.count(bytes([number]) * (2 * SIZE * SIZE)) for number in range(1, COUNT + 1)] == [1] * COUNT
        assert parts.startswith(b"--")
        writer.write(
            f"GET {URL(dicomweb.base).path}/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer rita\r\n\r\n".encode()
        )
        assert (await _answer(reader)).startswith(b"[{")  # the connection is kept
        writer.close()


async def test_a_client_that_goes_costs_nothing_but_its_answer(dicomweb: Any, make: Make, at: At) -> None:
    images = _long(make, COUNT, SIZE)
    await dicomweb.store(*images)
    for _ in range(3):
        reader, writer = await _connect(dicomweb, at(images[0], level="series"), DICOM)
        await reader.readexactly(1000)
        writer.transport.abort()
    found = await dicomweb.parts(at(images[0], level="series"), DICOM)
    assert len(found) == len(images)


async def test_a_series_with_a_changed_file_breaks_off(dicomweb: Any, make: Make, at: At, tmp_path: Path) -> None:
    images = _long(make, 3, 300)
    await dicomweb.store(*images)
    _spoil_one(tmp_path)
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        async with dicomweb.get(at(images[0], level="series"), accept=DICOM) as answer:
            await answer.read()


async def test_frames_are_the_same_at_once_and_from_a_thread(dicomweb: Any, make: Make, at: At) -> None:
    images = _long(make, 2, 400)
    await dicomweb.store(*images)
    for image in images:
        for _ in range(2):  # where it lies is not known the first time
            [(kind, data)] = await dicomweb.parts(f"{at(image)}/frames/1", FRAME)
            assert data == image.PixelData
            assert kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
