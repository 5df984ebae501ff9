"""One random night of a tenant: two copies of every actor, a network that loses, doubles and reorders, and people at work.

The method of the paper model of the protocol (core: who decides), over the production classes. What happens is decided by
the seed alone. After the night one copy is left undisturbed, and then everything has to be right.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from actors.domain import commands as c
from actors.domain.decide import decide
from actors.domain.errors import ReadingRoomError
from actors.domain.facts import Facts
from actors.domain.identity import Principal, radiologist_key, study_key, tenant_key
from actors.domain.second import Outcome, SecondState
from actors.domain.study import LIVE
from actors.domain.words import DeclineReason, Presence, Role, SignKind, Status
from actors.told import Tick, sealed
from tests.chaos.checker.history import Attempt, Fault, Stored
from tests.chaos.checker.invariants import violations
from tests.chaos.model.host import POLICIES, Host, Killed, Message, Weather
from tests.chaos.model.store import TENANT, Rules, Store

if TYPE_CHECKING:
    from actors.domain.identity import Key
    from actors.domain.study import Study
    from actors.tenant.actor import TenantActor

MAX = Principal("max", TENANT, Role.MANAGER)
PATIENT = c.Patient("p1", "PHANTOM^Iris", "1", "harbor", "1961-04-12", "F")
_DECIDER = tenant_key(TENANT)
_OPEN_ENDED = frozenset({"retry", "expired", "overloaded"})
_LEFT = 3000  # messages after which a quiet night is not quiet


class Broken(AssertionError):
    """Something that must never happen; the sentence says what."""


class Night:
    """A run of the model."""

    def __init__(self, seed: int, rules: Rules | None = None) -> None:
        self.rnd = rnd = random.Random(seed)
        self.store = Store(rules)
        self.store.policy = rnd.choice(POLICIES)
        self.weather = Weather(
            loss=rnd.choice([0, 0.05, 0.3]),
            double=rnd.choice([0, 0.1]),
            crash=rnd.choice([0, 0.03, 0.1]),
            split=rnd.choice([0, 0.2, 0.5]),
            away=rnd.choice([0, 0, 0.05]),
            pause=rnd.choice([0, 0.2, 0.5]),
        )
        self.net: list[Message] = []
        self.hosts = [self._host(), self._host()]
        self.studies = [f"1.2.{n}" for n in range(rnd.randint(1, 4))]
        self.readers = [Principal(f"r{n}", TENANT, Role.RADIOLOGIST) for n in range(rnd.randint(1, 3))]
        if rnd.random() < 0.3:
            self.readers.append(Principal("s0", TENANT, Role.RESIDENT))
        self.stat = {uid: rnd.random() < 0.4 for uid in self.studies}
        self.images: dict[str, int] = {}
        self.stored: list[Stored] = []
        self.asked: dict[int, tuple[Attempt, c.Envelope, Key]] = {}
        self.attempts: list[Attempt] = []
        self.idems = 0
        for reader in self.readers:
            self.store.set_cap(reader.user_id, rnd.randint(1, 2))
            self.store.people[reader.user_id].role = reader.role.value
            self.store.people[reader.user_id].state = "online" if rnd.random() < 0.7 else "away"

    def _host(self) -> Host:
        return Host(self.store, self.net, self.weather, self.rnd)

    # -- the network --------------------------------------------------------------------------
    def deliver(self, message: Message, which: int) -> None:
        """Hand a message to one of the copies, unless its entity there is busy: then it waits."""
        if self.hosts[which].busy(message.key):
            self.net.append(message)
            return
        before = len(self.net)
        try:
            done, answer = self.hosts[which].take(message)
        except Killed:
            self._kill(which, before)
            return
        if done:
            self._answered(message, answer)

    def go_on(self, which: int) -> None:
        """Let a copy go on with something it has begun."""
        host, before = self.hosts[which], len(self.net)
        work = self.rnd.choice(host.works)
        try:
            done, answer = host.go_on(work)
        except Killed:
            self._kill(which, before)
            return
        if done and work.message is not None:
            self._answered(work.message, answer)

    def _kill(self, which: int, sent: int | None = None) -> None:
        """SIGKILL: what it was about to send never leaves it."""
        if sent is not None:
            del self.net[sent:]
        self.hosts[which].die()
        self.hosts[which] = self._host()

    def _answered(self, message: Message, answer: Any) -> None:
        refusal = answer if isinstance(answer, ReadingRoomError) else None
        if refusal is not None and message.key.kind == "study" and refusal.code not in {*_OPEN_ENDED, "bad_payload"}:
            self._is_true(message, refusal)
        if message.re is None or answer is None or (isinstance(answer, Exception) and refusal is None):
            return
        asked, envelope, key = self.asked[message.re]
        told = {"error": refusal.code} if refusal is not None else dict(answer)
        self.attempts.append(
            Attempt(TENANT, asked.user_id, asked.command, asked.idem, asked.study_uid, asked.until, told)
        )
        if refusal is not None and refusal.code in _OPEN_ENDED and self.rnd.random() < 0.5:
            self._send(key, envelope, asked.command, asked.study_uid)  # the same key once more

    def _is_true(self, message: Message, refusal: ReadingRoomError) -> None:
        """A refusal must be what the journal of this very moment says: a stale copy must not say no."""
        envelope, study = message.envelope, self.store.study(message.key.name)
        person = self.store.people.get(envelope.by.user_id) if envelope.by else None
        presence = Presence(person.state) if person else None
        facts = Facts(TENANT, patient=PATIENT, policy=self.store.policy, new_id="x", presence=presence)
        try:
            decide(study, envelope.command, envelope.by, self.store.now, facts)  # type: ignore[arg-type]
        except ReadingRoomError:
            return
        raise Broken(f"{type(envelope.command).__name__} was refused with {refusal.code}, and is possible")

    def _send(self, key: Key, envelope: c.Envelope, command: str, uid: str = "") -> None:
        """Send a person's command, sometimes twice, each time with a deadline of its own."""
        for _ in range(self.rnd.choice([1, 1, 2])):
            until = self.store.now.timestamp() + self.rnd.choice([1, 10, 60])
            fresh = c.Envelope(envelope.command, envelope.by, envelope.idem, until)
            number, user = len(self.asked), envelope.by.user_id if envelope.by else ""
            at = self.store.now.fromtimestamp(until, self.store.now.tzinfo)
            attempt = Attempt(TENANT, user, command, envelope.idem or "", uid, at)
            self.asked[number] = (attempt, fresh, key)
            self.attempts.append(attempt)
            self.net.append(Message(key, fresh, number))

    # -- people and machines ------------------------------------------------------------------
    def person(self, key: Key, command: Any, by: Principal, name: str, uid: str = "") -> None:
        """Let somebody send a command under a new key."""
        self.idems += 1
        self._send(key, c.Envelope(command, by, f"i{self.idems}"), name, uid)

    def somebody(self) -> None:  # noqa: C901 - one line a thing that people do
        """Let one person or machine do one thing."""
        rnd, uid = self.rnd, self.rnd.choice(self.studies)
        key, study = study_key(TENANT, uid), self.store.study(uid)
        reader = rnd.choice(self.readers)
        hers = [r for r in self.readers if r.user_id == study.reader]
        mine = hers[0] if hers and rnd.random() < 0.9 else reader
        offer = study.granted or "none"
        match rnd.randrange(16):
            case 0 | 1 | 2:
                self.person(key, c.Accept(offer), mine, "accept", uid)
            case 3:
                self.person(key, c.Decline(offer, rnd.choice(list(DeclineReason))), mine, "decline", uid)
            case 4:
                self.person(key, c.Release("tired"), mine, "release", uid)
            case 5 | 6:
                self._report(key, study, mine)
            case 7:
                for who in self.readers:  # all at once
                    self.person(_DECIDER, c.NextCase(), who, "next_case")
            case 8:
                assign = c.AssignStudy(uid, reader.user_id, study.step, "called away", override=rnd.random() < 0.7)
                self.person(_DECIDER, assign, MAX, "assign", uid)
            case 9 | 10 | 11:
                self.arrive(uid)
            case 12:
                self.store.set_cap(reader.user_id, rnd.randint(1, 3))
            case 13:
                self.store.set_shift(reader.user_id, self.store.now + timedelta(seconds=rnd.choice([-1, 60, 86400])))
            case 14:
                clock = c.PauseClock if rnd.random() < 0.5 else c.ResumeClock
                self.person(key, clock(study.step, "contrast"), MAX, "clock", uid)
            case _:
                state = rnd.choice(["online", "online", "away", "busy"])
                self.person(radiologist_key(TENANT, reader.user_id), c.SetPresence(state), reader, "presence")

    def _report(self, key: Key, study: Study, by: Principal) -> None:
        held = study.report.version if study.report else 0
        if study.second and study.second.state in {SecondState.COMPARE, SecondState.DISCORDANT} and held:
            who = MAX if self.rnd.random() < 0.3 else by
            self.person(key, c.Settle(study.step, self.rnd.choice(list(Outcome))), who, "settle", study.study_uid)
        elif study.status is Status.ASSIGNED:
            self.person(key, c.StartReading(), by, "start_reading", study.study_uid)
        elif self.rnd.random() < 0.4:
            self.person(
                key, c.SaveDraft(held, {"impression": self.rnd.choice("xxy")}), by, "save_draft", study.study_uid
            )
        else:
            kind = self.rnd.choice([SignKind.PRELIM, SignKind.FINAL, SignKind.FINAL])
            self.person(key, c.Sign(kind, held), by, "sign", study.study_uid)

    def arrive(self, uid: str) -> None:
        """Store an image and say so; a study that hears nothing is told again by the sweep."""
        count = self.images[uid] = self.images.get(uid, 0) + 1
        self.stored.append(Stored(TENANT, uid, f"{uid}.{count}", self.store.now))
        self._told_of_images(uid, quiet=self.rnd.random() < 0.5)

    def _told_of_images(self, uid: str, *, quiet: bool) -> None:
        priority = "STAT" if self.stat[uid] else "HIGH"
        arrived = c.ImagesArrived("harbor", PATIENT, self.images[uid], priority=priority, modality="CT", quiet=quiet)
        self.net.append(Message(study_key(TENANT, uid), c.Envelope(arrived)))

    def fire(self, *, everything: bool = False) -> int:
        """Fire timers that are due, now and then twice; return how many."""
        due = [t for t in self.store.timers.values() if t.due_at <= self.store.now and t.name != "midnight"]
        for timer in due if everything else due[:1]:
            message = c.FireTimer(timer.name, timer.version, timer.due_at)
            for _ in range(1 if everything else self.rnd.choice([1, 2])):
                self.net.append(Message(study_key(TENANT, timer.entity.partition("/")[2]), c.Envelope(message)))
        return len(due)

    # -- the night ----------------------------------------------------------------------------
    def run(self) -> Night:
        """Live it, let it become quiet, and hold every invariant.

        Raises:
            Broken: the first thing that is wrong.
        """
        for uid in self.studies:
            self.arrive(uid)
        for _ in range(self.rnd.randint(30, 110)):
            self._step()
        self._quiet()
        history = self.store.history()
        history.stored, history.attempts = self.stored, self.attempts
        history.faults = [Fault("night", self.store.now, self.store.now)]
        history.late_s = history.stale_s = 10.0**9  # time passes by leaps here: whether, not when
        wrong = violations(history)
        if wrong:
            raise Broken(wrong[0])
        return self

    def _step(self) -> None:
        rnd, x = self.rnd, self.rnd.random()
        which = 1 if rnd.random() < self.weather.split else 0
        if x < 0.12 and self.hosts[which].works:
            self.go_on(which)
        elif x < 0.62 and self.net:
            at = rnd.randrange(len(self.net))
            message = self.net[at] if rnd.random() < self.weather.double else self.net.pop(at)
            if rnd.random() >= self.weather.loss:
                self.deliver(message, which)
        elif x < 0.84:
            self.somebody()
        elif x < 0.90:
            self.net.append(Message(_DECIDER, sealed(Tick())))
        elif x < 0.94:
            self.store.later(rnd.choice([0.2, 1, 5, 30, 130, 1400]))
            self.fire()
        elif x < 0.97:
            self._kill(rnd.randrange(2))
        else:
            idle = [key for key in self.hosts[which].cells if not self.hosts[which].busy(key)]
            if idle:
                del self.hosts[which].cells[rnd.choice(idle)]

    def _quiet(self) -> None:
        """One copy is left, nothing is lost; timers and sweeps of the host act, nobody else."""
        self._kill(1)
        self.weather.loss = self.weather.double = self.weather.crash = self.weather.away = self.weather.pause = 0
        for _ in range(5):
            self._drain()
            self.store.later(20)  # what was asked in the night is past its deadline
            for uid, count in self.images.items():
                if self.store.study(uid).images < count:
                    self._told_of_images(uid, quiet=False)
            self.fire(everything=True)
            self.net.append(Message(_DECIDER, sealed(Tick())))
        self._drain()
        self._nobody_waits()
        self._offers_end()

    def _drain(self) -> None:
        left, host = _LEFT, self.hosts[0]
        while self.net or host.works:
            left -= 1
            if not left:
                raise Broken("the quiet night is never quiet")
            if host.works:
                self.go_on(0)
            else:
                self.deliver(self.net.pop(0), 0)

    def _decider(self) -> TenantActor:
        actor: Any = self.hosts[0].cells[_DECIDER].entity
        return actor  # type: ignore[no-any-return]

    def _nobody_waits(self) -> None:
        """Nothing is reserved that can land no more, and nobody who is free may have a study that waits."""
        ledger = self._decider()._ledger
        if ledger is None or ledger.epoch != self.store.epoch:
            raise Broken("nobody decides")
        if ledger.reserved:
            raise Broken(f"a reservation is never released: {sorted(ledger.reserved)}")
        studies = [self.store.study(uid) for uid in self.studies]
        for study in studies:
            known = ledger.studies.get(study.study_uid)
            if study.open and (known is None or known.rev != study.rev):
                raise Broken(f"the decider has not heard of {study.study_uid}")
            if known is None or not study.offerable:
                continue
            for reader in ledger.loaded(self.store.now):
                load = sum(s.load_of == reader.radiologist_id for s in studies if s.status in LIVE)
                if load != reader.load:
                    raise Broken(f"the ledger has {reader.load} for {reader.radiologist_id}, who has {load}")
                if ledger.why_not(ledger.waiting(known), reader, self.store.now) is None:
                    raise Broken(f"{study.study_uid} waits, and {reader.radiologist_id} is free")

    def _offers_end(self) -> None:
        """An offer that nobody answers ends at its time."""
        for uid in self.studies:
            study = self.store.study(uid)
            if study.offer is None:
                continue
            timer = self.store.timers.get((study_key(TENANT, uid).entity, "offer"))
            if timer is None:
                raise Broken(f"the offer of {uid} has no timer")
            self.store.now = max(self.store.now, timer.due_at)
            self.fire(everything=True)
            self._drain()
            after = self.store.study(uid)
            if after.offer is not None and after.offer.offer_id == study.offer.offer_id:
                raise Broken(f"the offer of {uid} never expires")
        self.fire(everything=True)
        self._drain()
