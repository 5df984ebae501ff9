"""Records what people send and are told while a stack is being mistreated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.calls import COMMANDS, DEADLINE_MS
from readingroom.demo.client import LiveClient
from tests.chaos.checker.history import Alert, Attempt, Fault, Heard, Stored

if TYPE_CHECKING:
    from tests.chaos.checker.history import History

_UNDER_WAY = timedelta(seconds=2)  # from the clock of who sends to that of who receives, on a busy machine


def now() -> datetime:
    """UTC."""
    return datetime.now(UTC)


class Tape:
    """Everything that was recorded of a run."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []
        self.attempts: list[tuple[Attempt, datetime]] = []  # and when it was sent
        self.heard: list[Heard] = []
        self.alerts: list[Alert] = []
        self.faults: list[Fault] = []

    def onto(self, history: History) -> History:
        """Return the history of the database with what was recorded, and what a busy machine is given."""
        history.stored, history.heard, history.alerts = self.stored, self.heard, self.alerts
        history.faults = sorted(self.faults, key=lambda f: f.at)
        history.attempts = [self._dated(attempt, sent_at) for attempt, sent_at in self.attempts]
        history.late_s, history.slack_s, history.stale_s = 5.0, 0.5, 5.0
        return history

    def _dated(self, attempt: Attempt, sent_at: datetime) -> Attempt:
        """A deadline counts from receipt, and a gateway that was frozen received what was sent when it woke."""
        received = sent_at + _UNDER_WAY
        for fault in self.faults:
            if fault.kind == "gateway frozen" and fault.at <= received and sent_at <= fault.healed_at:
                received = max(received, fault.healed_at + _UNDER_WAY)
        return Attempt(
            attempt.tenant_id, attempt.user_id, attempt.command, attempt.idem, attempt.study_uid,
            received + (attempt.until - sent_at), attempt.answer,
        )  # fmt: skip


class Taped(LiveClient):
    """A person at a screen, recorded."""

    def __init__(self, tape: Tape, *who: Any) -> None:
        super().__init__(*who)
        self._tape, self._name, self._hellos = tape, who[1], 0
        self.check = self._hear

    def _hear(self, kind: str, payload: dict[str, Any]) -> None:
        tenant_id = self.me["tenant_id"]
        if kind == "hello":
            self._hellos += 1
            for stream, state in payload["streams"].items():
                if state["mode"] == "resume":
                    seq = self.views[stream].seq if stream in self.views else 0
                    self._tape.heard.append(Heard(self._name, self._hellos, "resume", tenant_id, stream, seq or 0))
        elif kind == "snapshot":
            heard = Heard(self._name, self._hellos, "snapshot", tenant_id, payload["s"], payload["as_of_seq"])
            self._tape.heard.append(heard)
        elif kind == "ev":
            named = (payload["s"], payload["seq"], payload["id"], payload["type"])
            self._tape.heard.append(Heard(self._name, self._hellos, "ev", tenant_id, *named))
        elif kind == "alert":
            self._tape.alerts.append(Alert(tenant_id, payload["study_uid"], payload["id"]))

    async def ask(self, event: str, payload: Any, *, within_s: float = 10) -> dict[str, Any]:
        if event not in COMMANDS:
            return await super().ask(event, payload, within_s=within_s)
        sent_at, answer = now(), None
        try:
            answer = await super().ask(event, payload, within_s=within_s)
        finally:
            until = sent_at + timedelta(milliseconds=payload.get("deadline_ms", DEADLINE_MS))
            place = (self.me["tenant_id"], self.me["id"], event, payload["idem"], payload.get("study_uid", ""))
            self._tape.attempts.append((Attempt(*place, until, answer), sent_at))
        return answer
