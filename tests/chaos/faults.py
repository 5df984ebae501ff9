"""Kills and freezes processes of a running stack at random, and notes when each served again."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from tests.chaos.checker.history import Fault
from tests.chaos.tape import now

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.chaos.tape import Tape

KILLED = ("shard", "shard", "shard", "gateway", "gateway", "gateway", "dicom", "dicom", "inference", "inference",
          "valkey", "valkey", "postgres", "backend", "ray")  # fmt: skip
FROZEN = ("shard", "gateway", "inference", "dicom", "valkey", "postgres", "backend", "ray")
FROZEN_S = 20.0
_PART_OF = {"backend": "postgres"}  # a session's process: the postmaster's child, which no supervisor watches
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
        freezing = [asyncio.create_task(self._freeze_at(at_s, kind)) for kind, at_s in self._when(for_s).items()]
        bag: list[str] = []
        while loop.time() < end:
            bag = bag or self._rnd.sample(KILLED, len(KILLED))
            self._kill(bag.pop())
            await asyncio.sleep(self._rnd.uniform(1.0, 7.0))
        await asyncio.gather(*freezing)
        await asyncio.gather(*self._healing)

    def _when(self, for_s: float) -> dict[str, float]:
        """Return when each kind is frozen: one soon after the other, so that two or so are frozen at the same time."""
        each_s = 0.8 * for_s / len(FROZEN)
        order = self._rnd.sample(FROZEN, len(FROZEN))
        return {kind: (n + self._rnd.random()) * each_s for n, kind in enumerate(order)}

    def _choose(self, kind: str) -> dict[str, Any] | None:
        kind = _PART_OF.get(kind, kind)
        alive = [p for p in self.processes() if p["kind"] == kind and p["pid"] and p["name"] not in self._down]
        return self._rnd.choice(alive) if alive else None

    def _kill(self, kind: str) -> None:
        chosen = self._choose(kind)
        if chosen is None:
            return  # it is being restarted
        with suppress(psutil.NoSuchProcess):
            hit = self._sessions(chosen["pid"])[:1] if kind == "backend" else [psutil.Process(chosen["pid"])]
            for process in hit:
                process.kill()
                self._note(f"{kind} killed", chosen, same=kind == "backend")

    async def _freeze_at(self, wait_s: float, kind: str) -> None:
        await asyncio.sleep(wait_s)
        while (chosen := self._choose(kind)) is None or not chosen["healthy"]:
            await asyncio.sleep(0.2)
        at = now()
        self._down.add(chosen["name"])
        stopped = self._tree(kind, chosen["pid"])
        self.done.append(f"{chosen['name']} frozen ({len(stopped)} processes)")
        try:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            await asyncio.sleep(FROZEN_S)
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):  # the supervisor may have lost its patience
                    process.resume()
        await self._healed(f"{kind} frozen", chosen, at, same=True)

    def _tree(self, kind: str, pid: int) -> list[psutil.Process]:
        """Return what freezes together: a process, a session of the database, or all of PostgreSQL or of Ray's head."""
        with suppress(psutil.NoSuchProcess):
            if kind == "backend":
                return self._sessions(pid)[:1]
            process = psutil.Process(pid)
            parts = process.children(recursive=True) if kind in {"postgres", "ray"} else []
            if kind == "ray":  # its workers are shard hosts and inference workers: frozen on their own
                parts = [part for part in parts if not _titled(part).startswith("ray::")]
            return [process, *parts]
        return []

    def _sessions(self, postmaster: int) -> list[psutil.Process]:
        """Return the processes of open sessions, in a random order."""
        children = psutil.Process(postmaster).children()
        found = [child for child in children if " [local]" in _titled(child)]
        return self._rnd.sample(found, len(found))

    def _note(self, what: str, chosen: dict[str, Any], *, same: bool) -> None:
        self._down.add(chosen["name"])
        self.done.append(f"{chosen['name']}, {what}")
        self._healing.append(asyncio.create_task(self._healed(what, chosen, now(), same=same)))

    async def _healed(self, what: str, chosen: dict[str, Any], at: Any, *, same: bool) -> None:
        """Wait until it, or who took its place, serves; with Ray's head its children have to be there again too."""
        theirs = [p for p in self.processes() if p["kind"] == "shard"] if chosen["kind"] == "ray" else []
        wanted = {p["name"]: None if same else p["pid"] for p in [chosen, *theirs]}  # whom it may not be any more
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


def _titled(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
