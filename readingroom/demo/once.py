"""``demo --once``: the whole journey, headless: order, C-STORE, offer, accept, read, sign, deliver, check, stop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from readingroom.demo.client import LiveClient
from readingroom.demo.session import Session
from readingroom.demo.world import PASSWORD, Group, Instance, groups, people, study, transmit
from readingroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

_SECRET = "demo-webhook"  # noqa: S105 - of this run alone
_STUDIES, _WITHIN_S = 6, 180.0  # a tenant


@dataclass(slots=True)
class Journey:
    """What happened so far."""

    sent_at: dict[str, float] = field(default_factory=dict)  # study → first C-STORE response
    offered_at: dict[str, float] = field(default_factory=dict)
    stat: set[str] = field(default_factory=set)
    owner: dict[str, str] = field(default_factory=dict)  # study → group
    stored: int = 0
    accepted: set[str] = field(default_factory=set)
    signed: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    leaks: int = 0


class Reader:
    """A radiologist who takes whatever she is offered."""

    def __init__(self, client: LiveClient, group: Group, journey: Journey) -> None:
        self.client, self._group, self._journey = client, group, journey
        self._busy: dict[str, asyncio.Task[None]] = {}
        client.on("assignment_offered", self._seen)

    def _seen(self, event: dict[str, Any]) -> None:
        data = event["data"]
        uid, row = data["study_uid"], data.get("row") or {}
        offer = row.get("offer") or {}
        if offer.get("radiologist_id") == self.client.me["id"]:
            self._journey.offered_at.setdefault(uid, time.monotonic())

    async def work(self) -> None:
        """Look at the screen for ever; every study of hers is taken to its end."""
        while True:
            for uid, row in list(self.client.mine.items()):
                mine = row.get("offer") or row.get("assigned_to") == self.client.me["id"]
                running = self._busy.get(uid)
                if mine and row["status"] in {"offered", "assigned", "reading"} and (running is None or running.done()):
                    self._busy[uid] = asyncio.create_task(self._read(uid, row))
            await asyncio.sleep(0.1)

    async def _read(self, uid: str, row: dict[str, Any]) -> None:
        if row["status"] == "offered":
            answer = await self.client.call("accept", study_uid=uid, offer_id=row["offer"]["offer_id"])
            if "error" in answer:
                return
        self._journey.accepted.add(uid)
        started = await self.client.call("start_reading", study_uid=uid)
        held = (row.get("report") or {}).get("version", 0)
        sections = {"technique": "CT", "comparison": "None.", "findings": "Phantom.", "impression": "Phantom head."}
        saved = await self.client.call("save_draft", study_uid=uid, base_version=held, sections=sections)
        if "error" in started or "error" in saved:
            return
        version, report = saved["version"], saved["report_version"]
        done = await self.client.call(
            "sign", study_uid=uid, version=version, report_version=report, kind="final", confirm=True
        )
        if "error" not in done:
            self._journey.signed.add(uid)


async def _receiver(journey: Journey) -> tuple[web.AppRunner, str]:
    """Start the hospital's end of a webhook; a wrong signature is refused."""

    async def take(request: web.Request) -> web.Response:
        text = await request.read()
        wanted = "sha256=" + hmac.new(_SECRET.encode(), text, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, request.headers.get("X-ReadingRoom-Signature", "")):
            return web.Response(status=401)
        message = json.loads(text)
        if message["type"] == "report_final":
            journey.delivered.add(message["report"]["study_uid"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/reports", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/reports"


async def _until(seen: Callable[[], bool], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not seen():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.1)
    return True


async def _send(instance: Instance, group: Group, session: Session, journey: Journey, first: int) -> None:
    """Order and send a group's studies, one after the other."""
    for number in range(first, first + _STUDIES):
        hospital = group.hospitals[number % 2]
        priority = "ROUTINE" if number == first + _STUDIES - 1 else "STAT"
        accession = f"A{number:05d}"
        patient, images = study(number, {"accession_number": accession}, bleed=number % 3 == 0)
        uid = str(images[0].StudyInstanceUID)
        order = {
            "accession_number": accession, "priority": priority, "procedure": "CT head without contrast",
            "modality": "CT", "body_part": "HEAD", "patient": patient, "site": group.ids[hospital.aet],
            "expected_instances": len(images),
        }  # fmt: skip
        for _ in range(50):
            try:
                await session.checked("POST", "/api/orders", order)
                break
            except Exception:  # noqa: BLE001 - a gateway may be restarting
                await asyncio.sleep(0.5)
        journey.owner[uid] = group.short
        if priority == "STAT":
            journey.stat.add(uid)
        answers = await transmit(images, instance, hospital.aet)
        if answers:
            journey.sent_at[uid] = answers[0].response_at
            journey.stored += sum(a.status == 0 for a in answers)
        await asyncio.sleep(0.3)


async def _consistent(manager: LiveClient, session: Session) -> bool:
    """Whether the live board, REST's board and the journal's rows say the same."""
    for _ in range(20):
        board = await session.checked("GET", "/api/board?limit=200")
        rest = {row["study_uid"]: row["rev"] for row in board["items"]}
        live = {uid: row["rev"] for uid, row in manager.rows.items()}
        if rest == live and board["counters"] == manager.counters:
            return True
        await asyncio.sleep(0.25)
    return False


async def _leaks(session: Session, foreign: list[str]) -> int:
    """Try to see the other group's studies by REST and DICOMweb; return how often it worked."""
    seen = 0
    for uid in foreign:
        for path in (f"/api/studies/{uid}", f"/api/studies/{uid}/history", f"/dicom-web/studies/{uid}/metadata"):
            status, _ = await session.rest("GET", path)
            seen += status == 200  # noqa: PLR2004
    return seen


async def journey(data: Path) -> dict[str, Any]:
    """Live it, and return what the last line of ``--json`` says."""
    began = time.monotonic()
    instance, told, world = Instance(data), Journey(), groups()
    receiver, hook = await _receiver(told)
    clients: list[LiveClient] = []
    technologists: list[Session] = []
    tasks: list[asyncio.Task[Any]] = []
    try:
        await instance.start()
        up_s = time.monotonic() - began
        await people(Settings(data=data), world, hook, _SECRET)
        managers = []
        for group in world:
            manager = LiveClient(instance.url, group.email("manager"), PASSWORD)
            readers = [LiveClient(instance.url, group.email(f"reader{n}"), PASSWORD) for n in (1, 2)]
            for client in (manager, *readers):
                await client.connect()
                clients.append(client)
            tasks += [asyncio.create_task(Reader(client, group, told).work()) for client in readers]
            managers.append(manager)
            technologist = Session(instance.url)
            await technologist.login(group.email("technologist"), PASSWORD, None)
            technologists.append(technologist)
        sending = [
            _send(instance, g, t, told, 1 + 100 * i) for i, (g, t) in enumerate(zip(world, technologists, strict=True))
        ]
        await asyncio.gather(*sending)
        everything = set(told.owner)
        await _until(lambda: told.delivered >= everything and told.signed >= everything, _WITHIN_S)
        consistent, triaged = True, 0
        for group, manager in zip(world, managers, strict=True):
            consistent &= await _consistent(manager, manager.session)
            mine = [uid for uid, owner in told.owner.items() if owner == group.short]
            foreign = [uid for uid, owner in told.owner.items() if owner != group.short]
            told.leaks += await _leaks(manager.session, foreign) + len(set(foreign) & set(manager.rows))
            for uid in mine:
                _, row = await manager.session.rest("GET", f"/api/studies/{uid}")
                triaged += bool(row.get("ai"))
                if row.get("status") == "final":
                    told.signed.add(uid)
        waits = sorted(
            (told.offered_at[u] - told.sent_at[u]) * 1000
            for u in told.stat
            if u in told.offered_at and u in told.sent_at
        )
        waits = [max(w, 0.0) for w in waits]
        p95 = waits[min(len(waits) - 1, int(len(waits) * 0.95))] if waits else None
        return {
            "stack_up_s": round(up_s, 2),
            "studies_sent": len(told.owner),
            "instances_stored": told.stored,
            "stat_offer_ms": {
                "n": len(waits),
                "p50": round(statistics.median(waits), 1) if waits else None,
                "p95": None if p95 is None else round(p95, 1),
            },
            "triaged": triaged,
            "offered": len(told.offered_at),
            "accepted": len(told.accepted),
            "signed": len(told.signed),
            "delivered": len(told.delivered),
            "board_consistent": consistent,
            "lost": len(everything - told.signed) + len(everything - told.delivered),
            "cross_tenant_leaks": told.leaks,
        }
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            with suppress(asyncio.CancelledError):  # of its own tasks
                await client.close()
        for technologist in technologists:
            await technologist.close()
        await receiver.cleanup()
        await instance.stop()


def main(data: Path | None = None, *, as_json: bool = False) -> int:
    """Run the journey; 0 only if everything is final, delivered, consistent and nobody saw another's study."""
    place = data or Path(tempfile.mkdtemp(prefix="rr-once-", dir="/tmp"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o711)
    try:
        result = asyncio.run(journey(place))
    finally:
        if data is None:
            shutil.rmtree(place, ignore_errors=True)
    if not as_json:
        for name, value in result.items():
            print(f"{name:20} {value}")  # noqa: T201 - the command's output
    else:
        print(json.dumps(result))  # noqa: T201 - the command's last line
    whole = result["signed"] == result["delivered"] == result["studies_sent"]
    return 0 if whole and result["board_consistent"] and not result["lost"] and not result["cross_tenant_leaks"] else 1
