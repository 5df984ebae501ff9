"""What ``demo --once`` proves: the board equals the journal, and nobody sees anything of the other group."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp

from readingroom.demo.scanner import insist

if TYPE_CHECKING:
    from collections.abc import Collection

    from readingroom.demo.client import LiveClient
    from readingroom.demo.session import Session
    from readingroom.demo.view import View

_EACH_S, _CATCH_UP_S = 0.7, 15.0
_OK = 400  # below: the call was answered, not refused

# What each event of the journal makes of a study; the others leave its status alone.
_BECOMES = {
    "OrderReceived": "ordered", "FirstInstanceReceived": "unread", "Offered": "offered", "Declined": "unread",
    "OfferExpired": "unread", "Accepted": "assigned", "Assigned": "assigned", "Released": "unread",
    "ReadingStarted": "reading", "PrelimSigned": "prelim", "FinalSigned": "final", "Cancelled": "cancelled",
}  # fmt: skip


class Board:
    """Holds a manager's live board against ``/api/board`` of the very same instant, again and again."""

    def __init__(self, manager: LiveClient) -> None:
        self._manager = manager
        self._stream = f"tenant:{manager.me['tenant_id']}"
        self._seen: dict[int, View] = {}
        self.agreed = self.differed = 0
        manager.on("ev", lambda _event: self._note())

    def _note(self) -> View | None:
        view = self._manager.views.get(self._stream)
        if view is not None and view.seq is not None:
            self._seen[view.seq] = view
        return view

    async def watch(self) -> None:
        """Compare until cancelled."""
        while True:
            await asyncio.sleep(_EACH_S)
            await self.compare()

    async def compare(self) -> bool:
        """Compare once; whether it could, and they agreed."""
        board = await insist(self._manager.session, "GET", "/api/board?limit=200")
        seq, loop = board["as_of_seq"], asyncio.get_running_loop()
        end = loop.time() + _CATCH_UP_S
        while ((view := self._note()) is None or (view.seq or 0) < seq) and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # the live board has not heard of that instant yet
        live = self._seen.get(seq)
        if live is None:  # it came by a snapshot of a later instant
            return False
        same = live.rows == {row["study_uid"]: row for row in board["items"]} and live.counters == board["counters"]
        self.agreed += same
        self.differed += not same
        return same


async def journal_agrees(session: Session, study_uids: Collection[str], counters: dict[str, int]) -> bool:
    """Whether each row and the counters are what the journal says: its versions without a gap, its last status."""
    rows = [await insist(session, "GET", f"/api/studies/{uid}") for uid in study_uids]
    still_open = [row for row in rows if row["status"] not in {"final", "cancelled"} or row["flags"]]
    for row in rows:
        past = await insist(session, "GET", f"/api/studies/{row['study_uid']}/history?limit=200")
        events = past["items"]
        status = [_BECOMES[event["type"]] for event in events if event["type"] in _BECOMES][-1]
        if [event["version"] for event in events] != list(range(1, row["rev"] + 1)) or status != row["status"]:
            return False
    return counters["open"] == len(still_open)


class Foreign:
    """Everything that names something of the other group: looked for in all that somebody is told or answered."""

    def __init__(self, tokens: Collection[str]) -> None:
        self.tokens = set(tokens)
        self.leaks: list[str] = []

    def watch(self, client: LiveClient) -> None:
        """Look at every message of a socket."""
        client.check = lambda name, payload: self._look(f"socket {name}", json.dumps(payload))

    def _look(self, where: str, text: str) -> None:
        if any(token in text for token in self.tokens):
            self.leaks.append(where)

    async def try_rest(self, session: Session, study_uid: str, report_id: str | None, reader_id: str) -> None:
        """Ask REST and DICOMweb for a study of the other group, in every way there is."""
        study, web = f"/api/studies/{study_uid}", f"/dicom-web/studies/{study_uid}"
        report = f"/api/reports/{report_id}"
        attempts = [
            ("GET", study, None), ("GET", f"{study}/history", None), ("GET", f"{study}/explanation", None),
            ("GET", "/api/studies?limit=200", None), ("GET", "/api/worklist", None), ("GET", "/api/board", None),
            ("GET", "/api/unmatched", None), ("GET", f"/api/reports?study_uid={study_uid}", None),
            ("GET", report, None), ("GET", f"{report}.pdf", None), ("GET", f"{report}/conflicts", None),
            ("PUT", f"{study}/assign", {"radiologist_id": reader_id, "version": 1}),
            ("POST", f"{study}/start", {}), ("POST", f"{study}/release", {"reason": "probe"}),
            ("POST", "/api/reports", {"study_uid": study_uid}), ("POST", f"{report}/addenda", {"text": "probe"}),
            ("GET", web, None), ("GET", f"{web}/metadata", None), ("GET", f"{web}/series", None),
            ("GET", f"{web}/rendered", None), ("GET", "/dicom-web/studies?limit=200", None),
            ("GET", f"/dicom-web/studies?StudyInstanceUID={study_uid}", None),
        ]  # fmt: skip
        headers = {"Authorization": f"Bearer {session.token}"}
        async with aiohttp.ClientSession(session.base_url, headers=headers) as http:
            for method, path, body in attempts:
                async with http.request(method, path, json=body) as response:
                    if response.status >= _OK:
                        continue  # refused; what it says of the UID is what we said
                    self._look(f"{method} {path}", (await response.read()).decode(errors="replace"))
                    if method != "GET":
                        self.leaks.append(f"{method} {path}")

    async def try_socket(self, client: LiveClient, study_uid: str, tenant_id: str, site_id: str) -> None:
        """Ask for the other group's streams, and command its studies."""
        wanted = {f"tenant:{tenant_id}": None, f"site:{site_id}": None, f"study:{study_uid}": None}
        answer = await client.ask("subscribe", {"streams": wanted})
        self.leaks += [f"socket {stream}" for stream in answer.get("streams", {})]
        for command, fields in (
            ("start_reading", {}),
            ("release", {"reason": "probe"}),
            ("save_draft", {"base_version": 0, "sections": {"findings": "probe"}}),
        ):
            if "error" not in await client.call(command, study_uid=study_uid, **fields):
                self.leaks.append(f"socket {command}")
