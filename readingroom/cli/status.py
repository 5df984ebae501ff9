"""``readingroom admin status``: what runs, whether it serves, what waits. Answers with parts of it dead, too."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from readingroom import __version__, orphans, probes
from readingroom.cli.instance import AsJson, Data, refuse, settings_of
from storage import status as stored
from storage.faults import NOT_READY
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from readingroom.settings import Settings

EXAMPLE = "Example: readingroom admin status --json | jq '.processes[] | select(.healthy | not)'"
_WITHIN_S = 2.0
_SOCKETS = re.compile(r'^rr_sockets\{process="([^"]+)".*\} (\S+)$', re.MULTILINE)
_JOBS = ("queued", "running", "parked")


async def _counts(settings: Settings) -> dict[str, int] | None:
    try:
        async with asyncio.timeout(_WITHIN_S):
            db = await Database(settings.dsn("rr_admin"), max_size=1).open()
            try:
                async with db.scope() as conn:
                    return await stored.counts(conn)
            finally:
                await db.close()
    except NOT_READY:
        return None


async def _answers(settings: Settings, state: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Ask a process itself, where one can; else believe what its keeper last said."""

    async def ray() -> bool:
        host, _, port = settings.ray.rpartition(":")
        return await probes.tcp(host, int(port))

    async def gateway() -> bool:
        return (await probes.http(entry["url"]))[0] == 200  # noqa: PLR2004

    ask: dict[str, Callable[[], Awaitable[bool]]] = {
        "postgres": partial(probes.postgres, settings.run / ".s.PGSQL.5432"),
        "valkey": partial(probes.valkey, settings.run / "valkey.sock"),
        "dicom": partial(probes.tcp, state["host"], state["dicom_port"]),
        "ray": ray,
        "gateway": gateway,
    }
    if entry["kind"] not in ask:
        return bool(entry["healthy"])
    with suppress(OSError, TimeoutError, ValueError, KeyError, IndexError):
        async with asyncio.timeout(_WITHIN_S):
            return await ask[entry["kind"]]()
    return False


async def _process(settings: Settings, state: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    alive = entry["pid"] is not None and orphans.born(entry["pid"]) == entry["born"]
    line = {name: entry[name] for name in ("name", "kind", "pid", "url", "restarts") if name in entry}
    healthy = alive and await _answers(settings, state, entry)
    return line | {"pid": entry["pid"] if alive else None, "healthy": healthy}


async def _sockets(processes: list[dict[str, Any]]) -> int | None:
    """Return how many sockets the gateways hold, None when none of them says."""
    said: list[int] = []
    for name, url in [(p["name"], p["url"]) for p in processes if p["kind"] == "gateway" and "url" in p]:
        try:
            _, text = await probes.http(url, "/metrics", timeout_s=_WITHIN_S / 2)
        except (OSError, TimeoutError, ValueError, IndexError):
            continue
        said += [int(count) for process, count in _SOCKETS.findall(text) if process == name]
    return sum(said) if said else None


async def gather(settings: Settings, state: dict[str, Any]) -> dict[str, Any]:
    """Return what ``--json`` prints, from what the supervisor last wrote and what everybody answers now."""
    asked = [_process(settings, state, entry) for entry in state["processes"]]
    counts, *processes = await asyncio.gather(_counts(settings), *asked)
    return {
        "version": __version__,
        "uptime_s": round(time.time() - state["started_at"], 1),
        "processes": processes,
        "shards": settings.shards,
        "studies_open": counts and counts["studies_open"],
        "sockets": await _sockets(processes),
        "jobs": {name: counts and counts[name] for name in _JOBS},
    }


def status(*, data: Data = None, as_json: AsJson = False) -> None:
    """Show the processes of an instance and what waits. Answers within five seconds, with parts of it dead too."""
    settings = settings_of(data)
    try:
        state = json.loads((settings.run / "processes.json").read_text())
    except (OSError, ValueError):
        refuse(f"The instance in {settings.data} does not run. Start it: readingroom up --data {settings.data}")
    shown = asyncio.run(gather(settings, state))
    if as_json:
        typer.echo(json.dumps(shown))
        return
    table = Table(
        "Process", "Kind", "Pid", "Restarts", "Serves", title=f"{settings.data}, up {shown['uptime_s']:.0f} s"
    )
    for process in shown["processes"]:
        serves = "[green]yes[/]" if process["healthy"] else "[red]no[/]"
        pid = "" if process["pid"] is None else str(process["pid"])
        table.add_row(process["name"], process["kind"], pid, str(process["restarts"]), serves)
    console = Console()
    console.print(table)
    jobs = ", ".join(f"{shown['jobs'][name]} {name}" for name in _JOBS)
    console.print(f"Open studies {shown['studies_open']}; sockets {shown['sockets']}; inference jobs: {jobs}")
