"""A whole stack of one's own for the demo: started and stopped as a user would."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from readingroom import ray_head

if TYPE_CHECKING:
    from pathlib import Path

_READY_S, _STOP_S = 120.0, 15.0


class NotStarted(Exception):
    """The stack ended or was not ready in time; the message says why."""


class Instance:
    """``readingroom up`` on a directory, in a process of its own that ends when we do."""

    def __init__(self, data: Path, port: int = 0, dicom_port: int = 0) -> None:
        self.data = data
        self._ports = (port, dicom_port)
        self._process: asyncio.subprocess.Process | None = None
        self.url, self.dicom = "", ("127.0.0.1", 0)

    async def start(self) -> None:
        """Return once it says that it is ready.

        Raises:
            NotStarted: it did not.
        """
        command = [sys.executable, "-m", "readingroom.cli.main", "up", "--attached", "--data", str(self.data)]
        command += ["--port", str(self._ports[0]), "--dicom-port", str(self._ports[1])]
        said = self.data / "up.log"
        with said.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=os.environ | {"PYTHONPATH": ray_head.python_path()},
                process_group=0,  # Ctrl-C in a terminal is for us, and we pass it on
            )  # fmt: skip
        try:
            async with asyncio.timeout(_READY_S):
                await self._ready(self._process)
        except TimeoutError:
            raise NotStarted(f"The stack was not ready within {_READY_S:.0f} s: see {self.data}/logs") from None
        if not self.url:
            raise NotStarted(f"The stack did not start. {_last_words(said)}")

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for by start
        while line := (await process.stdout.readline()).decode():
            if line.startswith("ready "):
                _, self.url, _, dicom = line.split()
                host, _, port = dicom.rpartition(":")
                self.dicom = (host, int(port))
                return

    async def wait(self) -> None:
        """Return when it has ended."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """Stop it, as Ctrl-C would."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _last_words(log: Path) -> str:
    """Return the last line that was meant for a person."""
    lines = [line for line in log.read_text().splitlines() if line and not line.startswith("{")]
    return lines[-1] if lines else f"See {log.parent}/logs."
