"""``readingroom admin status``: what runs, whether it serves, what waits. Answers with parts of it dead, too."""

from __future__ import annotations

import asyncio
import json as jsons
import time
from contextlib import suppress
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Any

import typer

from actors.domain.identity import SHARDS
from readingroom import __version__, orphans
from readingroom.settings import Settings
from storage import provision
from storage.faults import AWAY
from storage.pool import Database


async def _counts(settings: Settings) -> dict[str, int] | None:
    with suppress(*AWAY):
        async with asyncio.timeout(2):
            db = await Database(settings.dsn("rr_admin"), max_size=1).open()
            try:
                async with db.scope() as conn:
                    return await provision.counts(conn)
            finally:
                await db.close()
    return None


def _process(entry: dict[str, Any]) -> dict[str, Any]:
    alive = entry["pid"] is not None and orphans.born(entry["pid"]) == entry.get("born")
    shown = {name: entry[name] for name in ("name", "kind", "pid", "url", "restarts") if entry.get(name) is not None}
    return shown | {"healthy": bool(entry["healthy"]) and alive}


def status(
    *,
    data: Annotated[Path | None, typer.Option(help="Directory of the instance.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the processes of an instance and what waits. Example: readingroom admin status --json."""
    settings = Settings(data=data) if data else Settings()
    try:
        state = jsons.loads((settings.run / "processes.json").read_text())
    except (OSError, ValueError):
        typer.echo(f"No instance runs in {settings.data}. Start one with `readingroom up`.", err=True)
        raise typer.Exit(2) from None
    counts = asyncio.run(_counts(settings))
    shown = {
        "version": __version__,
        "uptime_s": round(time.time() - state["started_at"], 1),
        "processes": [_process(p) for p in state["processes"]],
        "shards": SHARDS,
        "studies_open": counts and counts["studies_open"],
        "sockets": None,
        "jobs": {name: counts and counts[name] for name in ("queued", "running", "parked")},
    }
    if json:
        typer.echo(jsons.dumps(shown))
        return
    for process in shown["processes"]:
        typer.echo(f"{process['name']:<16} {process.get('pid', '-'):>8}  {'serves' if process['healthy'] else 'AWAY'}")
    typer.echo(f"open studies {shown['studies_open']}, jobs {shown['jobs']}")
