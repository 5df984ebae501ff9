"""The people of a chaos run: scanners that never stop, radiologists who take and read, a manager who meddles."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from readingroom.demo import scanner, studies
from readingroom.demo.checks import Board
from readingroom.demo.reader import Reader
from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD
from tests.chaos.checker.history import Stored
from tests.chaos.tape import Taped, now

if TYPE_CHECKING:
    import random

    from readingroom.demo.instance import Instance
    from readingroom.demo.world import Group
    from tests.chaos.tape import Tape

_SLICES, _SIZE, _MOST_OPEN, _AT_ONCE = 4, 32, 8, 3
_OFFER_S, _DUE_S = 12.0, 15.0
_CAPS = (2, 3, 4)
_HELD = frozenset({"unread", "offered", "assigned", "reading"})


def policy(capacity: int) -> dict[str, Any]:
    """Return a policy under which offers expire and clocks run out within a chaos run."""
    return {
        "capacity": capacity,
        "offer_open_s": dict.fromkeys(("STAT", "URGENT", "ROUTINE"), _OFFER_S),
        "sla": {p: {"due_s": _DUE_S, "warn_s": _DUE_S / 2} for p in ("STAT", "URGENT", "ROUTINE")},
    }


class Crowd:
    """One reading group at work."""

    def __init__(self, instance: Instance, group: Group, tape: Tape, rnd: random.Random) -> None:
        self._instance, self._group, self._tape, self._rnd = instance, group, tape, rnd
        self._stack = AsyncExitStack()
        self._sending: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.sent: set[str] = set()

    async def come(self) -> None:
        """Log everybody in and let them work."""
        whom = ["manager", *(doctor.who for doctor in self._group.doctors)]
        clients = [Taped(self._tape, self._instance.url, self._group.email(who), PASSWORD) for who in whom]
        for client in clients:
            await self._stack.enter_async_context(client)
        self.manager, *self._doctors = clients
        self.technologist = Session(self._instance.url)
        self._stack.push_async_callback(self.technologist.close)
        await self.technologist.login(self._group.email("technologist"), PASSWORD, None)
        self.board = Board(self.manager)
        await scanner.insist(self.manager.session, "PUT", "/api/policy", policy(3))
        work = [Reader(client).work() for client in self._doctors]
        work += [self._restless(client) for client in self._doctors]
        self._tasks = [asyncio.create_task(one) for one in [*work, self._meddle()]]
        self._sending = asyncio.create_task(self._send())

    async def finish(self, within_s: float) -> None:
        """Send no more, and return once everything that was sent is signed, or it takes too long."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._held():
                    await asyncio.sleep(0.2)

    async def go(self) -> None:
        """Go home."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    @property
    def failed(self) -> list[BaseException]:
        """What ended somebody's work before its time."""
        done = [task for task in [*self._tasks, self._sending] if task is not None and task.done()]
        return [task.exception() or RuntimeError("ended") for task in done if not task.cancelled()]

    def _held(self) -> int:
        """How many studies with images are open; an order alone is nobody's work yet."""
        return sum(row["status"] in _HELD for row in self.manager.rows.values())

    # -- machines -----------------------------------------------------------------------------
    async def _send(self) -> None:
        at_work: set[asyncio.Task[None]] = set()
        try:
            for number in itertools.count(1):
                while self._held() >= _MOST_OPEN or len(at_work) >= _AT_ONCE:
                    await asyncio.sleep(0.2)
                task = asyncio.create_task(self._study(number))
                at_work.add(task)
                task.add_done_callback(at_work.discard)
                await asyncio.sleep(self._rnd.uniform(0.5, 2.5))
        finally:
            await asyncio.gather(*at_work)

    async def _study(self, number: int) -> None:
        """Order a study, mostly, and send it until every image of it was taken."""
        hospital = self._group.hospitals[number % len(self._group.hospitals)]
        patient, accession = studies.patient(number), f"{self._group.short[:3].upper()}-{number:05d}"
        order: dict[str, str] = {"accession_number": accession}
        if number % 4:
            asked = {
                "accession_number": accession, "priority": self._rnd.choice(["STAT", "STAT", "URGENT", "ROUTINE"]),
                "procedure": studies.HEAD_CT.procedure, "modality": "CT", "body_part": "HEAD", "patient": patient,
                "site": self._group.ids[hospital.aet], "expected_instances": _SLICES,
            }  # fmt: skip
            row = None
            while row is None:  # a hospital does not give up
                with suppress(TimeoutError):
                    row = await scanner.order(self.technologist, asked)
            if number % 2:
                order["study_uid"] = row["study_uid"]
        images = await asyncio.to_thread(
            studies.images, studies.HEAD_CT, number, patient, order, bleed=number % 3 == 0, slices=_SLICES, size=_SIZE
        )
        uid, tenant_id = str(images[0].StudyInstanceUID), self._group.ids["tenant"]
        self.sent.add(uid)
        done = await scanner.transmit(images, self._instance, hospital.aet, pause_s=0.05)
        self._tape.stored += [Stored(tenant_id, uid, sop_uid, now()) for sop_uid in done.taken]

    # -- people -------------------------------------------------------------------------------
    async def _restless(self, client: Taped) -> None:
        """Decline, ask for the next case, give back; come back to the screen after having been away."""
        rnd = self._rnd
        while True:
            await asyncio.sleep(rnd.uniform(0.5, 2))
            if client.readers.get(client.me["id"], {}).get("presence") in {"away", "off", "busy"}:
                await client.call("set_presence", state="online", give_up_s=20)
            rows = list(client.mine.values())
            row = rnd.choice(rows) if rows else None
            match rnd.randrange(8):
                case 0 if row and row["offer"]:
                    reason = rnd.choice(["other", "overloaded", "image_quality"])
                    offer_id = row["offer"]["offer_id"]
                    await client.call(
                        "decline", study_uid=row["study_uid"], offer_id=offer_id, reason=reason, give_up_s=20
                    )
                case 1:
                    await client.call("next_case", give_up_s=20, deadline_ms=rnd.choice([500, 3000, 10_000]))
                case 2 if row and row["status"] == "assigned":
                    await client.call("release", study_uid=row["study_uid"], reason="tired", give_up_s=20)

    async def _meddle(self) -> None:
        """Assign, pause and go on, and change how much one may hold."""
        rnd, call = self._rnd, self.manager.call
        while True:
            await asyncio.sleep(rnd.uniform(0.5, 2.5))
            rows = [row for row in self.manager.rows.values() if row["status"] in _HELD]
            row = rnd.choice(rows) if rows else None
            match rnd.randrange(5):
                case 0 | 1 if row:
                    who = self._group.ids[rnd.choice(self._group.doctors).who]
                    seen = {"study_uid": row["study_uid"], "version": row["version"]}
                    await call("assign", **seen, radiologist_id=who, reason="load", override=True, give_up_s=20)
                case 2 if row:
                    paused = (row["sla"] or {}).get("state") == "paused"
                    seen = {"study_uid": row["study_uid"], "version": row["version"]}
                    await call("resume_clock" if paused else "pause_clock", **seen, reason="contrast", give_up_s=20)
                case 3:
                    body = policy(rnd.choice(_CAPS))
                    with suppress(scanner.Refused, TimeoutError):
                        await scanner.insist(self.manager.session, "PUT", "/api/policy", body, give_up_s=20)
