"""What lives through a partition, in the near namespace: `python -m tests.chaos.partition DATA DATABASE NEAR FAR`.

The head and the people are near, the shard hosts far. The wire is pulled: Ray gives the far node up and starts the
hosts anew on a node that joined near, while the old ones live on with the same database. Then the wire is put back.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import random
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any

from tests.chaos import nodes

os.environ.update(nodes.ENVIRONMENT)

import psutil

from actors.domain import commands as c
from actors.domain.errors import ReadingRoomError
from actors.domain.identity import radiologist_key
from tests.actors.conftest import OnRay
from tests.actors.night import ADA, BOB, at_work
from tests.actors.test_random_night import Chaos
from tests.chaos.checker.history import Attempt, Fault
from tests.conftest import Fresh

if TYPE_CHECKING:
    from actors.domain.identity import Principal
    from tests.actors.night import Night

_AGAIN = frozenset({"retry", "expired", "overloaded"})
_NAMES = {
    c.Accept: "accept", c.NextCase: "next_case", c.StartReading: "start_reading", c.SaveDraft: "save_draft",
    c.Sign: "sign",
}  # fmt: skip
_CUT_S = 35.0


class People(Chaos):
    """People who send what they want until it is answered, each attempt recorded."""

    def __init__(self, night: Night, seed: int) -> None:
        self.night, self.rnd, self.runtimes = night, random.Random(seed), [night.actors]
        self.attempts: list[Attempt] = []
        self.answered_at = monotonic()
        self.silent_s = 0.0

    async def ask(self, key: Any, command: Any, by: Principal | None = None) -> None:
        idem = f"{self.rnd.random()}"
        for _ in range(self.rnd.choice([1, 3, 6])):
            until = time() + self.rnd.choice([1.0, 4.0])
            answer: dict[str, Any] | None = None
            try:
                answer = await self.night.actors.ask(key, c.Envelope(command, by, idem, until))
            except ReadingRoomError as refusal:
                answer = {"error": refusal.code}
            if answer.get("error") not in _AGAIN:
                self.silent_s = max(self.silent_s, monotonic() - self.answered_at)
                self.answered_at = monotonic()
            name = _NAMES.get(type(command), type(command).__name__)
            uid = key.name if key.kind == "study" else ""
            at = datetime.fromtimestamp(until, UTC)
            self.attempts.append(Attempt("t", by.user_id if by else "", name, idem, uid, at, answer))
            if answer.get("error") not in _AGAIN:
                return

    async def live(self, for_s: float) -> None:
        """Let people do things for so long."""
        end = monotonic() + for_s
        while monotonic() < end:
            await asyncio.gather(*(self.act(self.rnd.randrange(10)) for _ in range(3)))
            await asyncio.sleep(0.1)


def _hosts(*namespaces: str) -> set[int]:
    """Return the processes of shard hosts in these namespaces."""
    ours = {Path(f"/run/netns/{name}").stat().st_ino for name in namespaces}
    found: set[int] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if "HostActor" in " ".join(process.cmdline()) and Path(f"/proc/{process.pid}/ns/net").stat().st_ino in ours:
                found.add(process.pid)
    return found


async def _until(seen: Any, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not seen():
            await asyncio.sleep(0.1)


async def live(data: Path, database: str, near: str, far: str, directory: Path) -> dict[str, Any]:
    """Live it; return what happened."""
    settings = Fresh(data=data, database=database, shard_hosts=2)
    port = nodes.free_port()
    address, temp = f"{nodes.NEAR}:{port}", f"--temp-dir={directory / 'r'}"
    join = [f"--address={address}"]
    head = [f"--port={port}", "--include-dashboard=false", temp]
    nodes.node(near, directory, "--head", f"--node-ip-address={nodes.NEAR}", *head, shard=0)
    settings.ray_address = address
    await _until(lambda: _listens(address), 60)
    nodes.node(far, directory, *join, f"--node-ip-address={nodes.FAR}", shard=100)
    runtime = OnRay(settings)
    await asyncio.to_thread(_wait_for_shards, settings)
    async with at_work(settings, runtime) as night:
        people = People(night, 1)
        body = {"capacity": 3, "offer_open_s": dict.fromkeys(("STAT", "URGENT", "ROUTINE"), 3.0)}
        await night.admin.execute("INSERT INTO rr.policy VALUES ('t', 1, $1)", json.dumps(body))
        await night.online(ADA, BOB)
        await people.live(6)
        before = _hosts(far)
        cut_at = datetime.now(UTC)
        nodes.cut(far, off=True)
        nodes.node(near, directory, *join, f"--node-ip-address={nodes.NEAR}", shard=100)
        people.silent_s, people.answered_at = 0.0, monotonic()
        living = asyncio.create_task(people.live(_CUT_S))
        most = 0
        while not living.done():
            if _hosts(near):
                most = max(most, len(_hosts(far) & before))
            await asyncio.sleep(0.5)
        await living
        silent_s = max(people.silent_s, monotonic() - people.answered_at)
        nodes.cut(far, off=False)
        healed_at = datetime.now(UTC)
        await people.live(8)
        await asyncio.sleep(6)  # offers expire, tells are told again
        for who in (ADA, BOB):
            await night.ask(radiologist_key("t", who.user_id), c.SetPresence("busy"), who)
        await asyncio.sleep(4)
        with suppress(TimeoutError):  # how many are left is the test's to judge
            await _until(lambda: not _hosts(far) & before, 20)
        left = _hosts(far) & before
        fault = Fault("partition", cut_at, healed_at)
        (directory / "people.pickle").write_bytes(pickle.dumps((people.attempts, [fault])))
    return {
        "far_hosts": len(before), "lived_on_beside_new_ones": most,
        "silent_s": round(silent_s, 1), "attempts": len(people.attempts), "left_after": len(left),
    }  # fmt: skip


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def _wait_for_shards(settings: Fresh) -> None:
    from actors import system  # noqa: PLC0415

    system.connect(settings)
    end = monotonic() + 60
    while monotonic() < end and not system.ray.cluster_resources().get("shard"):
        sleep(0.2)
    system.ray.shutdown()


if __name__ == "__main__":
    data, database, near, far, directory = sys.argv[1:]
    result = asyncio.run(live(Path(data), database, near, far, Path(directory)))
    print(json.dumps(result), flush=True)  # noqa: T201 - read by the test
    os._exit(0)  # Ray's threads would wait for nodes that are being ended
