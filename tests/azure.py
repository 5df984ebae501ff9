"""A container of Azure's blob storage to test with, in memory."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PEER = Path(os.environ.get("READINGROOM_PEERS", Path(__file__).parents[1] / ".peers")) / "azurite"
_ACCOUNT = "devstoreaccount1"  # every Azurite has it, with this key
_KEY = base64.b64decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
_VERSION, _NAME = "2021-12-02", "images"


@contextmanager
def azure_container(directory: Path) -> Iterator[str]:
    """A container of a real Azurite on this machine, and the settings that lead to it; its URL with a path."""
    if not (PEER / "complete").exists():
        pytest.fail("Azurite is not there: run deploy/fetch_azurite.sh")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = PEER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    flags = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    server = subprocess.Popen(
        ["node", program, *flags, "--blobHost", "127.0.0.1", "--blobPort", str(port)],
        cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _listening(server, port)
        _make(port)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
            patch.setenv("AZURITE_BLOB_STORAGE_URL", f"http://127.0.0.1:{port}")
            yield f"az://{_NAME}/room"
    finally:
        server.terminate()
        server.wait(20)


def _listening(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert server.poll() is None, "Azurite ended"
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def _make(port: int) -> None:
    """Make the container, signed as Azure wants it: obstore makes none."""
    date = formatdate(usegmt=True)
    said = (
        f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:{_VERSION}\n/{_ACCOUNT}/{_ACCOUNT}/{_NAME}\nrestype:container"
    )
    signature = base64.b64encode(hmac.new(_KEY, said.encode(), hashlib.sha256).digest()).decode()
    headers = {"x-ms-date": date, "x-ms-version": _VERSION, "Authorization": f"SharedKey {_ACCOUNT}:{signature}"}
    url = f"http://127.0.0.1:{port}/{_ACCOUNT}/{_NAME}?restype=container"
    urlopen(Request(url, method="PUT", headers=headers)).close()
