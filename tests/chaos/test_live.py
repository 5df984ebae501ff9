"""A whole stack at work while its processes are killed and frozen at random: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from readingroom import orphans
from readingroom.demo.instance import Instance
from readingroom.demo.world import groups, people
from readingroom.settings import Settings
from tests.chaos.checker.invariants import violations
from tests.chaos.crowd import Crowd
from tests.chaos.faults import FROZEN, KILLED, Chaos
from tests.chaos.read import read
from tests.chaos.tape import Tape
from tests.cli.stack import ROOT
from tests.conftest import short_directory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.checker.history import History

SECONDS = float(os.environ.get("CHAOS_SECONDS", "180"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
_STACK = {"READINGROOM_GATEWAYS": "2", "READINGROOM_SHARD_HOSTS": "2", "READINGROOM_INFERENCE_WORKERS": "1"}
_READ_WITHIN_S = 60.0


async def audited(data: Path) -> None:
    """Let the server verify its own chain, as an operator would."""
    command = [sys.executable, "-m", "readingroom.cli.main", "admin", "audit", "verify", "--data", str(data)]
    verify = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    said, _ = await verify.communicate()
    assert verify.returncode == 0, said.decode()


async def lived(data: Path, seed: int, for_s: float) -> tuple[History, Chaos, list[Crowd], bool]:
    """Live it: return what was recorded, what was done to the stack, who was there, and whether boards agreed."""
    rnd, tape = random.Random(seed), Tape()
    instance, world = Instance(data), groups()
    with patch.dict(os.environ, _STACK):
        await instance.start()
    try:
        await people(Settings(data=data), world)
        crowds = [Crowd(instance, group, tape, random.Random(f"{seed}/{group.short}")) for group in world]
        chaos = Chaos(data, tape, rnd)
        for crowd in crowds:
            await crowd.come()
        await chaos.run(for_s)
        await asyncio.gather(*(crowd.finish(_READ_WITHIN_S) for crowd in crowds))
        failed = [what for crowd in crowds for what in crowd.failed]
        assert failed == []
        agreed = all([await crowd.board.compare() for crowd in crowds])
        for crowd in crowds:
            await crowd.go()
        history = tape.onto(await read(Settings(data=data).admin_dsn))
        await audited(data)
    finally:
        await instance.stop()
        orphans.sweep(data)
    return history, chaos, crowds, agreed


@pytest.mark.stack
@pytest.mark.filterwarnings(  # pynetdicom forgets to close a socket that was refused
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.timeout(SECONDS * 2 + 600)
def test_nothing_is_lost_and_nothing_happens_twice_whatever_is_killed_or_frozen() -> None:
    print(f"chaos: seed {SEED}, {SECONDS:.0f} s; again by CHAOS_SEED={SEED}", flush=True)  # noqa: T201 - how to repeat it
    with short_directory("rr-chaos-") as data:
        history, chaos, crowds, agreed = asyncio.run(lived(data, SEED, SECONDS))
    told = violations(history)
    counted = {
        "faults": len(history.faults), "studies": len(history.rows), "events": len(history.entries),
        "images stored": len(history.stored), "commands": len(history.attempts), "heard": len(history.heard),
        "events a minute": list(Counter(f"{e.at:%H:%M}" for e in sorted(history.entries, key=lambda e: e.at)).values()),
        "breaches": sum(e.type == "SlaBreached" for e in history.entries), "violations": len(told),
    }  # fmt: skip
    counted["left"] = [Counter(row["status"] for row in crowd.manager.rows.values()) for crowd in crowds]
    counted["sent"] = [len(crowd.sent) for crowd in crowds]
    print(f"chaos: {json.dumps(counted)}; {', '.join(chaos.done)}")  # noqa: T201 - what the run was worth
    assert told == [], "\n".join(told[:20])
    assert agreed
    assert sum(len(crowd.sent) for crowd in crowds) >= SECONDS / 10
    assert {e.type for e in history.entries} >= {"Offered", "Accepted", "FinalSigned", "SlaBreached", "Assigned"}
    if SECONDS >= 120:
        assert {kind for kind in KILLED if any(kind in what.kind for what in history.faults)} == set(KILLED)
        assert {kind for kind in FROZEN if any(f.kind == f"{kind} frozen" for f in history.faults)} == set(FROZEN)
