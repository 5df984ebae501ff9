"""Shard hosts and inference workers: Ray's children, known to the supervisor by their pid files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from readingroom import orphans

if TYPE_CHECKING:
    from pathlib import Path


class RayChildren:
    """What ``run/shard-host-I.pid`` and ``run/inference-I.pid`` said so far; a changed pid is a restart."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._pids: dict[str, int] = {}
        self._restarts: dict[str, int] = {}

    def entries(self, *, healthy: bool) -> list[dict[str, Any]]:
        """Return their lines in ``run/processes.json``; ``healthy`` is what the keeper says of those that live."""
        lines = []
        for kind, pattern in (("shard", "shard-host-*.pid"), ("inference", "inference-*.pid")):
            for path in sorted(self._run.glob(pattern)):
                try:
                    pid = int(path.read_text().split()[0])
                except (OSError, ValueError, IndexError):
                    continue
                name = path.stem
                restarts = self._restarts.get(name, 0) + (self._pids.get(name, pid) != pid)
                self._pids[name], self._restarts[name] = pid, restarts
                since = orphans.born(pid)
                line = {"name": name, "kind": kind, "pid": pid if since else None, "born": since}
                lines.append(line | {"restarts": restarts, "healthy": healthy and since is not None})
        return lines
