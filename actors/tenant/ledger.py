"""What the decider of a tenant holds in memory: open studies, readers, reservations. Nothing here does I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actors.domain.assignment.minutes import Minutes
from actors.domain.assignment.rules import Rules
from actors.domain.assignment.table import PRESENT, ineligible
from actors.domain.commands import Assign, Claim
from actors.domain.words import Priority, Status
from actors.tenant.known import Known, known

if TYPE_CHECKING:
    from datetime import datetime

    from actors.domain.assignment.case import Reader, Waiting
    from actors.domain.commands import Envelope
    from actors.domain.study import Study
    from storage.hydrate import Site

_JITTER_S = 0.1  # of the pulse
_LEAST_MIN = 1.0  # what is left of a read that takes longer than expected


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was granted and has not been answered; ``told`` is sent again until it is."""

    radiologist_id: str
    step: int
    told: Envelope


class Ledger:
    """Studies as they stood when last heard of, and what was granted since.

    A reservation is released only when its grant has landed or can land no more: the study's step has
    moved past the one seen, or the command that it was granted to is long past its deadline, and such
    a command is never committed. That no answer comes says nothing.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.decided = 0  # calls of the policy in this epoch: with the epoch the seed
        self.pos = -1  # of the feed, when the rows were last read
        self.studies: dict[str, Known] = {}
        self.readers: dict[str, Reader] = {}
        self.own: frozenset[str] = frozenset()  # readers whose capacity is their own, not the policy's
        self.sites: dict[str, Site] = {}
        self.rules = Rules()
        self.minutes = Minutes()
        self.reserved: dict[str, Reservation] = {}
        self.back: dict[str, float] = {}  # reader → when she last came back: she may be asked again
        self.done: dict[str, float] = {}  # reader → minutes read today
        self.owed: dict[str, float] = {}  # reader → minutes she had less than her share on the days before
        self.read: dict[str, dict[str, int]] = {}  # reader → kind → how many she has read today
        self._last: dict[str, str] = {}  # reader → kind of what she opened or signed last
        self._given: dict[str, float] = {}  # reader → when she was last given a study
        self._on: dict[str, float] = {}  # reader → minutes present since this decider began
        self._met_at = self._matched_at = 0.0
        self._hands: dict[str, set[str]] = {}  # reader → studies that count in her load
        self._seen: dict[str, tuple[int, Waiting]] = {}  # study → its journal version, and how the rules see it

    def seed(self) -> int:
        """Return the seed of the next call of the policy: no two calls have the same."""
        self.decided += 1
        return self.epoch * 1_000_003 + self.decided

    def batch_over(self, now: datetime) -> bool:
        """Whether those that wait are to be matched anew; who has just come is decided about at once."""
        if now.timestamp() < self._matched_at + self.rules.batch_s - _JITTER_S:
            return False
        self._matched_at = now.timestamp()
        return True

    def follow(self, rules: Rules) -> None:
        """Take the rules as they are; what they say a study counts for may have changed."""
        if rules != self.rules:
            self.rules = self.minutes.rules = rules
            self._seen.clear()

    def count(self, radiologist_id: str, kind: str, number: int, last_at: float) -> None:
        """Take what a reader has read of a kind today, what was signed last at the end."""
        self.read.setdefault(radiologist_id, {})[kind] = number
        if radiologist_id not in self._given:  # a new decider: what was given before is known by what came of it
            self._last[radiologist_id] = kind
            self._given[radiologist_id] = last_at

    def place(self, sites: dict[str, Site]) -> None:
        """Take the sites as they are; what they demand of readers may have changed."""
        if sites != self.sites:
            self.sites = sites
            self._seen.clear()

    def meet(self, readers: dict[str, Reader], now: float) -> None:
        """Take the readers as they are; who was not there before and is now has come back."""
        passed_min, self._met_at = (now - (self._met_at or now)) / 60, now
        for who, reader in readers.items():
            was = self.readers.get(who)
            if was is not None and reader.presence in PRESENT and was.presence not in PRESENT:
                self.back[who] = now
            if reader.presence in PRESENT:
                self._on[who] = self._on.get(who, 0.0) + passed_min
        self.readers = readers

    def holders(self, study_uid: str) -> frozenset[str]:
        """Return in whose load the study counts: of who has it, and of who is about to get it."""
        held, study = self.reserved.get(study_uid), self.studies.get(study_uid)
        found = (held.radiologist_id if held else None, study.load_of if study else None)
        return frozenset(who for who in found if who is not None)

    def learn(self, study: Study) -> bool:
        """Take a study as it stands; return whether somebody has room who had none.

        Versions make this idempotent and proof against reordering.
        """
        uid = study.study_uid
        older = self.studies.get(uid)
        if older is not None and older.rev > study.rev:
            return False
        before = self.holders(uid)
        held = self.reserved.get(uid)
        if held is not None and (study.step > held.step or not study.open):
            del self.reserved[uid]
        now = known(study)
        if now.reading_by:
            self._last[now.reading_by] = now.kind
        if now.open:
            self.studies[uid] = now
        else:
            self.studies.pop(uid, None)
            self._seen.pop(uid, None)
        self._moved(uid, before)
        return bool(before - self.holders(uid))

    def reserve(self, study_uid: str, reservation: Reservation, now: datetime) -> None:
        """Keep a place in a reader's load until the study has answered."""
        before = self.holders(study_uid)
        self.reserved[study_uid] = reservation
        self._given[reservation.radiologist_id] = now.timestamp()
        self._moved(study_uid, before)

    def release(self, study_uid: str, offer_id: str) -> None:
        """Give up a grant that can never land: the key it came under is spent."""
        held = self.reserved.get(study_uid)
        command = held.told.command if held else None
        if isinstance(command, Claim | Assign) and command.grant.offer_id == offer_id:
            before = self.holders(study_uid)
            del self.reserved[study_uid]
            self._moved(study_uid, before)

    def settle(self, settled: datetime) -> set[str]:
        """Give up the grants whose command had its deadline before ``settled``; return their offers."""
        last, gone = settled.timestamp(), set()
        for uid, held in list(self.reserved.items()):
            command = held.told.command
            if isinstance(command, Claim | Assign) and held.told.deadline and held.told.deadline < last:
                gone.add(command.grant.offer_id)
                self.release(uid, command.grant.offer_id)
        return gone

    def prolong(self, study_uid: str, told: Envelope) -> None:
        """Keep a grant for longer: it was asked for again under the same key."""
        held = self.reserved.get(study_uid)
        if held is not None and held.told.command == told.command:
            until = max(held.told.deadline or 0.0, told.deadline or 0.0)
            self.reserved[study_uid] = replace(held, told=replace(told, deadline=until or None))

    def _moved(self, study_uid: str, before: frozenset[str]) -> None:
        after = self.holders(study_uid)
        for who in before - after:
            self._hands[who].discard(study_uid)
        for who in after - before:
            self._hands.setdefault(who, set()).add(study_uid)

    def load(self, radiologist_id: str) -> int:
        """Live studies of a reader, and what is reserved for her."""
        return len(self._hands.get(radiologist_id, ()))

    def loaded(self, now: datetime) -> list[Reader]:
        """Return the readers with what they have in hand."""
        return [self.with_hands(r, now) for r in self.readers.values()]

    def with_hands(self, reader: Reader, now: datetime) -> Reader:
        """Return a reader with what she has in hand: how many, how long, whose."""
        who = reader.radiologist_id
        hands = self._hands.get(who, set())
        held = [self.studies[uid] for uid in sorted(hands) if uid in self.studies]
        current = ahead = 0.0
        for study in held:
            left = self.minutes.expected(who, study.kind)
            if study.status is Status.READING and study.reading_since:
                left = max(_LEAST_MIN, left - (now - study.reading_since).total_seconds() / 60)
                current += left
            ahead += left
        return replace(
            reader,
            load=len(hands),
            stats=sum(s.priority is Priority.STAT for s in held),
            ahead_min=ahead,
            current_min=current,
            done_min=self.done.get(who, 0.0),
            on_min=self._on.get(who, 0.0),
            owed_min=self.owed.get(who, 0.0),
            rvu=sum(n * self.rules.rvu_of(what) for what, n in self.read.get(who, {}).items()),
            last_kind=self._last.get(who, ""),
            given_at=self._given.get(who, 0.0),
            patients=frozenset(s.patient_id for s in held if s.patient_id),
        )

    def why_not(self, waiting: Waiting, reader: Reader, now: datetime) -> str | None:
        """Return why a reader may not have a study now, None when she may."""
        minutes = self.minutes.expected(reader.radiologist_id, waiting.kind)
        return ineligible(waiting, reader, self.rules, now.timestamp(), minutes)

    def waiting(self, study: Known) -> Waiting:
        """Return a study as the rules of assignment see it."""
        seen = self._seen.get(study.study_uid)
        if seen is None or seen[0] != study.rev:
            seen = self._seen[study.study_uid] = (study.rev, study.waiting(self.sites.get(study.site_id), self.rules))
        if not study.asked:
            return seen[1]
        often = (a for a in study.asked if a.times >= self.rules.times_asked)
        closed = frozenset(a.radiologist_id for a in often if self.back.get(a.radiologist_id, 0) <= a.at.timestamp())
        return replace(seen[1], closed=closed)

    def hands(self, radiologist_id: str) -> list[Known]:
        """Return the studies that she has been offered, has or reads, and that nobody is about to get."""
        held = sorted(self._hands.get(radiologist_id, ()))
        found = (self.studies.get(uid) for uid in held if uid not in self.reserved)
        return [s for s in found if s is not None and s.reader == radiologist_id]

    def pool(self, only: str | None = None) -> list[Waiting]:
        """Return what may be offered now, or the one study of it."""
        studies = self.studies.values() if only is None else [s for s in [self.studies.get(only)] if s]
        return [self.waiting(s) for s in studies if s.offerable and s.study_uid not in self.reserved]
