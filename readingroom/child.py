"""A child process of the supervisor: started, probed, restarted with back-off, stopped with its whole group."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess  # noqa: TC003 - a dataclass field
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from readingroom import orphans
from readingroom.embedded import CannotStart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_STEADY_S = 30.0  # one that lived so long starts with the shortest pause again
_WATCH_S, _PROBE_TIMEOUT_S = 0.1, 3.0


@dataclass
class Child:
    """One process, whichever run of it is alive.

    Args:
        name: unique within the instance; its log is ``logs/NAME.log``.
        kind: as in ``admin status``.
        start: starts it in a process group of its own.
        probe: whether it serves.
        stop_signal: what ends it in good order.
        patience_s: how long it may fail its probe before it is killed and started again.
        startup_s: the same, until it served for the first time.
        probe_s: how often a healthy one is asked.
    """

    name: str
    kind: str
    start: Callable[[], subprocess.Popen[bytes]]
    probe: Callable[[], Awaitable[bool]]
    changed: Callable[[], None]
    stop_signal: signal.Signals = signal.SIGTERM
    patience_s: float = 10.0
    startup_s: float = 90.0
    probe_s: float = 1.0
    restarts: int = 0
    healthy: bool = False
    extra: Callable[[], dict[str, Any]] = dict
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _process: subprocess.Popen[bytes] | None = None
    _stopping: bool = False
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def pid(self) -> int | None:
        """The process to signal, while there is one."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def entry(self) -> dict[str, Any]:
        """Return its line in ``run/processes.json``."""
        pid = self.pid
        line = {"name": self.name, "kind": self.kind, "pid": pid, "born": orphans.born(pid)}
        return line | self.extra() | {"restarts": self.restarts, "healthy": self.healthy}

    async def run(self) -> None:
        """Keep it alive until :meth:`stop`."""
        pause_s = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            try:
                async with self._starting:
                    self._process = await asyncio.to_thread(self.start)
            except (CannotStart, OSError) as exc:
                log.error("child_not_started", child=self.name, reason=str(exc))  # noqa: TRY400
            else:
                log.info("child_started", child=self.name, pid=self._process.pid)
                code = await self._watch(self._process)
                log.info("child_ended", child=self.name, pid=self._process.pid, code=code)
                self._end_group(signal.SIGKILL)  # what it left in its group
            self.healthy = False
            self.changed()
            if self._stopping:
                return
            if loop.time() - began > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self.restarts += 1

    async def _watch(self, process: subprocess.Popen[bytes]) -> int:
        """Probe it until it ends, and return its exit code."""
        loop = asyncio.get_running_loop()
        served, next_probe, first = loop.time(), 0.0, True
        self.changed()
        while (code := process.poll()) is None:
            if loop.time() >= next_probe and not self._stopping:
                healthy = await self._probed()
                now = loop.time()
                next_probe = now + (self.probe_s if healthy else _WATCH_S)
                if healthy != self.healthy:
                    self.healthy = healthy
                    self.changed()
                if healthy:
                    served, first = now, False
                    self.ready.set()
                elif now - served > (self.startup_s if first else self.patience_s) and not self._stopping:
                    log.error("child_not_serving", child=self.name, pid=process.pid)
                    self._end_group(signal.SIGKILL)
            await asyncio.sleep(_WATCH_S)
        return code

    async def _probed(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                return await self.probe()
        except Exception:  # noqa: BLE001 - whatever a probe meets means: not serving
            return False

    def _end_group(self, how: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, how)

    def kill(self) -> None:
        """Kill it and its group now; it comes back unless it was stopped."""
        self._end_group(signal.SIGKILL)

    async def stop(self, *, grace_s: float) -> None:
        """End it: politely, then by force."""
        self._stopping = True
        async with self._starting:
            process = self._process
        if process is None or process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(self.stop_signal)
        end = asyncio.get_running_loop().time() + grace_s
        while process.poll() is None and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self._end_group(signal.SIGKILL)
        while process.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
