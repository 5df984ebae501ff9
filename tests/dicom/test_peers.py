"""dcmtk's clients and Orthanc against us, as SCU and as SCP: echo, store, find, move, get, worklist."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.dicom.conftest import PEERS
from tests.dicom.test_query_retrieve import archive, destination, send_to, stored
from tests.dicom.test_workflow import ordered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World

    Dcmtk = Callable[..., CompletedProcess[str]]

__all__ = ["archive", "destination", "ordered"]
Images = "Callable[..., list[FileDataset]]"
ME = ("-aet", "NORTH_MAIN", "-aec", "READINGROOM")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.dcmtk
@pytest.mark.parametrize("words", [
    ("echoscu", *ME), ("echoscu", "--repeat", "20", *ME), ("echoscu", "--propose-ts", "38", *ME),
    ("echoscu", "--propose-pc", "128", *ME), ("echoscu", "--abort", *ME),
], ids=lambda words: " ".join(words[:3]))  # fmt: skip
async def test_echoscu(world: World, listener: Listener, dcmtk: Dcmtk, words: tuple[str, ...]) -> None:
    assert world.settings
    done = await asyncio.to_thread(dcmtk, words[0], "-v", *words[1:], "127.0.0.1", listener.port)
    assert done.returncode == 0, done.stderr


@pytest.mark.dcmtk
async def test_termscu_ends_nothing(listener: Listener, dcmtk: Dcmtk) -> None:
    """termscu asks dcmtk's receivers to end by a private class; ours takes no such context and goes on."""
    await asyncio.to_thread(dcmtk, "termscu", *ME, "127.0.0.1", listener.port)
    done = await asyncio.to_thread(dcmtk, "echoscu", *ME, "127.0.0.1", listener.port)
    assert done.returncode == 0


@pytest.mark.dcmtk
@pytest.mark.parametrize("program", ["storescu", "dcmsend"])
async def test_a_directory_is_sent(  # noqa: PLR0917
    world: World, listener: Listener, dcmtk: Dcmtk, images: Images, written: Callable[..., Path], program: str
) -> None:
    files = [written(image) for name in ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm") for image in images(name, 2)]
    done = await asyncio.to_thread(dcmtk, program, "-v", *ME, "127.0.0.1", listener.port, *files)
    assert done.returncode == 0, done.stderr
    assert await world.value("SELECT count(*) FROM rr.instance") == len(files)


@pytest.mark.dcmtk
@pytest.mark.parametrize(("model", "level", "unique"), [
    ("-P", "PATIENT", "PatientID"), ("-P", "STUDY", "StudyInstanceUID"), ("-P", "SERIES", "SeriesInstanceUID"),
    ("-P", "IMAGE", "SOPInstanceUID"), ("-S", "STUDY", "StudyInstanceUID"), ("-S", "SERIES", "SeriesInstanceUID"),
    ("-S", "IMAGE", "SOPInstanceUID"),
])  # fmt: skip
async def test_findscu_movescu_and_getscu_at_every_level(  # noqa: PLR0917
    world: World, listener: Listener, dcmtk: Dcmtk, archive: dict[str, str], destination: tuple[int, Path], tmp_path: Path,
    model: str, level: str, unique: str,
) -> None:  # fmt: skip
    port, directory = destination
    await send_to(world, port)
    (row,) = await world.rows("SELECT series_uid, sop_uid FROM rr.instance WHERE study_uid = $1", archive["A2"])
    value, wanted = {
        "PATIENT": ("4711", 4), "STUDY": (archive["A1"], 3), "SERIES": (row["series_uid"], 1), "IMAGE": (row["sop_uid"], 1),
    }[level]  # fmt: skip
    above = [] if level in ("PATIENT", "STUDY") else ["-k", f"StudyInstanceUID={archive['A2']}"]
    keys = ["-k", f"QueryRetrieveLevel={level}", *above, "-k", f"{unique}={value}"]
    found = await asyncio.to_thread(dcmtk, "findscu", "-v", model, *ME, *keys, "127.0.0.1", listener.port)
    assert found.returncode == 0, found.stderr
    assert len(re.findall(r"Find Response: \d+ \(Pending\)", found.stdout + found.stderr)) == 1
    moved = await asyncio.to_thread(
        dcmtk, "movescu", "-v", model, *ME, "-aem", "PACS", *keys, "127.0.0.1", listener.port
    )
    assert moved.returncode == 0, moved.stderr
    assert len([path for path in world.files(directory) if path.name != "port"]) == wanted
    out = tmp_path / "got"
    out.mkdir()
    got = await asyncio.to_thread(dcmtk, "getscu", "-v", model, "-od", out, *ME, *keys, "127.0.0.1", listener.port)
    assert got.returncode == 0, got.stderr
    assert len(world.files(out)) == wanted


class Orthanc:
    """A real Orthanc, told by its REST interface."""

    def __init__(self, http: int, dicom: int) -> None:
        self.url, self.dicom = f"http://127.0.0.1:{http}", dicom

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url}{path}", data, timeout=60) as answer:
            return json.loads(answer.read())


@contextmanager
def running(directory: Path, room: int) -> Iterator[Orthanc]:
    http, dicom = free_port(), free_port()
    directory.mkdir()
    (directory / "orthanc.json").write_text(json.dumps({
        "DicomAet": "NORTH_MAIN", "DicomPort": dicom, "HttpPort": http, "RemoteAccessAllowed": False,
        "StorageDirectory": str(directory), "IndexDirectory": str(directory), "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True, "DicomModalities": {"room": ["READINGROOM", "127.0.0.1", room]},
        "DicomCheckModalityHost": False, "KeepAlive": True, "StableAge": 1,
    }))  # fmt: skip
    with subprocess.Popen(
        [PEERS / "bin" / "Orthanc", directory / "orthanc.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        peer = Orthanc(http, dicom)
        end = time.monotonic() + 60
        while True:
            try:
                peer.ask("/system")
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
        try:
            yield peer
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.dcmtk
async def test_orthanc_stores_finds_moves_gets_and_asks_for_commitment(
    world: World, listener: Listener, images: Images, written: Callable[..., Path], tmp_path: Path
) -> None:
    study = images(count=3)
    with running(tmp_path / "orthanc", listener.port) as peer:
        await world.conn.execute("UPDATE rr.ae SET host = '127.0.0.1', port = $1 WHERE aet = 'NORTH_MAIN'", peer.dicom)
        await asyncio.sleep(0.6)  # the rows are read again within half a second

        def ask(path: str, body: Any = None) -> Any:
            return peer.ask(path, body)

        def upload(path: Path) -> str:
            url = f"{peer.url}/instances"
            with urllib.request.urlopen(url, path.read_bytes(), timeout=60) as answer:
                return str(json.loads(answer.read())["ID"])

        await asyncio.to_thread(ask, "/modalities/room/echo", {})
        ids = [await asyncio.to_thread(upload, written(image)) for image in study]
        sent = await asyncio.to_thread(ask, "/modalities/room/store", {"Resources": ids, "StorageCommitment": True})
        assert sent["FailedInstancesCount"] == 0
        assert await world.value("SELECT count(*) FROM rr.instance") == 3
        transaction = sent["StorageCommitmentTransactionUID"]
        async with asyncio.timeout(60):
            while (report := await asyncio.to_thread(ask, f"/storage-commitment/{transaction}"))["Status"] == "Pending":
                await asyncio.sleep(0.2)
        assert report["Status"] == "Success", report
        uid = str(study[0].StudyInstanceUID)
        query = {"Level": "Study", "Query": {"PatientName": "QUAY*", "StudyInstanceUID": ""}}
        found = await asyncio.to_thread(ask, "/modalities/room/query", query)
        answers = await asyncio.to_thread(ask, f"/queries/{found['ID']}/answers?expand&simplify")
        assert [one["StudyInstanceUID"] for one in answers] == [uid]
        for one in await asyncio.to_thread(ask, "/studies"):
            request = urllib.request.Request(f"{peer.url}/studies/{one}", method="DELETE")
            await asyncio.to_thread(lambda r=request: urllib.request.urlopen(r, timeout=60).close())
        assert await asyncio.to_thread(ask, "/instances") == []
        body = {"Level": "Study", "Resources": [{"StudyInstanceUID": uid}], "TargetAet": "NORTH_MAIN"}
        await asyncio.to_thread(ask, "/modalities/room/move", body)
        assert len(await asyncio.to_thread(ask, "/instances")) == 3


@pytest.mark.dcmtk
async def test_orthanc_takes_what_we_move_to_it(
    world: World, listener: Listener, images: Images, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    study = [*images(count=2), *images("JPEG2000.dcm")]
    study[2].StudyInstanceUID = study[0].StudyInstanceUID
    await stored(listener, study)
    with running(tmp_path / "orthanc", listener.port) as peer:
        await send_to(world, peer.dicom)
        done = await asyncio.to_thread(
            dcmtk, "movescu", "-v", "-S", *ME, "-aem", "PACS", "-k", "QueryRetrieveLevel=STUDY", "-k",
            f"StudyInstanceUID={study[0].StudyInstanceUID}", "127.0.0.1", listener.port,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(await asyncio.to_thread(peer.ask, "/instances")) == 3


@pytest.mark.dcmtk
async def test_dcmtk_and_orthanc_read_the_worklist(
    ordered: World, listener: Listener, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    done = await asyncio.to_thread(
        dcmtk, "findscu", "-v", "-W", *ME, "-k", "AccessionNumber", "127.0.0.1", listener.port
    )
    assert len(re.findall(r"\(Pending\)", done.stdout + done.stderr)) == 2
    assert ordered
    with running(tmp_path / "orthanc", listener.port) as peer:
        found = await asyncio.to_thread(peer.ask, "/modalities/room/find-worklist", {"Query": {"AccessionNumber": ""}})
    assert sorted(one["AccessionNumber"] for one in found) == ["A1", "A2"], found
