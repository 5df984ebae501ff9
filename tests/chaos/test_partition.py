"""Two Ray nodes are cut from each other while people work: old owners live on beside new ones, and the journal has one."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.chaos import nodes
from tests.chaos.checker.invariants import violations
from tests.chaos.read import read
from tests.conftest import short_directory

if TYPE_CHECKING:
    from readingroom.settings import Settings

WHY_NOT = nodes.impossible()


@pytest.mark.ray
@pytest.mark.postgres
@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.timeout(400)
async def test_a_partition_between_two_nodes_has_one_owner_at_every_instant(fresh: Settings) -> None:
    with short_directory("rr-cut-") as directory, nodes.wired() as (near, far):
        place = [str(fresh.data), fresh.database, near, far, str(directory)]  # type: ignore[attr-defined]
        done = await asyncio.to_thread(
            subprocess.run,
            ["ip", "netns", "exec", near, sys.executable, "-m", "tests.chaos.partition", *place],
            capture_output=True, text=True, timeout=360, cwd=nodes.ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        told = json.loads(done.stdout.strip().splitlines()[-1])
        attempts, faults = pickle.loads((directory / "people.pickle").read_bytes())
        history = await read(fresh.admin_dsn)
    history.attempts, history.faults = attempts, faults
    history.late_s, history.slack_s, history.stale_s = 5.0, 0.5, 5.0
    wrong = violations(history)
    print(f"partition: {told}, {len(history.entries)} events, {len(wrong)} violations")  # noqa: T201 - what it was worth
    assert wrong == []
    assert told["far_hosts"] == told["lived_on_beside_new_ones"] == 2  # two live copies of every actor
    assert told["left_after"] == 0  # the old copies have ended by themselves
    assert told["silent_s"] < 30
    assert any(e.at > faults[0].at and e.at < faults[0].healed_at for e in history.entries)  # the near side went on
