"""``readingroom demo``: a stack in a throw-away directory, people to log in as, and a stream of studies."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from rich.console import Console
from rich.table import Table

from readingroom.demo import scanner, studies
from readingroom.demo.instance import Instance, NotStarted
from readingroom.demo.session import Session, SessionEnded
from readingroom.demo.world import PASSWORD, Group, groups, people
from readingroom.settings import Settings

if TYPE_CHECKING:
    from readingroom.demo.studies import Kind

log = structlog.get_logger()

_FIRST_S, _PACE_S, _BETWEEN_IMAGES_S, _AGAIN_S = 5.0, 20.0, 0.05, 5.0
_MOST_OPEN = 15  # of a group: more would not be followed by anybody
_PRIORITIES = ("STAT", "URGENT", "ROUTINE", "STAT", "ROUTINE")
_KINDS = tuple(itertools.chain.from_iterable((studies.HEAD_CT, other) for other in studies.KINDS[1:]))
_NO_ORDER = 9  # one in so many comes without an order, and waits on the unmatched list


def _described(instance: Instance, world: list[Group]) -> dict[str, Any]:
    return {
        "worklist": f"{instance.url}/",
        "board": f"{instance.url}/board",
        "api": f"{instance.url}/api/docs",
        "dicom": f"READINGROOM@{instance.dicom[0]}:{instance.dicom[1]}",
        "password": PASSWORD,
        "people": [
            {"group": group.name, "name": name, "role": role.value, "email": email}
            for group in world
            for name, email, role in group.everyone()
        ],
    }


def _show(what: dict[str, Any]) -> None:
    console = Console()
    places = Table(show_header=False, box=None, padding=(0, 2))
    places.add_row("Worklist and viewer", f"[link={what['worklist']}]{what['worklist']}[/]")
    places.add_row("Live SLA board", f"[link={what['board']}]{what['board']}[/]")
    places.add_row("REST, described", f"[link={what['api']}]{what['api']}[/]")
    places.add_row("DICOM", what["dicom"])
    console.print()
    console.print(places)
    for group, members in itertools.groupby(what["people"], key=itemgetter("group")):
        table = Table(title=f"{group}: everybody's password is [bold]{PASSWORD}[/]", title_justify="left")
        for title in ("E-mail", "Name", "Role"):
            table.add_column(title, no_wrap=True)
        for person in members:
            style = "bold" if person["role"] == "radiologist" else None
            table.add_row(person["email"], person["name"], person["role"], style=style)
        console.print()
        console.print(table)
    console.print(
        f"\nLog in as a radiologist in one window and as her group's manager (the board) in another. "
        f"A study comes every {_PACE_S:.0f} s; only who is present is offered one.\nAll of it is made up. "
        "Ctrl-C stops the stack and removes everything.\n"
    )


class _Stream:
    """Sends studies at a pace that a person can follow, for ever, while not too many are open."""

    def __init__(self, instance: Instance, world: list[Group]) -> None:
        self._instance, self._world = instance, world
        self._sessions: dict[tuple[str, str], Session] = {}

    async def run(self) -> None:
        """Send until cancelled; what fails is left out."""
        await asyncio.sleep(_FIRST_S)
        for number in itertools.count(1):
            group = self._world[number % len(self._world)]
            try:
                if await self._open(group) < _MOST_OPEN:
                    await self._send(number, group)
            except (scanner.Refused, SessionEnded, ConnectionError, OSError, TimeoutError) as exc:
                log.warning("study not sent", number=number, cause=str(exc))
                self._sessions.clear()
                await asyncio.sleep(_AGAIN_S)
            await asyncio.sleep(_PACE_S)

    async def close(self) -> None:
        """Close every session."""
        await asyncio.gather(*(session.close() for session in self._sessions.values()))

    async def _session(self, group: Group, who: str) -> Session:
        session = self._sessions.get((group.short, who))
        if session is None:
            session = Session(self._instance.url)
            await session.login(group.email(who), PASSWORD, None)
            self._sessions[group.short, who] = session
        return session

    async def _open(self, group: Group) -> int:
        board = await scanner.insist(await self._session(group, "manager"), "GET", "/api/board?limit=1")
        return int(board["counters"]["open"])

    async def _send(self, number: int, group: Group) -> None:
        hospital = group.hospitals[number // len(self._world) % len(group.hospitals)]
        kind: Kind = _KINDS[number // len(self._world) % len(_KINDS)]
        patient, accession = studies.patient(number), f"{group.short[:3].upper()}-{number:05d}"
        order = {"accession_number": accession, "site_name": hospital.name}
        if number % _NO_ORDER:
            asked = {
                "accession_number": accession, "priority": _PRIORITIES[number % len(_PRIORITIES)],
                "procedure": kind.procedure, "modality": kind.modality, "body_part": kind.body_part,
                "patient": patient, "site": group.ids[hospital.aet], "referring_physician": group.email("referring"),
            }  # fmt: skip
            row = await scanner.order(await self._session(group, "technologist"), asked)
            order["study_uid"] = row["study_uid"]
        images = await asyncio.to_thread(studies.images, kind, number, patient, order, bleed=number % 3 == 0)
        await scanner.transmit(images, self._instance, hospital.aet, pause_s=_BETWEEN_IMAGES_S)


async def _run(instance: Instance, *, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    world = groups()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(instance.stop)
        starting, told = asyncio.create_task(instance.start()), asyncio.create_task(stop.wait())
        await asyncio.wait([starting, told], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            starting.cancel()
            return
        await starting
        await people(Settings(data=instance.data), world)
        what = _described(instance, world)
        print(json.dumps(what), flush=True) if as_json else _show(what)  # noqa: T201 - the command's output
        stream = _Stream(instance, world)
        stack.push_async_callback(stream.close)
        sending = asyncio.create_task(stream.run())
        ended = asyncio.create_task(instance.wait())
        await asyncio.wait([told, ended, sending], return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        told.cancel()
        ended.cancel()
    if not stop.is_set():
        raise NotStarted("The stack ended by itself.")


def main(data: Path | None, port: int | None, dicom_port: int | None, *, as_json: bool = False) -> int:
    """Run until Ctrl-C; return the exit code. Without a directory of its own, nothing of it stays."""
    place = data or Path(tempfile.mkdtemp(prefix="rr-demo-", dir="/tmp"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o711)
    print(f"Starting in {place} (half a minute) …", file=sys.stderr)  # noqa: T201 - the command's output
    settings = Settings()
    instance = Instance(
        place,
        settings.port if port is None else port,
        settings.dicom_port if dicom_port is None else dicom_port,
    )
    try:
        asyncio.run(_run(instance, as_json=as_json))
    except NotStarted as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - the command's output
        return 1
    finally:
        if data is None:
            shutil.rmtree(place, ignore_errors=True)
    return 0
