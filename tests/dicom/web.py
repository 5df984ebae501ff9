"""A whole gateway on a socket for DICOMweb clients of others, and Orthanc as one of them."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from dicomweb_client import DICOMwebClient

from tests.dicom.conftest import PEERS, placed
from tests.gateway import rest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from readingroom.settings import Settings


@pytest.fixture
async def gateway(fresh: Settings, tmp_path: Path) -> AsyncIterator[rest.World]:
    """The application as it is served, with images of its own; nobody here asks an entity."""
    async with rest.world(placed(fresh, tmp_path / "objects"), None) as made:
        yield made


def client(gateway: rest.World, who: str = "amy") -> DICOMwebClient:
    """Return the Python client, logged in."""
    bearer = {"Authorization": f"Bearer {gateway.tokens[who]}"}
    made = DICOMwebClient(f"{gateway.url}/dicom-web", headers=bearer)
    made.set_http_retry_params(retry=False)
    return made


class Orthanc:
    """A real Orthanc with its DICOMweb plugin, told by its REST interface."""

    def __init__(self, http: int) -> None:
        self.url = f"http://127.0.0.1:{http}"

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Return what it answers, as bytes when that is no JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = answer.read()
        return json.loads(said) if said[:1] in (b"{", b"[") else said


@contextmanager
def orthanc(directory: Path, http: int, room: str, token: str) -> Iterator[Orthanc]:
    """Run Orthanc with us as its server ``room``."""
    plugin = PEERS / "root/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
    if not plugin.exists():
        pytest.fail("Orthanc's DICOMweb plugin is not there: run deploy/fetch_peers.sh")
    directory.mkdir()
    (directory / "orthanc.json").write_text(json.dumps({
        "HttpPort": http, "DicomServerEnabled": False, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "StorageDirectory": str(directory), "IndexDirectory": str(directory), "Plugins": [str(plugin)], "KeepAlive": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full",
                     "Servers": {"room": {"Url": f"{room}/dicom-web/", "HttpHeaders": {"Authorization": f"Bearer {token}"},
                                          "HasWadoRsUniversalTransferSyntax": True}}},
    }))  # fmt: skip
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([PEERS / "bin" / "Orthanc", directory / "orthanc.json"], stdout=log, stderr=log)
    peer, end = Orthanc(http), time.monotonic() + 60
    try:
        while True:
            try:
                peer.ask("/system")
                break
            except OSError:
                assert process.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
        yield peer
    finally:
        process.terminate()
        process.wait(20)
