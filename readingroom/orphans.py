"""Processes of an instance whose supervisor is gone: how they are told from others, and ended."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MARK = "READINGROOM_INSTANCE"  # in the environment of everything that a supervisor starts, Ray's workers included
PART = "READINGROOM_PART"  # which child a process belongs to, where that matters


def born(pid: int | None) -> float | None:
    """Return when a process started, so that a recycled pid is never taken for it; None when it is not there."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def members(data: Path, part: str | None = None) -> list[psutil.Process]:
    """Return every process of the instance of a directory, or of a part of it, except ourselves and our parents."""
    titled = {"postgres": str(data / "postgres"), "valkey-server": str(data / "run")}
    ours = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in ours:
            continue
        with suppress(psutil.Error, OSError):
            # PostgreSQL and Valkey write their titles over their environment, but each works in a directory of its own
            given = process.environ()
            marked = given.get(MARK) == str(data) and part in {None, given.get(PART)}
            if marked or (part in {None, process.name()} and process.cwd() == titled.get(process.name())):
                found[process.pid] = process
                found.update({child.pid: child for child in process.children(recursive=True)})
    return [process for pid, process in found.items() if pid not in ours]


def end(processes: Iterable[psutil.Process], *, grace_s: float = 3.0) -> list[int]:
    """Ask processes to end, kill those that do not, and return the pids that were there."""
    alive = [process for process in processes if process.is_running()]
    for process in alive:
        with suppress(psutil.Error):
            # a fast shutdown to PostgreSQL: SIGTERM would wait for its clients
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, stubborn = psutil.wait_procs(alive, timeout=grace_s)
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace_s)
    return [process.pid for process in alive]


def sweep(data: Path, *, part: str | None = None, grace_s: float = 3.0) -> list[int]:
    """End everything that is left of an instance, or of a part of it, and return the pids."""
    ended = end(members(data, part), grace_s=grace_s)
    return ended + end(members(data, part), grace_s=grace_s) if ended else ended  # Ray may have started one meanwhile
