"""Servers that ours is measured against, from ``.peers``: started on free ports of this machine, stopped by pid."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS = Path(os.environ.get("READINGROOM_PEERS", Path(__file__).parents[1] / ".peers"))
_UP_S = 30


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def orthanc(directory: Path) -> Iterator[tuple[str, int]]:
    """Run Orthanc with its DICOMweb plugin on a directory; yields its address and its DICOM port.

    Raises:
        FileNotFoundError: Orthanc or its plugin is missing; ``make peers`` fetches both.
        TimeoutError: it does not answer.
    """
    plugin = PEERS / "root/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
    if not plugin.exists():
        raise FileNotFoundError(plugin)
    http, dicom = free_port(), free_port()
    settings = {
        "Name": "PEER", "StorageDirectory": str(directory), "IndexDirectory": str(directory), "Plugins": [str(plugin)],
        "HttpPort": http, "DicomPort": dicom, "DicomAet": "PEER", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
        "KeepAlive": True, "TcpNoDelay": True, "HttpThreadsCount": 50, "OverwriteInstances": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }  # fmt: skip
    config = directory / "orthanc.json"
    config.write_text(json.dumps(settings))
    with (directory / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [PEERS / "bin/Orthanc", config], stdout=log, stderr=log, env=os.environ | {"TCP_NODELAY": "1"}
        )
    try:
        url = f"http://127.0.0.1:{http}"
        _wait(url + "/system", process)
        yield url, dicom
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _UP_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(url, timeout=2):  # noqa: S310 - of this machine
                return
        except OSError:
            time.sleep(0.1)
    msg = f"no answer from {url}"
    raise TimeoutError(msg)
