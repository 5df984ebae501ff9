"""An instance as a user starts it, for tests: `readingroom up` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from readingroom import orphans

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
READY_S = 120.0


class Stack:
    """One run of `readingroom up`."""

    def __init__(self, data: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.data = data
        self._environment = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})
        self.log = data.with_name(f"{data.name}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command("up", "--attached", "--port", "0", "--dicom-port", "0", *flags),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment, cwd="/",
            )  # fmt: skip

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "readingroom.cli.main", *words, "--data", str(self.data)]

    def ready(self) -> tuple[str, str]:
        """Return `http://HOST:PORT` and `HOST:PORT`, from the line that says so."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://"), f"{line!r}\n{self.log.read_text()[-3000:]}"
        _, http, word, dicom = line.split()
        assert word == "dicom"
        return http, dicom

    def run(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run another command on the same directory."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=timeout, env=self._environment, check=False
        )

    def status(self) -> dict[str, Any]:
        done = self.run("admin", "status", "--json")
        assert done.returncode == 0, done.stderr
        shown: dict[str, Any] = json.loads(done.stdout)
        return shown

    def wait_for(self, kind: str, *, restarts: int, within_s: float = 60) -> dict[str, Any]:
        """Return the line of a process of that kind once it was restarted so often and serves."""
        end = time.monotonic() + within_s
        while True:
            line: dict[str, Any] = next(p for p in self.status()["processes"] if p["kind"] == kind)
            if line["restarts"] >= restarts and line["healthy"]:
                return line
            assert time.monotonic() < end, line
            time.sleep(0.3)

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - began

    def kill(self) -> None:
        """Kill the supervisor alone."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        orphans.sweep(self.data)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.log.unlink(missing_ok=True)


@contextmanager
def stack(data: Path, *flags: str, environment: dict[str, str] | None = None) -> Iterator[Stack]:
    """A run that is ended at the end."""
    run = Stack(data, *flags, environment=environment)
    try:
        yield run
    finally:
        run.end()
