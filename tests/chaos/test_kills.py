"""`demo --once` with every kind of process killed in the middle: nothing is lost, and the worklist is whole at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from readingroom import orphans
from readingroom.settings import Settings
from tests.cli.stack import ROOT
from tests.conftest import short_directory

if TYPE_CHECKING:
    from pathlib import Path

STORED = "SELECT study_uid FROM rr.dicom_study"
LISTED = "SELECT study_uid FROM rr.study WHERE status <> 'ordered'"
PROCESSES, SERVERS = ("dicom", "shard", "gateway", "inference"), ("valkey", "postgres", "ray")


class Journey:
    """`demo --once --json` as a process of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._log = data / "journey.log"
        command = [sys.executable, "-m", "readingroom.cli.main", "demo", "--once", "--json", "--data", str(data)]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
            )

    def processes(self) -> list[dict[str, Any]]:
        try:
            listed: list[dict[str, Any]] = json.loads((self.data / "run" / "processes.json").read_text())["processes"]
        except FileNotFoundError:
            return []
        return listed

    def of(self, kind: str) -> dict[str, Any]:
        return next(p for p in self.processes() if p["kind"] == kind)

    def wait(self, seen: Any, within_s: float) -> None:
        end = time.monotonic() + within_s
        while not seen():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said() + json.dumps(self.processes())
            time.sleep(0.05)

    def sql(self, statement: str) -> set[str]:
        async def ask() -> set[str]:
            conn = await asyncpg.connect(Settings(data=self.data).admin_dsn)
            try:
                return {record[0] for record in await conn.fetch(statement)}
            finally:
                await conn.close()

        return asyncio.run(ask())

    def said(self) -> str:
        return self._log.read_text()[-3000:]

    def result(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=280)
        assert self.process.returncode == 0, out + self.said()
        told: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return told

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        orphans.sweep(self.data)


@pytest.mark.stack
@pytest.mark.timeout(400)
@pytest.mark.parametrize("killed", [PROCESSES, SERVERS], ids=["processes", "servers"])
def test_killing_every_kind_of_process_in_the_middle_loses_nothing(killed: tuple[str, ...]) -> None:
    with short_directory("rr-kill-") as data:
        journey = Journey(data)
        try:
            journey.wait(lambda: "ready after" in journey.said(), 150)
            journey.wait(lambda: len(journey.sql(STORED)) >= 2, 60)
            assert len(journey.sql(LISTED)) < 14  # in the middle: most of it is still to come
            for kind in killed:
                before = journey.of(kind)
                os.kill(before["pid"], signal.SIGKILL)
                journey.wait(lambda k=kind, b=before: journey.of(k)["pid"] not in {None, b["pid"]}, 60)
                journey.wait(lambda k=kind: journey.of(k)["healthy"], 60)
                stored = journey.sql(STORED)
                journey.wait(lambda s=stored: s <= journey.sql(LISTED), 5 if kind in PROCESSES else 30)
            result = journey.result()
            counted = {p["kind"]: p["restarts"] for p in journey.processes()}
        finally:
            journey.end()
    assert counted == {}  # the run was taken down in good order
    assert (result["lost"], result["cross_tenant_leaks"], result["board_consistent"]) == (0, 0, True)
    assert result["signed"] == result["delivered"] == result["studies_sent"] >= 12
