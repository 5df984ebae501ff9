"""A history in which everything is right, told by the production actors: what the wrong ones are made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from actors.domain import commands as c
from actors.domain import sla
from actors.domain.identity import study_key
from actors.domain.words import Priority, SignKind
from actors.told import Tick, sealed
from tests.chaos.checker.history import Alert, Fault, Heard, History, Link
from tests.chaos.model.clockwork import driven
from tests.chaos.model.host import POLICIES, Message, Weather
from tests.chaos.model.night import MAX, Night
from tests.chaos.model.store import TENANT

if TYPE_CHECKING:
    from actors.domain.identity import Principal

SIGNED, BREACHED = "1.2.0", "1.2.1"


class Told(Night):
    """A night without mishaps in which only happens what is told."""

    def __init__(self) -> None:
        super().__init__(0)
        self.store.policy = POLICIES[0]
        self.weather = self.hosts[0]._weather = Weather(0, 0, 0, 0, 0, 0)
        self.studies, self.stat = [SIGNED, BREACHED], {SIGNED: True, BREACHED: True}
        for n, reader in enumerate(self.readers):
            self.store.people[reader.user_id].state = "online" if n == 0 else "off"

    def go(self, uid: str, command: Any, by: Principal, name: str) -> None:
        """Let somebody do something, once."""
        self.rnd.choice = lambda options: options[0]  # type: ignore[method-assign] - sent once, 1 s to do it
        self.person(study_key(TENANT, uid), command, by, name, uid)
        self.settle()

    def settle(self) -> None:
        """Let every message arrive and the decider look."""
        self.net.append(Message(study_key(TENANT, SIGNED).of(TENANT, f"tenant/{TENANT}"), sealed(Tick())))
        self._drain()
        self.store.later(0.1)


def good() -> History:
    """One study from its images to its final report, and one whose clock runs out."""
    with driven() as clock:
        night = clock.night = Told()
        reader = night.readers[0]
        night.arrive(SIGNED)
        night.settle()
        night.go(SIGNED, c.Accept(night.store.study(SIGNED).granted or ""), reader, "accept")
        night.go(SIGNED, c.StartReading(), reader, "start_reading")
        night.go(SIGNED, c.SaveDraft(0, {"impression": "x"}), reader, "save_draft")
        night.go(SIGNED, c.Sign(SignKind.FINAL, 1), reader, "sign")
        night.arrive(BREACHED)
        night.settle()
        night.go(BREACHED, c.Accept(night.store.study(BREACHED).granted or ""), reader, "accept")
        night.go(BREACHED, c.PauseClock(night.store.study(BREACHED).step, "contrast"), MAX, "clock")
        night.go(BREACHED, c.ResumeClock(night.store.study(BREACHED).step, "went on"), MAX, "clock")
        begun = night.store.study(BREACHED).sla
        assert begun is not None
        for due in (begun.warn_at, begun.due_at):
            night.store.now = due
            night.fire(everything=True)
            night.settle()
        assert night.store.policy.sla[Priority.STAT].due_s < 3600
        night.store.later(60)
        history = night.store.history()
    history.stored, history.attempts = night.stored, night.attempts
    history.faults = [Fault("gateway", night.stored[0].at - timedelta(seconds=9), night.stored[0].at)]
    history.late_s, history.slack_s, history.stale_s = 0.5, 0.0, 1.0
    alert = sla.alert_id(TENANT, BREACHED, begun.due_at)
    history.alerts = [Alert(TENANT, BREACHED, alert)]
    return _followed(_audited(history))


def _followed(history: History) -> History:
    """Add a client that follows the tenant's stream, and is cut off once."""
    stream = f"tenant:{TENANT}"
    history.heard.append(Heard("manager", 1, "snapshot", TENANT, stream, 0))
    for fed in history.feed:
        if fed.stream == stream:
            connection = 1 if fed.seq <= 5 else 2
            if fed.seq == 6:
                history.heard.append(Heard("manager", 2, "resume", TENANT, stream, 5))
            history.heard.append(Heard("manager", connection, "ev", TENANT, stream, fed.seq, fed.id, fed.type))
    return history


def _audited(history: History) -> History:
    """Add what the database adds: digests, and a link a transaction."""
    history.entries = [
        replace(e, digest=hashlib.sha256(json.dumps([e.entity, e.version, e.type]).encode()).hexdigest())
        for e in history.entries
    ]
    last = b""
    for pos, commit in enumerate(sorted({e.commit for e in history.entries}), 1):
        body = json.dumps([[e.entity, e.version, e.digest] for e in history.entries if e.commit == commit])
        last = hashlib.sha256(last + body.encode()).digest()
        history.links.append(Link(TENANT, pos, body, last))
    return history
