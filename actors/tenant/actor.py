"""The single decider of a tenant: who is offered what.

Pool, ledger and reservations are in memory only. Activating bumps the decider's epoch, *then* reads
the rows: earlier grants are seen, later ones of a deposed decider are refused by the database. A
reservation is released only when its grant has landed or can land no more (``Ledger``), and unanswered
ones are told again with the same offer.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

import structlog
from uuid_utils import uuid7

from actors import meters, tracing
from actors.domain.assignment.engine import decide
from actors.domain.commands import AssignStudy, Envelope, FireTimer, Grant, JoinOrder, NextCase, Offer
from actors.domain.errors import BadPayload
from actors.domain.identity import study_key
from actors.domain.words import Presence
from actors.tenant.experience import Experience
from actors.tenant.ledger import Ledger, Reservation
from actors.tenant.midnight import Midnight
from actors.tenant.muster import Muster
from actors.tenant.notices import Notices
from actors.tenant.persons import Persons
from actors.tenant.recalls import recalls
from actors.tenant.shadow import Shadow
from actors.told import Changed, ReaderChanged, Spent, Tick
from storage import heads, hydrate

if TYPE_CHECKING:
    from actors.domain.assignment.case import Choice
    from actors.domain.identity import Key
    from actors.domain.policy import Policy
    from actors.world import World

log = structlog.get_logger()

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
        self._midnight = Midnight(key, world)
        self._notices = Notices(key, world)
        self._experience = Experience(key, world)
        self._persons = Persons(key, world, self._experience)

    def forget(self) -> None:
        """Decide anew: bump the epoch and read the rows before the next message."""
        if self._ledger is not None:
            meters.STUDIES_OPEN.remove(self._key.tenant_id)
            meters.STUDIES_WAITING.remove(self._key.tenant_id)
        self._ledger = None
        self._muster = Muster(self._key, self._world)
        self._experience.forget()
        self._persons.forget()

    async def current(self) -> bool:
        """Whether a refusal may be sent: the ledger was read again for it."""
        return True

    async def handle(self, envelope: Envelope) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912 - one line a message
        """Take one message."""
        message: Any = envelope.command
        if isinstance(message, FireTimer):
            await self._midnight.turn()
            return {}
        if self._deposed_at and isinstance(message, Tick) and self._world.now() < self._deposed_at + _PEACE:
            return {}  # another host decides; whoever asks here again makes this one decide
        self._deposed_at = None
        ledger = await self._active()
        if isinstance(message, NextCase | AssignStudy) and (known := await self._persons.again(ledger, envelope)):
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
                await self._catch_up(ledger)
                return await self._persons.next_case(ledger, envelope, message.study_uid)
            case AssignStudy():
                await self._catch_up(ledger)
                return self._persons.assign(ledger, envelope, message)
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
                async for study in hydrate.open_studies(conn, tenant_id):
                    ledger.learn(study)
                apart = await hydrate.unjoined(conn, tenant_id)
            await self._muster.refresh()
            await self._call_roll(ledger)
            await self._experience.refresh(ledger)
            await self._midnight.arm()
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
            self._persons.give_up(gone)
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
            stamp = self._experience.note(ledger, pool, readers, policy, seed, now)
            for choice in choices:
                self._offer(ledger, choice, policy, stamp)
        if tried := await self._world.directory.shadow(self._key.tenant_id):
            self._shadow.follow(ledger, pool, readers, (policy, choices), tried, now)
        left = [w for w in pool if w.study_uid not in ledger.reserved]
        await self._notices.nobody(ledger, left, readers, self._muster.on_call(), now)
        await self._notices.refused(ledger, left, self._muster.on_call(), now)

    def _offer(self, ledger: Ledger, choice: Choice, policy: Policy, stamp: dict[str, Any]) -> None:
        study = ledger.studies[choice.study_uid]
        grant = Grant(choice.radiologist_id, str(uuid7()), choice.step, ledger.epoch, choice.over_cap)
        offer = Offer(grant, choice.why, policy.offer_open_s[study.priority], choice.explanation | stamp)
        told = Envelope(offer)
        ledger.reserve(choice.study_uid, Reservation(choice.radiologist_id, choice.step, told), self._world.now())
        self._world.tell(study_key(self._key.tenant_id, choice.study_uid), told)
