"""A whole instance of its own with a small world, for what is seen in a browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from readingroom.demo.phantom import head_ct
from tests.conftest import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "gateway" / "viewer" / "dist"
PASSWORD = "correct horse battery staple"
READER, TWICE, MANAGER = "mira@night.example", "twice@night.example", "kim@night.example"
AET = "HARBOR_CT"


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class Room:
    """A running instance: where it is, and how to act on it."""

    data: Path
    base: str
    dicom_port: int
    token: str = ""

    def command(self, *args: str) -> str:
        """Run ``readingroom`` against it and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "readingroom.cli.main", *args],
            cwd=ROOT,
            env=os.environ | {"READINGROOM_DATA": str(self.data)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def order(self, **fields: Any) -> dict[str, Any]:
        """Place an order as the manager and return its row."""
        return self._ask("POST", "/api/orders", fields)

    def cancel(self, accession_number: str) -> None:
        """Cancel an order as the manager."""
        self._ask("POST", f"/api/orders/{accession_number}/cancel", {"site": "harbor-st-aldous", "reason": "test"})

    def policy(self, **fields: Any) -> None:
        """Set the group's policy as the manager."""
        self._ask("PUT", "/api/policy", fields)

    def _ask(self, method: str, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = Request(self.base + path, json.dumps(fields).encode(), head, method=method)
        with urlopen(request, timeout=10) as answer:
            said: dict[str, Any] = json.load(answer)
        return said

    def head_ct(self, name: str, order: dict[str, Any], slices: int = 28) -> list[str]:
        """Write the head CT of an order to files and return their names, in order."""
        directory = self.data / "sent" / name
        directory.mkdir(parents=True)
        told = {
            "accession_number": order["accession_number"],
            "study_uid": order["study_uid"],
            "procedure": order["procedure"],
            "priority": order["priority"],
        }
        names = []
        for number, dataset in enumerate(head_ct(7, bleed=True, patient=order["patient"], order=told, slices=slices)):
            path = directory / f"{number:02d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            names.append(str(path))
        return names

    def storescu(self, files: list[str]) -> list[str]:
        """Return the command by which the modality sends files."""
        tool = ROOT / ".peers" / "bin" / "storescu"
        called = str(tool) if tool.exists() else shutil.which("storescu")
        assert called, "storescu is missing: run `make peers`"
        return [called, "-aet", AET, "-aec", "READINGROOM", "127.0.0.1", str(self.dicom_port), *files]


@pytest.fixture(scope="session")
def room() -> Iterator[Room]:
    """An instance with two groups, a hospital, a radiologist, a manager, and one who belongs to both groups."""
    assert (BUILT / "host" / "index.html").exists(), "the viewer is not built: run `make setup`"
    assert (BUILT / "rr-ext" / "reading-room.mjs").exists(), "our modules are not built: run `make setup`"
    with short_directory("rr-web-") as data:
        here = Room(data, f"http://127.0.0.1:{_free_port()}", _free_port())
        ports = ["--port", here.base.rpartition(":")[2], "--dicom-port", str(here.dicom_port)]
        log = (data / "up.log").open("w+")
        up = subprocess.Popen(
            [sys.executable, "-m", "readingroom.cli.main", "up", "--data", str(data), *ports],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until = time.monotonic() + 90
            while "\nready http" not in "\n" + (data / "up.log").read_text():
                assert up.poll() is None, (data / "up.log").read_text()[-3000:]
                assert time.monotonic() < until, (data / "up.log").read_text()[-3000:]
                time.sleep(0.2)
            _populate(here)
            yield here
        finally:
            up.send_signal(signal.SIGTERM)
            try:
                up.wait(20)
            except subprocess.TimeoutExpired:
                up.kill()
                up.wait()
            log.close()


def _populate(here: Room) -> None:
    here.command("admin", "tenant", "add", "Night Readers")
    here.command("admin", "tenant", "add", "Day Readers")
    here.command("admin", "site", "add", "--tenant", "night-readers", "Harbor St. Aldous")
    people = [
        ("radiologist", READER, "Mira Quillfeather", "night-readers"),
        ("manager", MANAGER, "Kim Manager", "night-readers"),
    ]
    people += [("radiologist", TWICE, "Bea Fixture", group) for group in ("night-readers", "day-readers")]
    for role, email, name, group in people:
        args = ("--tenant", group, "--role", role, "--email", email, "--name", name, "--password", PASSWORD)
        here.command("admin", "user", "add", *args)
    ae = (
        "--tenant",
        "night-readers",
        "--site",
        "harbor-st-aldous",
        "--aet",
        AET,
        "--host",
        "127.0.0.1",
        "--port",
        "104",
    )
    here.command("admin", "ae", "add", *ae)
    here.token = here.command("admin", "token", "--user", MANAGER)


def act(script: str, **given: Any) -> dict[str, Any]:
    """Run a browser script with what it is given and return its last line."""
    done = subprocess.run(
        ["node", str(Path(__file__).with_name(script)), json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, (done.stdout[-2000:] + done.stderr)[-5000:]
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
