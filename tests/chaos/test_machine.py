"""Studies, radiologists and their tenant's decider together, step by step as Hypothesis likes: the invariants always hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.domain import commands as c
from actors.domain.identity import radiologist_key, study_key, tenant_key
from actors.domain.words import DeclineReason, Priority, SignKind
from actors.told import Tick, sealed
from tests.chaos.checker.history import Fault
from tests.chaos.checker.invariants import violations
from tests.chaos.model.clockwork import driven
from tests.chaos.model.host import Message, Weather
from tests.chaos.model.night import MAX, PATIENT, Night
from tests.chaos.model.store import TENANT

STUDIES = st.sampled_from(["1.2.0", "1.2.1", "1.2.2"])
READERS = st.sampled_from([0, 1])
SECONDS = st.sampled_from([0.5, 2.0, 30.0, 121.0, 1000.0])
_DECIDER = tenant_key(TENANT)


class ReadingRoom(RuleBasedStateMachine):
    """One group: two readers, three studies; what is sent is under way until a step delivers it."""

    def __init__(self) -> None:
        super().__init__()
        self._driven = driven()
        self._clock = self._driven.__enter__()
        self.night = self._clock.night = night = Night(1)
        night.weather = night.hosts[0]._weather = Weather(0, 0, 0, 0, 0, 0)
        night.studies, night.stat = ["1.2.0", "1.2.1", "1.2.2"], {"1.2.0": True, "1.2.1": False, "1.2.2": True}
        night.readers = [MAX.__class__(name, TENANT, "radiologist") for name in ("r0", "r1")]  # type: ignore[arg-type]

    @initialize(caps=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def open_the_room(self, caps: tuple[int, int]) -> None:
        self.night.store.people.clear()
        for reader, cap in zip(self.night.readers, caps, strict=True):
            self.night.store.set_cap(reader.user_id, cap)
            self.night.net.append(Message(self.presence(reader), c.Envelope(c.ObservePresence(connected=True))))

    # -- under way ----------------------------------------------------------------------------
    @precondition(lambda self: self.night.net)
    @rule(which=st.integers(0, 30), twice=st.booleans())
    def deliver(self, which: int, *, twice: bool) -> None:
        net = self.night.net
        message = net[which % len(net)]
        if not twice:
            net.remove(message)
        self.night.deliver(message, 0)

    @precondition(lambda self: self.night.net)
    @rule()
    def deliver_everything(self) -> None:
        self.night._drain()

    @precondition(lambda self: self.night.net)
    @rule(which=st.integers(0, 30))
    def lose(self, which: int) -> None:
        del self.night.net[which % len(self.night.net)]

    @rule()
    def kill_the_host(self) -> None:
        self.night._kill(0)

    @rule()
    def look(self) -> None:
        self.night.net.append(Message(_DECIDER, sealed(Tick())))

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.night.store.later(seconds)
        self.night.fire(everything=True)

    # -- what people and machines do ----------------------------------------------------------
    def presence(self, reader: Any) -> Any:
        return radiologist_key(TENANT, reader.user_id)

    def send(self, uid: str, command: Any, by: Any, name: str) -> None:
        self.night.person(study_key(TENANT, uid), command, by, name, uid)

    @rule(uid=STUDIES, priority=st.sampled_from(list(Priority)))
    def order(self, uid: str, priority: Priority) -> None:
        order = c.Order("harbor", f"A-{uid}", priority, "CT head", "CT", PATIENT, expected_instances=2)
        self.send(uid, c.ReceiveOrder(order), MAX, "order")

    @rule(uid=STUDIES)
    def cancel(self, uid: str) -> None:
        self.send(uid, c.CancelOrder("twice"), MAX, "cancel")

    @rule(uid=STUDIES)
    def image(self, uid: str) -> None:
        self.night.arrive(uid)

    @rule(uid=STUDIES)
    def triage(self, uid: str) -> None:
        result = c.RecordTriage("m", "1", "ok", "h", "suspected_critical")
        self.night.net.append(Message(study_key(TENANT, uid), c.Envelope(result)))

    @rule(uid=STUDIES, who=READERS)
    def accept(self, uid: str, who: int) -> None:
        self.send(uid, c.Accept(self.night.store.study(uid).granted or ""), self.night.readers[who], "accept")

    @rule(uid=STUDIES, who=READERS, reason=st.sampled_from(list(DeclineReason)))
    def decline(self, uid: str, who: int, reason: DeclineReason) -> None:
        offer_id = self.night.store.study(uid).granted or ""
        self.send(uid, c.Decline(offer_id, reason), self.night.readers[who], "decline")

    @rule(uid=STUDIES, who=READERS)
    def start(self, uid: str, who: int) -> None:
        self.send(uid, c.StartReading(), self.night.readers[who], "start_reading")

    @rule(uid=STUDIES, who=READERS)
    def draft(self, uid: str, who: int) -> None:
        held = self.night.store.study(uid).report
        command = c.SaveDraft(held.version if held else 0, {"impression": "x"})
        self.send(uid, command, self.night.readers[who], "save_draft")

    @rule(uid=STUDIES, who=READERS, kind=st.sampled_from(list(SignKind)))
    def sign(self, uid: str, who: int, kind: SignKind) -> None:
        held = self.night.store.study(uid).report
        command = c.Sign(kind, held.version if held else 0, confirm=True, text="more")
        self.send(uid, command, self.night.readers[who], "sign")

    @rule(uid=STUDIES, who=READERS)
    def release(self, uid: str, who: int) -> None:
        self.send(uid, c.Release("tired"), self.night.readers[who], "release")

    @rule(who=READERS)
    def next_case(self, who: int) -> None:
        self.night.person(_DECIDER, c.NextCase(), self.night.readers[who], "next_case")

    @rule(uid=STUDIES, who=READERS, override=st.booleans())
    def assign(self, uid: str, who: int, *, override: bool) -> None:
        step, reader = self.night.store.study(uid).step, self.night.readers[who].user_id
        command = c.AssignStudy(uid, reader, step, "called away", override=override)
        self.night.person(_DECIDER, command, MAX, "assign", uid)

    @rule(uid=STUDIES, pause=st.booleans())
    def clock(self, uid: str, *, pause: bool) -> None:
        step = self.night.store.study(uid).step
        self.send(uid, (c.PauseClock if pause else c.ResumeClock)(step, "contrast"), MAX, "clock")

    @rule(who=READERS, state=st.sampled_from(["online", "busy", "away", "off"]))
    def set_presence(self, who: int, state: str) -> None:
        reader = self.night.readers[who]
        self.night.person(self.presence(reader), c.SetPresence(state), reader, "presence")

    @rule(who=READERS, connected=st.booleans())
    def observe(self, who: int, *, connected: bool) -> None:
        seen = c.ObservePresence(connected=connected)
        self.night.net.append(Message(self.presence(self.night.readers[who]), c.Envelope(seen)))

    @rule(who=READERS, cap=st.integers(1, 3))
    def change_cap(self, who: int, cap: int) -> None:
        self.night.store.set_cap(self.night.readers[who].user_id, cap)

    @rule(who=READERS, left_s=st.sampled_from([-1, 60, 86_400]))
    def change_shift(self, who: int, left_s: int) -> None:
        ends_at = self.night.store.now + timedelta(seconds=left_s)
        self.night.store.set_shift(self.night.readers[who].user_id, ends_at)

    # -- what always holds --------------------------------------------------------------------
    @invariant()
    def every_promise_is_kept(self) -> None:
        self.hold([])

    def hold(self, faults: list[Fault]) -> None:
        night, history = self.night, self.night.store.history()
        history.attempts, history.faults = night.attempts, faults
        history.stored = night.stored if faults else []  # not yet on the list, while it may be lost on its way
        history.late_s = history.stale_s = 10.0**9
        assert violations(history) == []

    def teardown(self) -> None:
        try:
            self.night._quiet()
            self.hold([Fault("all of it", self.night.store.now, self.night.store.now)])
        finally:
            self._driven.__exit__(None, None, None)


ReadingRoom.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestReadingRoom = ReadingRoom.TestCase
