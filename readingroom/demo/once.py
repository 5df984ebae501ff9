"""``demo --once``: the whole journey, headless: order, C-STORE, offer, accept, read, sign, deliver, check, stop."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from readingroom.demo import scanner, studies
from readingroom.demo.checks import Board, Foreign, journal_agrees
from readingroom.demo.client import LiveClient
from readingroom.demo.instance import Instance, NotStarted
from readingroom.demo.reader import Reader
from readingroom.demo.receiver import Receiver
from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD, Group, groups, people
from readingroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

_STUDIES = 7  # of each group: all STAT but the last
_SLICES, _SIZE = 24, 128
_WITHIN_S, _TRIAGE_S, _BETWEEN_S = 150.0, 30.0, 0.5


@dataclass(slots=True)
class Sent:
    """One study on its way: what was sent, and what became of it."""

    priority: str
    images: int
    transmission: scanner.Transmission | None = None
    row: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Side:
    """One group of the journey, with everybody who works in it."""

    group: Group
    manager: LiveClient
    readers: list[Reader]
    technologist: Session
    board: Board
    foreign: Foreign
    sent: dict[str, Sent] = field(default_factory=dict)

    @property
    def signed(self) -> set[str]:
        """The studies that somebody signed."""
        return {uid for reader in self.readers for uid in reader.signed}


async def _side(instance: Instance, group: Group, other: Group, stack: AsyncExitStack) -> Side:
    """Log everybody of a group in."""
    foreign = Foreign({other.ids["tenant"], *(other.ids[d.who] for d in other.doctors)})
    clients = [LiveClient(instance.url, group.email(who), PASSWORD) for who in ("manager", *_doctors(group))]
    for client in clients:
        foreign.watch(client)
        await stack.enter_async_context(client)
    technologist = Session(instance.url)
    stack.push_async_callback(technologist.close)
    await technologist.login(group.email("technologist"), PASSWORD, None)
    manager, *readers = clients
    return Side(group, manager, [Reader(client) for client in readers], technologist, Board(manager), foreign)


def _doctors(group: Group) -> list[str]:
    return [doctor.who for doctor in group.doctors]


async def _send(instance: Instance, side: Side, other: Side, first: int) -> None:
    """Order and send a group's studies, one after the other; every second one under the UID that its order got."""
    for number in range(first, first + _STUDIES):
        hospital = side.group.hospitals[number % len(side.group.hospitals)]
        patient = studies.patient(number)
        asked: dict[str, Any] = {
            "accession_number": f"{side.group.short[:3].upper()}-{number:05d}",
            "priority": "ROUTINE" if number == first + _STUDIES - 1 else "STAT",
            "procedure": studies.HEAD_CT.procedure, "modality": "CT", "body_part": "HEAD", "patient": patient,
            "site": side.group.ids[hospital.aet], "expected_instances": _SLICES,
            "referring_physician": side.group.email("referring"),
        }  # fmt: skip
        other.foreign.tokens.add(asked["accession_number"])
        row = await scanner.order(side.technologist, asked)
        other.foreign.tokens.add(row["study_uid"])
        known = {"study_uid": row["study_uid"]} if number % 2 else {}
        order = {"accession_number": asked["accession_number"]} | known
        images: list[Dataset] = await asyncio.to_thread(
            studies.images, studies.HEAD_CT, number, patient, order, bleed=number % 3 == 0, slices=_SLICES, size=_SIZE
        )
        uid = str(images[0].StudyInstanceUID)
        other.foreign.tokens.add(uid)
        side.sent[uid] = Sent(asked["priority"], len(images))
        side.sent[uid].transmission = await scanner.transmit(images, instance, hospital.aet)
        await asyncio.sleep(_BETWEEN_S)


async def _until(seen: Callable[[], bool], within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not seen():  # noqa: ASYNC110 - several sources
                await asyncio.sleep(0.1)


async def _rows(side: Side) -> bool:
    """Read every row again; whether each has been triaged."""
    for uid, sent in side.sent.items():
        with suppress(scanner.Refused):
            sent.row = await scanner.insist(side.manager.session, "GET", f"/api/studies/{uid}")
    return all(sent.row.get("ai") for sent in side.sent.values())


async def _pry(side: Side, other: Side) -> None:
    """Let every role of a group try to see a study of the other one."""
    uid, sent = next(iter(other.sent.items()))
    report = (sent.row.get("report") or {}).get("report_id")
    stranger = other.group.ids[other.group.doctors[0].who]
    for who in ("manager", "technologist", "viewer", "referring", "admin", side.group.doctors[0].who):
        session = Session(side.manager.session.base_url)
        try:
            await session.login(side.group.email(who), PASSWORD, None)
            await side.foreign.try_rest(session, uid, report, stranger)
        finally:
            await session.close()
    site = other.group.ids[other.group.hospitals[0].aet]
    for client in (side.manager, side.readers[0].client):
        await side.foreign.try_socket(client, uid, other.group.ids["tenant"], site)


def _percentiles(waits: list[float]) -> dict[str, float | int | None]:
    """Return count, median and 95th percentile (nearest rank) in milliseconds."""

    def rank(share: float) -> float | None:
        return round(sorted(waits)[max(0, math.ceil(share * len(waits)) - 1)], 1) if waits else None

    return {"n": len(waits), "p50": rank(0.5), "p95": rank(0.95)}


async def _work(instance: Instance, sides: list[Side], receiver: Receiver) -> None:
    """Let everybody work until all studies are signed and delivered, or it takes too long."""
    one, two = sides
    working = [asyncio.create_task(reader.work()) for side in sides for reader in side.readers]
    working += [asyncio.create_task(side.board.watch()) for side in sides]
    try:
        await asyncio.gather(_send(instance, one, two, 101), _send(instance, two, one, 501))
        everything = one.sent.keys() | two.sent.keys()
        await _until(lambda: receiver.reports.keys() >= everything, _WITHIN_S)
        end = time.monotonic() + _TRIAGE_S
        while not all([await _rows(side) for side in sides]) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


def _result(sides: list[Side], receiver: Receiver, *, consistent: bool) -> dict[str, Any]:
    """Return what the last line of ``--json`` says, but for ``stack_up_s``."""
    sent = {uid: study for side in sides for uid, study in side.sent.items()}
    offered: dict[str, float] = {}
    for reader in (reader for side in sides for reader in side.readers):
        offered |= {uid: min(at, offered.get(uid, at)) for uid, at in reader.offered_at.items()}
    taken = {uid: study.transmission for uid, study in sent.items() if study.transmission is not None}
    waits = [
        max(0.0, offered[uid] - done.first_response_at) * 1000
        for uid, done in taken.items()
        if sent[uid].priority == "STAT" and uid in offered and done.first_response_at is not None
    ]
    lost = [
        uid
        for uid, study in sent.items()
        if study.row.get("status") != "final"
        or study.row["images"] != study.images
        or len(taken[uid].taken) != study.images
        or uid not in receiver.reports
    ]
    return {
        "studies_sent": len(sent),
        "instances_stored": sum(len(done.taken) for done in taken.values()),
        "stat_offer_ms": _percentiles(waits),
        "triaged": sum(bool(study.row.get("ai")) for study in sent.values()),
        "offered": len(offered),
        "accepted": len({uid for side in sides for reader in side.readers for uid in reader.accepted}),
        "signed": sum(study.row.get("status") == "final" for study in sent.values()),
        "delivered": len(receiver.reports.keys() & sent.keys()),
        "board_consistent": consistent,
        "lost": len(lost),
        "cross_tenant_leaks": sum(len(side.foreign.leaks) for side in sides),
    }


async def journey(data: Path) -> dict[str, Any]:
    """Live it, and return what the last line of ``--json`` says.

    Raises:
        NotStarted: the stack did not come up.
    """
    began = time.monotonic()
    instance = Instance(data)
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(Receiver())
        stack.push_async_callback(instance.stop)
        await instance.start()
        up_s = time.monotonic() - began
        _say(f"ready after {up_s:.1f} s: {instance.url}")
        one, two = world = groups()
        await people(Settings(data=data), world, receiver.hook)
        sides = [await _side(instance, one, two, stack), await _side(instance, two, one, stack)]
        await _work(instance, sides, receiver)
        _say(f"{len(receiver.reports)} reports delivered; checking")
        agreed = True
        for side, other in (sides, sides[::-1]):
            await _pry(side, other)
            agreed &= await side.board.compare() and not side.board.differed
            agreed &= await journal_agrees(side.manager.session, side.sent, side.manager.counters)
            for leak in side.foreign.leaks:
                _say(f"LEAK in {side.group.short}: {leak}")
        return {"stack_up_s": round(up_s, 2)} | _result(sides, receiver, consistent=agreed)


def _say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress, beside the result


def whole(result: dict[str, Any]) -> bool:
    """Whether everything is final, delivered and consistent, and nobody saw another group's study."""
    done = result["signed"] == result["delivered"] == result["studies_sent"]
    return bool(done and result["board_consistent"] and not result["lost"] and not result["cross_tenant_leaks"])


def main(data: Path | None = None, *, as_json: bool = False) -> int:
    """Run the journey; return the exit code, 0 only if :func:`whole`."""
    place = data or Path(tempfile.mkdtemp(prefix="rr-once-", dir="/tmp"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o711)
    try:
        result = asyncio.run(journey(place))
    except NotStarted as exc:
        _say(str(exc))
        return 1
    finally:
        if data is None:
            shutil.rmtree(place, ignore_errors=True)
    if as_json:
        print(json.dumps(result))  # noqa: T201 - the command's last line
    else:
        for name, value in result.items():
            print(f"{name:20} {value}")  # noqa: T201 - the command's output
    return 0 if whole(result) else 1
