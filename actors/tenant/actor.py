"""The single decider of a tenant: who is offered what.

Pool, ledger and reservations are in memory only. Activating bumps the decider's epoch, *then* reads
the rows: earlier grants are seen, later ones of a deposed decider are refused by the database. A
reservation is released only when the study's step has moved past the one seen, never by time-out;
unanswered ones are told again with the same offer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog
from uuid_utils import uuid7

from actors.domain.assignment import Reader, Waiting, barred, decide, ineligible
from actors.domain.commands import Assign, AssignStudy, Claim, Envelope, FireTimer, Grant, NextCase, Offer
from actors.domain.errors import BadPayload, NotEligible, NotFound, NothingToRead, Retry, StaleVersion
from actors.domain.identity import study_key
from actors.domain.study import LIVE, load
from actors.domain.unit import FeedItem, TimerArm, Unit
from actors.domain.words import Presence, Priority, Status
from actors.mailbox import answered, digest
from actors.told import FORWARD, Changed, Forwarded, ReaderChanged, Tick
from storage import heads, hydrate

if TYPE_CHECKING:
    from actors.domain.assignment import Choice
    from actors.domain.commands import StudyCommand
    from actors.domain.identity import Key
    from actors.domain.policy import Policy
    from actors.domain.study import Study
    from actors.world import World
    from storage.hydrate import Site

log = structlog.get_logger()

_MIDNIGHT = "midnight"
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was granted and has not been answered; ``told`` is sent again until it is."""

    radiologist_id: str
    step: int
    told: StudyCommand


class Ledger:
    """What the decider knows: studies, readers, reservations."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.studies: dict[str, Study] = {}
        self.readers: dict[str, Reader] = {}
        self.sites: dict[str, Site] = {}
        self.reserved: dict[str, Reservation] = {}

    def learn(self, study: Study) -> None:
        """Take a study as it stands; versions make this idempotent and proof against reordering."""
        known = self.studies.get(study.study_uid)
        if known is not None and known.rev > study.rev:
            return
        self.studies[study.study_uid] = study
        held = self.reserved.get(study.study_uid)
        if held is not None and study.step > held.step:
            del self.reserved[study.study_uid]
        if not study.open:
            del self.studies[study.study_uid]
            self.reserved.pop(study.study_uid, None)

    def load(self, radiologist_id: str) -> int:
        """Live studies of a reader, and what is reserved for her."""
        live = sum(1 for s in self.studies.values() if s.load_of == radiologist_id and s.study_uid not in self.reserved)
        return live + sum(1 for held in self.reserved.values() if held.radiologist_id == radiologist_id)

    def loaded(self) -> list[Reader]:
        """Return the readers with their loads."""
        return [replace(r, load=self.load(r.radiologist_id)) for r in self.readers.values()]

    def waiting(self, study: Study) -> Waiting:
        """Return a study as the rules of assignment see it."""
        site = self.sites.get(study.site_id)
        return Waiting(
            study.study_uid,
            study.step,
            study.priority,
            study.acuity,
            study.sla.due_at if study.sla else None,
            study.sla.started_at if study.sla else None,
            study.modality,
            study.body_part,
            study.procedure,
            site.jurisdiction if site else None,
            study.excluded,
            {a.radiologist_id: a.at for a in study.asked},
        )

    def pool(self) -> list[Waiting]:
        """Return what may be offered now."""
        return [self.waiting(s) for s in self.studies.values() if s.offerable and s.study_uid not in self.reserved]


class TenantActor:
    """Decides for one tenant."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._ledger: Ledger | None = None
        self._deposed = False
        self._passed: dict[tuple[str, str], tuple[str, StudyCommand]] = {}  # commands that studies are answering
        self._warned: dict[str, int] = {}  # study → step at which managers were told that nobody can read it

    def forget(self) -> None:
        """Decide anew: bump the epoch and read the rows before the next message."""
        self._ledger = None

    async def current(self) -> bool:
        """Whether a refusal may be sent: the ledger was read again for it."""
        return True

    async def handle(self, envelope: Envelope) -> dict[str, Any]:  # noqa: C901, PLR0911 - one line a message
        """Take one message."""
        message: Any = envelope.command
        if isinstance(message, FireTimer):
            await self._midnight(message)
            return {}
        if isinstance(message, NextCase | AssignStudy) and (known := await self._again(envelope)):
            return known
        if self._deposed and isinstance(message, Tick):
            return {}  # another host decides; whoever asks here again makes this one decide
        self._deposed = False
        ledger = await self._active()
        match message:
            case Changed():
                ledger.learn(load(message.doc))
            case ReaderChanged():
                reader = ledger.readers.get(message.user_id)
                if reader is not None:
                    ledger.readers[message.user_id] = replace(reader, presence=Presence(message.state))
                else:
                    await self._read_readers(ledger)
            case Tick():
                if await self._replaced(ledger):
                    return {}
                await self._catch_up(ledger)
            case NextCase():
                return await self._next_case(ledger, envelope)
            case AssignStudy():
                return await self._assign(ledger, envelope, message)
            case _:
                raise BadPayload("A tenant knows no such command.")
        await self._decide(ledger)
        return {}

    # -- knowing ------------------------------------------------------------------------------
    async def _active(self) -> Ledger:
        if self._ledger is None:
            tenant_id = self._key.tenant_id
            async with self._world.db.scope([tenant_id]) as conn:
                epoch = await heads.bump(conn, tenant_id)
            ledger = Ledger(epoch)  # the epoch is committed: only now are the rows read
            async with self._world.db.scope([tenant_id]) as conn:
                ledger.studies = await hydrate.open_studies(conn, tenant_id)
            await self._read_readers(ledger)
            self._ledger = ledger
            await self._midnight()
            log.info("DeciderActivated", tenant_id=tenant_id, epoch=epoch, studies=len(ledger.studies))
        return self._ledger

    async def _read_readers(self, ledger: Ledger) -> None:
        tenant_id = self._key.tenant_id
        policy = await self._world.directory.policy(tenant_id)
        ledger.sites = await self._world.directory.sites(tenant_id)
        async with self._world.db.scope([tenant_id]) as conn:
            ledger.readers = await hydrate.readers(conn, tenant_id, policy.capacity)

    async def _replaced(self, ledger: Ledger) -> bool:
        """Whether another decider has bumped the epoch; this one then holds its peace."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            self._deposed = await hydrate.decider(conn, self._key.tenant_id) != ledger.epoch
        if self._deposed:
            self._ledger = None
        return self._deposed

    async def _catch_up(self, ledger: Ledger) -> None:
        """Read what tells may have missed, and tell again what got no answer."""
        tenant_id = self._key.tenant_id
        await self._read_readers(ledger)
        async with self._world.db.scope([tenant_id]) as conn:
            revs = await hydrate.revs(conn, tenant_id, list(ledger.studies))
            news = [u for u, rev in revs.items() if u not in ledger.studies or ledger.studies[u].rev < rev]
            fresh = await hydrate.some_studies(conn, tenant_id, news) if news else {}
        for study in fresh.values():
            ledger.learn(study)
        for study_uid, held in ledger.reserved.items():
            self._world.tell(study_key(tenant_id, study_uid), Envelope(held.told))

    # -- deciding -----------------------------------------------------------------------------
    async def _decide(self, ledger: Ledger) -> None:
        pool = ledger.pool()
        if not pool:
            return
        now, policy = self._world.now(), await self._world.directory.policy(self._key.tenant_id)
        for choice in decide(pool, ledger.loaded(), now):
            self._offer(ledger, choice, policy)
        await self._nobody(ledger, [w for w in pool if w.study_uid not in ledger.reserved], now)

    def _offer(self, ledger: Ledger, choice: Choice, policy: Policy) -> None:
        study = ledger.studies[choice.study_uid]
        grant = Grant(choice.radiologist_id, str(uuid7()), choice.step, ledger.epoch, choice.over_cap)
        told = Offer(grant, choice.why, policy.offer_open_s[study.priority], choice.explanation)
        ledger.reserved[choice.study_uid] = Reservation(choice.radiologist_id, choice.step, told)
        self._world.tell(study_key(self._key.tenant_id, choice.study_uid), Envelope(told))

    async def _nobody(self, ledger: Ledger, left: list[Waiting], now: datetime) -> None:
        """Tell the managers, once a study and step, that nobody can take it now."""
        news = [w for w in left if self._warned.get(w.study_uid) != w.step]
        if not news:
            return
        tenant_id = self._key.tenant_id
        async with self._world.db.scope([tenant_id]) as conn:
            managers = await hydrate.managers(conn, tenant_id)
        unit = Unit(self._key)
        for waiting in news:
            self._warned[waiting.study_uid] = waiting.step
            present = [r for r in ledger.loaded() if r.presence in (Presence.ONLINE, Presence.READING)]
            why = ineligible(waiting, present[0], now) if present else None
            text = "Nobody is present to read this study." if not present else "Nobody present may take this study now."
            message = {"id": str(uuid7()), "study_uid": waiting.study_uid, "text": text, "why": why}
            data = {"study_uid": waiting.study_uid, "message": message}
            unit.feed += [FeedItem(f"user:{m}", message["id"] or "", "message_received", data) for m in managers]
        if unit.feed:
            await self._world.commit(unit)
        live = set(ledger.studies)
        self._warned = {u: step for u, step in self._warned.items() if u in live}

    # -- persons ------------------------------------------------------------------------------
    async def _next_case(self, ledger: Ledger, envelope: Envelope) -> dict[str, Any]:
        if envelope.by is None:
            raise BadPayload("Only a reader asks for the next case.")
        await self._catch_up(ledger)
        me = ledger.readers.get(envelope.by.user_id)
        if me is None:
            raise NothingToRead
        now = self._world.now()
        asking = replace(me, load=ledger.load(me.radiologist_id), presence=Presence.ONLINE)
        if me.presence is Presence.OFF:
            raise NotEligible("You are off: set your presence first.", {"why": "presence is off"})
        able = [w for w in ledger.pool() if barred(w, asking, now) is None]
        choices = decide([replace(w, asked={}) for w in able], [asking], now)
        if not choices:
            raise NothingToRead
        choice = choices[0]
        grant = Grant(me.radiologist_id, str(uuid7()), choice.step, ledger.epoch, choice.over_cap)
        command = Claim(grant)
        ledger.reserved[choice.study_uid] = Reservation(me.radiologist_id, choice.step, command)
        return self._forward(choice.study_uid, envelope, command)

    async def _assign(self, ledger: Ledger, envelope: Envelope, message: AssignStudy) -> dict[str, Any]:
        await self._catch_up(ledger)
        study = ledger.studies.get(message.study_uid)
        reader = ledger.readers.get(message.radiologist_id)
        if reader is None:
            raise NotFound("There is no such reader in this group.", {"field": "radiologist_id"})
        if study is None or study.status not in (Status.UNREAD, *LIVE):
            return self._forward(message.study_uid, envelope, self._grant(ledger, message, over_cap=False))
        if study.step != message.version:
            raise StaleVersion
        if message.study_uid in ledger.reserved:
            raise Retry("An offer of this study is under way.")
        load_now = ledger.load(reader.radiologist_id) - (study.load_of == reader.radiologist_id)
        why = ineligible(
            replace(ledger.waiting(study), asked={}, priority=Priority.STAT),
            replace(reader, load=load_now),
            self._world.now(),
        )
        if why and not message.override:
            raise NotEligible(f"{reader.name} {why}.", {"why": why})
        if study.status is Status.READING and not message.reason.strip():
            raise BadPayload("Somebody is reading it: give a reason.", {"field": "reason"})
        command = self._grant(ledger, message, over_cap=load_now >= reader.capacity)
        ledger.reserved[message.study_uid] = Reservation(reader.radiologist_id, message.version, command)
        return self._forward(message.study_uid, envelope, command)

    def _grant(self, ledger: Ledger, message: AssignStudy, *, over_cap: bool) -> Assign:
        grant = Grant(message.radiologist_id, str(uuid7()), message.version, ledger.epoch, over_cap)
        return Assign(grant, message.reason)

    def _forward(self, study_uid: str, envelope: Envelope, command: StudyCommand) -> dict[str, Any]:
        """Return where the host asks next, once this mailbox is free; the study's answer is the caller's."""
        if envelope.idem is not None and envelope.by is not None:
            self._passed[envelope.by.user_id, envelope.idem] = (study_uid, command)
            if len(self._passed) > _REMEMBERED:
                del self._passed[next(iter(self._passed))]
        passed = Forwarded(command, envelope.by, envelope.idem, envelope.deadline, digest=digest(envelope))
        return {FORWARD: (study_key(self._key.tenant_id, study_uid), passed)}

    async def _again(self, envelope: Envelope) -> dict[str, Any] | None:
        """Return what this very command led to before: its answer, or the same grant once more."""
        known = await answered(self._world, self._key, envelope)
        if known is not None or envelope.idem is None or envelope.by is None:
            return known
        passed = self._passed.get((envelope.by.user_id, envelope.idem))
        return passed and self._forward(passed[0], envelope, passed[1])

    # -- midnight -----------------------------------------------------------------------------
    async def _midnight(self, timer: FireTimer | None = None) -> None:
        """Arm the tenant's next midnight; at one, begin to count anew what was signed today."""
        tenant_id = self._key.tenant_id
        async with self._world.db.scope([tenant_id]) as conn:
            zone = ZoneInfo(await hydrate.time_zone(conn, tenant_id))
            counted = await heads.counters(conn, tenant_id) if timer else {}
        unit = Unit(self._key)
        local = self._world.now().astimezone(zone)
        midnight = datetime.combine(local.date() + timedelta(days=1), time(), zone)
        unit.arm.append(TimerArm(_MIDNIGHT, 0, midnight.astimezone(UTC)))
        for stream, counters in counted.items():
            if counters.get("final_today"):
                unit.counters[stream] = {"final_today": -counters["final_today"]}
        await self._world.commit(unit)
