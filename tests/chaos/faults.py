"""Kills and freezes processes of a running stack at random, and notes when each served again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.chaos.checker.history import Fault
from tests.chaos.tape import now

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.chaos.tape import Tape

KILLED = ("shard", "shard", "shard", "gateway", "gateway", "gateway", "dicom", "dicom", "inference", "inference",
          "valkey", "valkey", "postgres", "ray")  # fmt: skip
FROZEN = ("shard", "gateway")
FROZEN_S = 20.0
_HEALS_S = 90.0  # on a busy machine; design bounds are held by tests of their own


class NotHealed(AssertionError):
    """Something that was killed does not serve again."""


class Chaos:
    """Whoever mistreats the stack in ``data``."""

    def __init__(self, data: Path, tape: Tape, rnd: random.Random) -> None:
        self._data, self._tape, self._rnd = data, tape, rnd
        self._healing: list[asyncio.Task[None]] = []
        self._down: set[str] = set()  # names
        self.done: list[str] = []

    def processes(self) -> list[dict[str, Any]]:
        """Return what the supervisor says of its processes."""
        with suppress(FileNotFoundError, json.JSONDecodeError):
            listed: list[dict[str, Any]] = json.loads((self._data / "run" / "processes.json").read_text())["processes"]
            return listed
        return []

    async def run(self, for_s: float) -> None:
        """Kill one after the other for so long, freeze one of each kind in between, and wait until all serve."""
        loop = asyncio.get_running_loop()
        end = loop.time() + for_s
        freezing = [asyncio.create_task(self._freeze_at(self._rnd.uniform(0.1, 0.7) * for_s, kind)) for kind in FROZEN]
        bag: list[str] = []
        while loop.time() < end:
            bag = bag or self._rnd.sample(KILLED, len(KILLED))
            self._kill(bag.pop())
            await asyncio.sleep(self._rnd.uniform(1.0, 7.0))
        await asyncio.gather(*freezing)
        await asyncio.gather(*self._healing)

    def _choose(self, kind: str) -> dict[str, Any] | None:
        alive = [p for p in self.processes() if p["kind"] == kind and p["pid"] and p["name"] not in self._down]
        return self._rnd.choice(alive) if alive else None

    def _kill(self, kind: str) -> None:
        chosen = self._choose(kind)
        if chosen is None:
            return  # it is being restarted
        with suppress(ProcessLookupError):
            os.kill(chosen["pid"], signal.SIGKILL)
            self._note(f"{kind} killed", chosen)

    async def _freeze_at(self, wait_s: float, kind: str) -> None:
        await asyncio.sleep(wait_s)
        while (chosen := self._choose(kind)) is None or not chosen["healthy"]:
            await asyncio.sleep(0.2)
        at, pid = now(), chosen["pid"]
        self._down.add(chosen["name"])
        self.done.append(f"{chosen['name']} frozen")
        try:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(FROZEN_S)
        finally:
            with suppress(ProcessLookupError):  # the supervisor may have lost its patience
                os.kill(pid, signal.SIGCONT)
        await self._healed(f"{kind} frozen", chosen, at, same=True)

    def _note(self, what: str, chosen: dict[str, Any]) -> None:
        self._down.add(chosen["name"])
        self.done.append(f"{chosen['name']} killed")
        self._healing.append(asyncio.create_task(self._healed(what, chosen, now(), same=False)))

    async def _healed(self, what: str, chosen: dict[str, Any], at: Any, *, same: bool) -> None:
        """Wait until it, or who took its place, serves; with Ray's head its children have to be there again too."""
        gone = {} if same else {chosen["name"]: chosen["pid"]}
        if chosen["kind"] == "ray":
            gone |= {p["name"]: p["pid"] for p in self.processes() if p["kind"] == "shard"}
        wanted = gone or {chosen["name"]: None}
        try:
            async with asyncio.timeout(_HEALS_S):
                while not self._serve(wanted):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise NotHealed(f"{chosen['name']}, {what} at {at}, does not serve: {self.processes()}") from None
        finally:
            self._tape.faults.append(Fault(what, at, now()))
            self._down.discard(chosen["name"])

    def _serve(self, wanted: dict[str, int | None]) -> bool:
        found = {p["name"]: p for p in self.processes()}
        lines = [(found.get(name), was) for name, was in wanted.items()]
        return all(line and line["pid"] not in {None, was} and line["healthy"] for line, was in lines)
