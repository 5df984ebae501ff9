"""``readingroom demo``: a stack in a throw-away directory, people to log in as, and a stream of studies."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD, Group, Instance, groups, people, study, transmit
from readingroom.settings import Settings

_PACE_S, _MOST_OPEN = 20.0, 30


def _show(instance: Instance, world: list[Group]) -> None:
    console = Console()
    console.print(
        f"\n[bold]Worklist and viewer[/]  {instance.url}/\n[bold]SLA board[/]            {instance.url}/board"
    )
    console.print(f"[bold]DICOM[/]                {instance.dicom[0]}:{instance.dicom[1]}, called READINGROOM\n")
    table = Table("Group", "Who", "E-mail", "Password", title="People of the demo")
    for group in world:
        for number, (name, _, _) in enumerate(group.readers, 1):
            table.add_row(group.name, f"{name}, radiologist", group.email(f"reader{number}"), PASSWORD)
        for role in ("manager", "technologist", "viewer", "admin"):
            table.add_row(group.name, role, group.email(role), PASSWORD)
    console.print(table)
    console.print("Log in as a radiologist: studies come every 20 s. Ctrl-C stops and removes everything.\n")


async def _stream(instance: Instance, world: list[Group]) -> None:
    """Send studies at a pace that a person can follow, for ever, while not too many are open."""
    number = 1
    sessions = {}
    for group in world:
        session = sessions[group.short] = Session(instance.url)
        await session.login(group.email("technologist"), PASSWORD, None)
    while True:
        group = world[number % 2]
        session, hospital = sessions[group.short], group.hospitals[(number // 2) % 2]
        with suppress(Exception):
            rows = await session.checked("GET", "/api/studies?status=unread&limit=200")
            if len(rows["items"]) < _MOST_OPEN:
                accession = f"D{number:05d}"
                patient, images = await asyncio.to_thread(
                    study, number, {"accession_number": accession}, bleed=number % 3 == 0
                )
                order = {
                    "accession_number": accession, "priority": ("STAT", "URGENT", "ROUTINE")[number % 3],
                    "procedure": "CT head without contrast", "modality": "CT", "body_part": "HEAD",
                    "patient": patient, "site": group.ids[hospital.aet], "expected_instances": len(images),
                }  # fmt: skip
                await session.checked("POST", "/api/orders", order)
                await transmit(images, instance, hospital.aet)
        number += 1
        await asyncio.sleep(_PACE_S)


async def _run(place: Path, port: int | None, dicom_port: int | None, *, as_json: bool) -> None:
    instance, world = (
        Instance(place, 8080 if port is None else port, 11112 if dicom_port is None else dicom_port),
        groups(),
    )
    try:
        await instance.start()
        await people(Settings(data=place), world)
        if as_json:
            logins = [{"group": g.name, "email": g.email("reader1"), "password": PASSWORD} for g in world]
            print(json.dumps({"url": instance.url, "dicom": instance.dicom, "logins": logins}), flush=True)  # noqa: T201
        else:
            _show(instance, world)
        await _stream(instance, world)
    finally:
        await instance.stop()


def main(
    data: Path | None = None, port: int | None = None, dicom_port: int | None = None, *, as_json: bool = False
) -> int:
    """Run until Ctrl-C."""
    place = data or Path(tempfile.mkdtemp(prefix="rr-demo-", dir="/tmp"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o711)
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(_run(place, port, dicom_port, as_json=as_json))
    finally:
        if data is None:
            shutil.rmtree(place, ignore_errors=True)
    return 0
