"""The single decider of a tenant: who is offered what.

Pool, ledger and reservations are in memory only. Activating bumps the decider's epoch, *then* reads
the rows: earlier grants are seen, later ones of a deposed decider are refused by the database. A
reservation is released only when its grant has landed or can land no more (``Ledger``), and unanswered
ones are told again with the same offer.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog
from uuid_utils import uuid7

from actors import meters, tracing
from actors.domain.assignment.engine import decide, next_for, window
from actors.domain.assignment.record import record
from actors.domain.commands import Assign, AssignStudy, Claim, Envelope, FireTimer, Grant, JoinOrder, NextCase, Offer
from actors.domain.errors import BadPayload, NotEligible, NotFound, NothingToRead, Retry
from actors.domain.identity import study_key
from actors.domain.reading import OFF
from actors.domain.study import LIVE
from actors.domain.unit import Recorded, TimerArm, Unit
from actors.domain.words import Presence, Priority, Status
from actors.mailbox import answered, digest
from actors.tenant.experience import Experience
from actors.tenant.ledger import Ledger, Reservation
from actors.tenant.muster import Muster
from actors.tenant.notices import Notices
from actors.tenant.recalls import recalls
from actors.tenant.shadow import Shadow
from actors.told import FORWARD, Changed, Forwarded, ReaderChanged, Spent, Tick
from storage import heads, hydrate, journal

if TYPE_CHECKING:
    from actors.domain.assignment.case import Choice
    from actors.domain.commands import StudyCommand
    from actors.domain.identity import Key
    from actors.domain.policy import Policy
    from actors.world import World

log = structlog.get_logger()

_MIDNIGHT = "midnight"
_REMEMBERED = 1000
_PEACE = timedelta(seconds=10)  # a deposed decider takes over again when nobody asked it so long: the other may be dead
_SETTLED = timedelta(seconds=15)  # after a deadline, longer than a commit may take: its grant can land no more


class TenantActor:
    """Decides for one tenant."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._ledger: Ledger | None = None
        self._muster = Muster(key, world)
        self._shadow = Shadow(key, world)
        self._deposed_at: datetime | None = None
        self._passed: dict[tuple[str, str], tuple[str, StudyCommand]] = {}  # commands that studies are answering
        self._notices = Notices(key, world)
        self._experience = Experience(key, world)

    def forget(self) -> None:
        """Decide anew: bump the epoch and read the rows before the next message."""
        if self._ledger is not None:
            meters.STUDIES_OPEN.remove(self._key.tenant_id)
            meters.STUDIES_WAITING.remove(self._key.tenant_id)
        self._ledger = None
        self._muster = Muster(self._key, self._world)
        self._experience.forget()
        self._passed.clear()  # grants of this epoch can land no more once the next one has begun

    async def current(self) -> bool:
        """Whether a refusal may be sent: the ledger was read again for it."""
        return True

    async def handle(self, envelope: Envelope) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912 - one line a message
        """Take one message."""
        message: Any = envelope.command
        if isinstance(message, FireTimer):
            await self._midnight()
            return {}
        if self._deposed_at and isinstance(message, Tick) and self._world.now() < self._deposed_at + _PEACE:
            return {}  # another host decides; whoever asks here again makes this one decide
        self._deposed_at = None
        ledger = await self._active()
        if isinstance(message, NextCase | AssignStudy) and (known := await self._again(envelope)):
            return known  # only now: what an earlier decider granted has landed by now, or never will
        match message:
            case Spent():
                ledger.release(message.study_uid, message.offer_id)
            case Changed():
                freed = ledger.learn(message.study)
                await self._decide(ledger, None if freed else message.study.study_uid)
                return {}
            case ReaderChanged():
                if message.state == Presence.ONLINE:
                    ledger.back[message.user_id] = self._world.now().timestamp()
                await self._muster.one(message.user_id)
                await self._call_roll(ledger)
            case Tick():
                if await self._replaced(ledger):
                    return {}
                await self._catch_up(ledger)
                await self._experience.refresh(ledger)
                for study_uid, recall in recalls(ledger, self._world.now()):
                    self._world.tell(study_key(self._key.tenant_id, study_uid), Envelope(recall))
                if not ledger.batch_over(self._world.now()):
                    return {}
            case NextCase():
                return await self._next_case(ledger, envelope, message.study_uid)
            case AssignStudy():
                return await self._assign(ledger, envelope, message)
            case _:
                raise BadPayload("A tenant knows no such command.")
        await self._decide(ledger)
        return {}

    # -- knowing ------------------------------------------------------------------------------
    async def _active(self) -> Ledger:
        if self._ledger is None:
            tenant_id, began = self._key.tenant_id, perf_counter()
            async with self._world.db.scope([tenant_id]) as conn:
                epoch = await heads.bump(conn, tenant_id)
            ledger = Ledger(epoch)  # the epoch is committed: only now are the rows read
            async with self._world.db.scope([tenant_id]) as conn:
                studies = await hydrate.open_studies(conn, tenant_id)
                apart = await hydrate.unjoined(conn, tenant_id)
                armed = await hydrate.timer_armed(conn, tenant_id, self._key.entity, _MIDNIGHT)
            ledger.know(studies)
            await self._muster.refresh()
            await self._call_roll(ledger)
            await self._experience.refresh(ledger)
            if not armed:
                await self._world.commit(await self._night())
            self._ledger = ledger
            meters.STUDIES_OPEN.labels(tenant_id).set(len(ledger.studies))
            meters.ACTIVATION.labels("tenant").observe(perf_counter() - began)
            for study_uid, accession_number in apart:  # the host that should have told them was lost
                self._world.tell(study_key(tenant_id, study_uid), Envelope(JoinOrder(accession_number)))
            log.info("DeciderActivated", tenant_id=tenant_id, epoch=epoch, studies=len(ledger.studies))
        return self._ledger

    async def _call_roll(self, ledger: Ledger) -> None:
        """Reckon anew who reads, and tell the feed of whoever is another than it said."""
        policy = await self._world.directory.policy(self._key.tenant_id)
        ledger.place(await self._world.directory.sites(self._key.tenant_id))
        ledger.follow(policy.assignment)
        readers = await self._muster.roll({s.reading_by for s in ledger.studies.values() if s.reading_by})
        ledger.meet(readers, self._world.now().timestamp())
        ledger.own = self._muster.own_capacity()
        await self._muster.announce()

    async def _replaced(self, ledger: Ledger) -> bool:
        """Whether another decider has bumped the epoch; this one then holds its peace."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            deposed = await hydrate.decider(conn, self._key.tenant_id) != ledger.epoch
        if deposed:
            self._deposed_at = self._world.now()
            self.forget()
        return deposed

    async def _catch_up(self, ledger: Ledger) -> None:
        """Read what tells may have missed, and tell again what got no answer."""
        tenant_id = self._key.tenant_id
        await self._muster.refresh()
        async with self._world.db.scope([tenant_id]) as conn:
            pos = await heads.position(conn, tenant_id)
            if pos != ledger.pos:  # every change of a study is in the feed
                revs = await hydrate.revs(conn, tenant_id, list(ledger.studies))
                news = [u for u, rev in revs.items() if u not in ledger.studies or ledger.studies[u].rev < rev]
                fresh = await hydrate.some_studies(conn, tenant_id, news) if news else {}
                for study in fresh.values():
                    ledger.learn(study)
                ledger.pos = pos
        await self._call_roll(ledger)
        gone = ledger.settle(self._world.now() - _SETTLED)
        if gone:  # asked for under the same key again, it is decided anew
            passed = self._passed.items()
            self._passed = {k: (uid, what) for k, (uid, what) in passed if _offer_id(what) not in gone}
        for study_uid, held in ledger.reserved.items():
            self._world.tell(study_key(tenant_id, study_uid), held.told)

    # -- deciding -----------------------------------------------------------------------------
    async def _decide(self, ledger: Ledger, only: str | None = None) -> None:
        """Offer what can be offered; ``only`` one study when nothing else has become possible."""
        pool = ledger.pool(only)
        if only is None:
            meters.STUDIES_OPEN.labels(self._key.tenant_id).set(len(ledger.studies))
            meters.STUDIES_WAITING.labels(self._key.tenant_id).set(len(pool))
        if not pool:
            return
        policy = await self._world.directory.policy(self._key.tenant_id)
        now = self._world.now()
        readers = ledger.loaded(now)
        seed = ledger.seed()
        with tracing.span("decide", waiting=str(len(pool)), readers=str(len(readers))):
            choices = decide(pool, readers, policy.assignment, now.timestamp(), seed, ledger.minutes)
        if choices:
            decision_id = str(uuid7())
            for choice in choices:
                self._offer(ledger, choice, policy, decision_id)
            rules, minutes = policy.assignment, ledger.minutes
            made = record(pool, readers, rules, now.timestamp(), seed, minutes, version=policy.version)
            self._world.spawn(self._experience.keep(decision_id, made))
        if tried := await self._world.directory.shadow(self._key.tenant_id):
            self._shadow.follow(ledger, pool, readers, (policy, choices), tried, now)
        left = [w for w in pool if w.study_uid not in ledger.reserved]
        await self._notices.nobody(ledger, left, readers, self._muster.on_call(), now)
        await self._notices.refused(ledger, left, self._muster.on_call(), now)

    def _offer(self, ledger: Ledger, choice: Choice, policy: Policy, decision_id: str) -> None:
        study = ledger.studies[choice.study_uid]
        grant = Grant(choice.radiologist_id, str(uuid7()), choice.step, ledger.epoch, choice.over_cap)
        explanation = choice.explanation | {"decision_id": decision_id, "policy_version": policy.version}
        told = Envelope(Offer(grant, choice.why, policy.offer_open_s[study.priority], explanation))
        ledger.reserve(choice.study_uid, Reservation(choice.radiologist_id, choice.step, told), self._world.now())
        self._world.tell(study_key(self._key.tenant_id, choice.study_uid), told)

    # -- persons ------------------------------------------------------------------------------
    async def _next_case(self, ledger: Ledger, envelope: Envelope, wanted: str) -> dict[str, Any]:
        if envelope.by is None:
            raise BadPayload("Only a reader asks for the next case.")
        await self._catch_up(ledger)
        me = ledger.readers.get(envelope.by.user_id)
        if me is None:
            raise NothingToRead
        if me.presence is Presence.OFF:
            raise NotEligible(OFF, {"why": "presence is off"})
        now = self._world.now()
        asking = ledger.with_hands(replace(me, presence=Presence.ONLINE), now)
        pool, seed = ledger.pool(), ledger.seed()
        if wanted:
            if wanted not in window(pool, asking, ledger.rules, now.timestamp(), ledger.minutes):
                raise NotEligible("It is not among the first of your list.", {"why": "outside the window"})
            pool = [w for w in pool if w.study_uid == wanted]
        choice = next_for(pool, asking, ledger.rules, now.timestamp(), seed, ledger.minutes)
        if choice is None:
            raise NothingToRead
        policy = await self._world.directory.policy(self._key.tenant_id)
        made = record(
            pool, [asking], ledger.rules, now.timestamp(), seed, ledger.minutes, version=policy.version, asking=True
        )
        decision_id = str(uuid7())
        self._world.spawn(self._experience.keep(decision_id, made))
        explanation = choice.explanation | {"decision_id": decision_id, "policy_version": policy.version}
        grant = Grant(me.radiologist_id, str(uuid7()), choice.step, ledger.epoch, choice.over_cap)
        command = Claim(grant, explanation)
        return self._reserve(ledger, choice.study_uid, command, envelope)

    async def _assign(self, ledger: Ledger, envelope: Envelope, message: AssignStudy) -> dict[str, Any]:
        await self._catch_up(ledger)
        study = ledger.studies.get(message.study_uid)
        reader = ledger.readers.get(message.radiologist_id)
        if reader is None:
            raise NotFound("There is no such reader in this group.", {"field": "radiologist_id"})
        closed = study is None or study.status not in (Status.UNREAD, *LIVE)
        if study is None or closed or study.step > message.version:  # the study says no, and how it is now
            return self._forward(message.study_uid, envelope, self._grant(ledger, message, over_cap=False))
        held = ledger.reserved.get(message.study_uid)
        if held is not None and isinstance(held.told.command, Assign):  # another manager was first: the study says whom
            probe = Assign(Grant("", "", message.version, ledger.epoch), late=True)
            passed = Forwarded(probe, envelope.by, envelope.idem, envelope.deadline, digest=digest(envelope))
            return {FORWARD: (study_key(self._key.tenant_id, message.study_uid), passed)}
        if held is not None or study.step < message.version:
            raise Retry("An offer of this study is under way.")
        now = self._world.now()
        had = ledger.with_hands(reader, now)
        load_now = had.load - (study.load_of == reader.radiologist_id)
        waiting = replace(ledger.waiting(study), asked={}, closed=frozenset(), priority=Priority.STAT)
        why = ledger.why_not(waiting, replace(had, load=load_now), now)
        fixed = waiting.attending and not reader.may_sign_final  # no override makes it a second pair of eyes
        if why and (fixed or reader.radiologist_id in waiting.barred or not message.override):
            raise NotEligible(f"{reader.name} {why}.", {"why": why})
        if study.status is Status.READING and not message.reason.strip():
            raise BadPayload("Somebody is reading it: give a reason.", {"field": "reason"})
        command = self._grant(ledger, message, over_cap=load_now >= reader.capacity)
        return self._reserve(ledger, message.study_uid, command, envelope)

    def _grant(self, ledger: Ledger, message: AssignStudy, *, over_cap: bool) -> Assign:
        grant = Grant(message.radiologist_id, str(uuid7()), message.version, ledger.epoch, over_cap)
        return Assign(grant, message.reason, {"why": "A manager gave it to you.", "reason": message.reason})

    def _reserve(self, ledger: Ledger, study_uid: str, command: Claim | Assign, envelope: Envelope) -> dict[str, Any]:
        """Keep the place and pass the command on; told again, it still leaves its answer under the person's key."""
        grant = command.grant
        told = Forwarded(command, envelope.by, envelope.idem, envelope.deadline, digest=digest(envelope))
        ledger.reserve(study_uid, Reservation(grant.radiologist_id, grant.step, told), self._world.now())
        return self._forward(study_uid, envelope, command)

    def _forward(self, study_uid: str, envelope: Envelope, command: StudyCommand) -> dict[str, Any]:
        """Return where the host asks next, once this mailbox is free; the study's answer is the caller's."""
        if envelope.idem is not None and envelope.by is not None:
            self._passed[envelope.by.user_id, envelope.idem] = (study_uid, command)
            if len(self._passed) > _REMEMBERED:
                del self._passed[next(iter(self._passed))]
        passed = Forwarded(command, envelope.by, envelope.idem, envelope.deadline, digest=digest(envelope))
        if self._ledger is not None:
            self._ledger.prolong(study_uid, passed)
        return {FORWARD: (study_key(self._key.tenant_id, study_uid), passed)}

    async def _again(self, envelope: Envelope) -> dict[str, Any] | None:
        """Return what this very command led to before: its answer, or the same grant once more."""
        known = await answered(self._world, self._key, envelope)
        if known is not None or envelope.idem is None or envelope.by is None:
            return known
        passed = self._passed.get((envelope.by.user_id, envelope.idem))
        return passed and self._forward(passed[0], envelope, passed[1])

    # -- midnight -----------------------------------------------------------------------------
    async def _night(self) -> Unit:
        """Return the unit that arms the tenant's next midnight."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            zone = ZoneInfo(await hydrate.time_zone(conn, self._key.tenant_id))
        tomorrow = self._world.now().astimezone(zone).date() + timedelta(days=1)
        midnight = datetime.combine(tomorrow, time(), zone).astimezone(UTC)
        return Unit(self._key, arm=[TimerArm(_MIDNIGHT, 0, midnight)])

    async def _midnight(self) -> None:
        """Begin to count anew what was signed today; the journal's version lets one host do it."""
        tenant_id, entity = self._key.tenant_id, self._key.entity
        unit = await self._night()
        async with self._world.db.scope([tenant_id]) as conn:
            version, _ = await journal.last(conn, tenant_id, entity)
            counted = await heads.counters(conn, tenant_id)
        unit.events.append(Recorded(entity, version + 1, "DayTurned", {}, self._world.now()))
        for stream, counters in counted.items():
            unit.counters[stream] = {"final_today": -counters.get("final_today", 0)}
        await self._world.commit(unit)


def _offer_id(command: StudyCommand) -> str:
    return command.grant.offer_id if isinstance(command, Claim | Assign) else ""
