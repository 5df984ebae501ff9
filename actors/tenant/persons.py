"""What persons ask of the decider: the next case, and that a reader be given a study.

Both raise a load, so the place is reserved here; what becomes of it the study says, whom the host asks next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from uuid_utils import uuid7

from actors.domain.assignment.engine import next_for, window
from actors.domain.commands import Assign, Claim, Envelope, Grant
from actors.domain.errors import BadPayload, NotEligible, NotFound, NothingToRead, Retry
from actors.domain.identity import study_key
from actors.domain.reading import OFF
from actors.domain.study import LIVE
from actors.domain.words import Presence, Priority, Status
from actors.mailbox import answered, digest
from actors.tenant.ledger import Reservation
from actors.told import FORWARD, Forwarded

if TYPE_CHECKING:
    from collections.abc import Collection

    from actors.domain.commands import AssignStudy, StudyCommand
    from actors.domain.identity import Key
    from actors.tenant.experience import Experience
    from actors.tenant.ledger import Ledger
    from actors.world import World

_REMEMBERED = 1000


class Persons:
    """Answers the readers and managers of one tenant, from a ledger that has just caught up."""

    def __init__(self, key: Key, world: World, experience: Experience) -> None:
        self._key, self._world, self._experience = key, world, experience
        self._passed: dict[tuple[str, str], tuple[str, StudyCommand]] = {}  # commands that studies are answering

    def forget(self) -> None:
        """There is a new epoch: grants of the one before can land no more."""
        self._passed.clear()

    def give_up(self, offer_ids: Collection[str]) -> None:
        """Decide anew what is asked for again under the key of one of these."""
        passed = self._passed.items()
        self._passed = {k: (uid, what) for k, (uid, what) in passed if _offer_id(what) not in offer_ids}

    async def again(self, ledger: Ledger, envelope: Envelope) -> dict[str, Any] | None:
        """Return what this very command led to before: its answer, or the same grant once more."""
        known = await answered(self._world, self._key, envelope)
        if known is not None or envelope.idem is None or envelope.by is None:
            return known
        passed = self._passed.get((envelope.by.user_id, envelope.idem))
        return passed and self._forward(ledger, passed[0], envelope, passed[1])

    async def next_case(self, ledger: Ledger, envelope: Envelope, wanted: str) -> dict[str, Any]:
        """Reserve what the reader is to read next, or the ``wanted`` one of the first of her list."""
        if envelope.by is None:
            raise BadPayload("Only a reader asks for the next case.")
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
        stamp = self._experience.note(ledger, pool, [asking], policy, seed, now, asking=True)
        grant = Grant(me.radiologist_id, str(uuid7()), choice.step, ledger.epoch, choice.over_cap)
        return self._reserve(ledger, choice.study_uid, Claim(grant, choice.explanation | stamp), envelope)

    def assign(self, ledger: Ledger, envelope: Envelope, message: AssignStudy) -> dict[str, Any]:
        """Reserve a place for what a manager gives, unless a rule that she may not override forbids it."""
        study = ledger.studies.get(message.study_uid)
        reader = ledger.readers.get(message.radiologist_id)
        if reader is None:
            raise NotFound("There is no such reader in this group.", {"field": "radiologist_id"})
        closed = study is None or study.status not in (Status.UNREAD, *LIVE)
        if study is None or closed or study.step > message.version:  # the study says no, and how it is now
            return self._forward(ledger, message.study_uid, envelope, _assign(ledger, message, over_cap=False))
        held = ledger.reserved.get(message.study_uid)
        if held is not None and isinstance(held.told.command, Assign):  # another manager was first: the study says whom
            probe = Assign(Grant("", "", message.version, ledger.epoch), late=True)
            return {FORWARD: (study_key(self._key.tenant_id, message.study_uid), _passed(probe, envelope))}
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
        command = _assign(ledger, message, over_cap=load_now >= reader.capacity)
        return self._reserve(ledger, message.study_uid, command, envelope)

    def _reserve(self, ledger: Ledger, study_uid: str, command: Claim | Assign, envelope: Envelope) -> dict[str, Any]:
        """Keep the place and pass the command on; told again, it still leaves its answer under the person's key."""
        reservation = Reservation(command.grant.radiologist_id, command.grant.step, _passed(command, envelope))
        ledger.reserve(study_uid, reservation, self._world.now())
        return self._forward(ledger, study_uid, envelope, command)

    def _forward(self, ledger: Ledger, study_uid: str, envelope: Envelope, command: StudyCommand) -> dict[str, Any]:
        """Return where the host asks next, once this mailbox is free; the study's answer is the caller's."""
        if envelope.idem is not None and envelope.by is not None:
            self._passed[envelope.by.user_id, envelope.idem] = (study_uid, command)
            if len(self._passed) > _REMEMBERED:
                del self._passed[next(iter(self._passed))]
        passed = _passed(command, envelope)
        ledger.prolong(study_uid, passed)
        return {FORWARD: (study_key(self._key.tenant_id, study_uid), passed)}


def _assign(ledger: Ledger, message: AssignStudy, *, over_cap: bool) -> Assign:
    grant = Grant(message.radiologist_id, str(uuid7()), message.version, ledger.epoch, over_cap)
    return Assign(grant, message.reason, {"why": "A manager gave it to you.", "reason": message.reason})


def _passed(command: StudyCommand, envelope: Envelope) -> Forwarded:
    return Forwarded(command, envelope.by, envelope.idem, envelope.deadline, digest=digest(envelope))


def _offer_id(command: StudyCommand) -> str:
    return command.grant.offer_id if isinstance(command, Claim | Assign) else ""
