"""A radiologist of ``demo --once``: takes whatever she is offered, reads, drafts and signs it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from readingroom.demo.client import LiveClient

_READS_S, _WAITS_S, _LOOKS_S = 1.0, 15.0, 0.1
_HERS = frozenset({"offered", "assigned", "reading"})


class Reader:
    """Works on several studies at once, each to its end; ``offered_at`` is when an offer reached her socket."""

    def __init__(self, client: LiveClient) -> None:
        self.client = client
        self.offered_at: dict[str, float] = {}
        self.accepted: set[str] = set()
        self.signed: set[str] = set()
        self._busy: dict[str, asyncio.Task[None]] = {}
        client.on("assignment_offered", self._seen)

    def _seen(self, event: dict[str, Any]) -> None:
        offer = (event["data"].get("row") or {}).get("offer") or {}
        if offer.get("radiologist_id") == self.client.me["id"]:
            self.offered_at.setdefault(event["data"]["study_uid"], time.monotonic())

    async def work(self) -> None:
        """Look at the screen until cancelled."""
        try:
            while True:
                for uid, row in list(self.client.mine.items()):
                    running = self._busy.get(uid)
                    if row["status"] in _HERS and (running is None or running.done()):
                        self._busy[uid] = asyncio.create_task(self._read(uid, row))
                await asyncio.sleep(_LOOKS_S)
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _read(self, uid: str, row: dict[str, Any]) -> None:
        """Bring one study a step further, as far as it goes; what fails is tried again from the row as it is then."""
        call = self.client.call
        if row["status"] == "offered":
            answer = await call("accept", study_uid=uid, offer_id=row["offer"]["offer_id"])
            if "error" in answer:
                return
        self.accepted.add(uid)
        started = await call("start_reading", study_uid=uid)
        held = (row["report"] or {}).get("version", 0)
        saved = await call("save_draft", study_uid=uid, base_version=held, sections=_sections(row))
        if "error" in started or "error" in saved:
            return
        await asyncio.sleep(_READS_S)
        await self._images(uid)
        fields = {"study_uid": uid, "version": saved["version"], "report_version": saved["report_version"]}
        done = await call("sign", **fields, kind="final")
        if done.get("error") == "confirm_needed":  # images are missing, and she has waited
            done = await call("sign", **fields, kind="final", confirm=True)
        if "error" not in done:
            self.signed.add(uid)

    async def _images(self, uid: str) -> None:
        """Wait for the images that are still on their way."""
        end = time.monotonic() + _WAITS_S
        while time.monotonic() < end:
            row = self.client.mine.get(uid)
            if row is None or row["readiness"]["state"] == "ready":
                return
            await asyncio.sleep(_LOOKS_S)


def _sections(row: dict[str, Any]) -> dict[str, str]:
    found = "; ".join(result["headline"] for result in row["ai"] if result["headline"]) or "none yet"
    return {
        "technique": row["procedure"],
        "comparison": "None.",
        "findings": f"A generated head, no patient. Reference model: {found}.",
        "impression": "Demonstration report, not for clinical use.",
    }
