"""The main job as a user starts it: `readingroom demo --once --json`, on real input, on the whole stack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from readingroom.demo.world import groups
from tests.conftest import short_directory

ROOT = Path(__file__).parents[2]
KEYS = {
    "stack_up_s", "studies_sent", "instances_stored", "stat_offer_ms", "triaged", "offered", "accepted", "signed",
    "delivered", "board_consistent", "lost", "cross_tenant_leaks",
}  # fmt: skip


def begin(data: Path) -> subprocess.Popen[str]:
    """Start the journey as a process of its own."""
    command = [sys.executable, "-m", "readingroom.cli.main", "demo", "--once", "--json", "--data", str(data)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    log = (data / "journey.log").open("w")
    with log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=data, env=environment)


def end(journey: subprocess.Popen[str], data: Path) -> dict[str, Any]:
    """Return what its last line says; it must have ended well."""
    out, _ = journey.communicate(timeout=280)
    assert journey.returncode == 0, out[-2000:] + (data / "journey.log").read_text()[-3000:]
    result: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return result


@pytest.mark.stack
def test_a_stat_head_ct_is_offered_read_signed_and_delivered() -> None:
    with short_directory("rr-flow-") as data:
        result = end(begin(data), data)
    assert set(result) == KEYS
    assert result["studies_sent"] == result["signed"] == result["delivered"] >= 12
    assert result["stat_offer_ms"]["n"] >= 10
    assert (result["lost"], result["cross_tenant_leaks"], result["board_consistent"]) == (0, 0, True)


@pytest.mark.stack
def test_killing_every_kind_of_process_in_the_middle_loses_nothing() -> None:
    with short_directory("rr-kill-") as data:
        journey = begin(data)
        state = data / "run" / "processes.json"
        until = time.monotonic() + 90
        while not (state.exists() and (data / "objects").exists() and any((data / "objects").rglob("*.dcm"))):
            assert journey.poll() is None, (data / "journey.log").read_text()[-3000:]
            assert time.monotonic() < until
            time.sleep(0.2)
        for kind in ("shard", "gateway", "inference", "dicom"):
            listed = json.loads(state.read_text())["processes"]
            victim = next(p["pid"] for p in listed if p["kind"] == kind and p["pid"])
            os.kill(victim, signal.SIGKILL)
            time.sleep(1.5)
        result = end(journey, data)
    assert (result["lost"], result["cross_tenant_leaks"], result["board_consistent"]) == (0, 0, True)
    assert result["signed"] == result["studies_sent"]


def test_the_two_groups_of_the_demo_share_nothing() -> None:
    one, other = groups()
    assert not {h.aet for h in one.hospitals} & {h.aet for h in other.hospitals}
