"""What the decider of a tenant holds in memory: open studies, readers, reservations. Nothing here does I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actors.domain.assignment import OVER_CAP, Waiting, ineligible
from actors.domain.commands import Assign, Claim
from actors.domain.words import Presence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from actors.domain.assignment import Reader
    from actors.domain.commands import Envelope
    from actors.domain.study import Study
    from storage.hydrate import Site

PRESENT = frozenset({Presence.ONLINE, Presence.READING})


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was granted and has not been answered; ``told`` is sent again until it is."""

    radiologist_id: str
    step: int
    told: Envelope


class Ledger:
    """Studies as they stood when last heard of, and what was granted since.

    A reservation is released only when the study's step has moved past the one seen, never by
    time-out: the grant has landed then, or can land no more.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.pos = -1  # of the feed, when the rows were last read
        self.studies: dict[str, Study] = {}
        self.readers: dict[str, Reader] = {}
        self.sites: dict[str, Site] = {}
        self.reserved: dict[str, Reservation] = {}

    def holder(self, study_uid: str) -> str | None:
        """Return in whose load the study counts: a reservation goes before the row."""
        held = self.reserved.get(study_uid)
        if held is not None:
            return held.radiologist_id
        study = self.studies.get(study_uid)
        return study.load_of if study else None

    def learn(self, study: Study) -> bool:
        """Take a study as it stands; return whether somebody has room who had none.

        Versions make this idempotent and proof against reordering.
        """
        uid = study.study_uid
        known = self.studies.get(uid)
        if known is not None and known.rev > study.rev:
            return False
        before = self.holder(uid)
        held = self.reserved.get(uid)
        if held is not None and (study.step > held.step or not study.open):
            del self.reserved[uid]
        if study.open:
            self.studies[uid] = study
        else:
            self.studies.pop(uid, None)
        return before is not None and before != self.holder(uid)

    def release(self, study_uid: str, offer_id: str) -> None:
        """Give up a grant that can never land: the key it came under is spent."""
        held = self.reserved.get(study_uid)
        command = held.told.command if held else None
        if isinstance(command, Claim | Assign) and command.grant.offer_id == offer_id:
            del self.reserved[study_uid]

    def load(self, radiologist_id: str) -> int:
        """Live studies of a reader, and what is reserved for her."""
        return self._loads()[radiologist_id]

    def loaded(self) -> list[Reader]:
        """Return the readers with their loads."""
        loads = self._loads()
        return [replace(r, load=loads[r.radiologist_id]) for r in self.readers.values()]

    def _loads(self) -> Counter[str]:
        loads = Counter(held.radiologist_id for held in self.reserved.values())
        for uid, study in self.studies.items():
            who = study.load_of
            if who is not None and uid not in self.reserved:
                loads[who] += 1
        return loads

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

    def pool(self, only: str | None = None) -> list[Waiting]:
        """Return what may be offered now, or the one study of it."""
        studies = self.studies.values() if only is None else [s for s in [self.studies.get(only)] if s]
        return [self.waiting(s) for s in studies if s.offerable and s.study_uid not in self.reserved]


def possible(pool: Sequence[Waiting], readers: Sequence[Reader], now: datetime) -> list[Waiting]:
    """Return what somebody may have now: a full house is not weighed against a long queue."""
    free = [r for r in readers if r.presence in PRESENT and r.load < r.capacity + OVER_CAP]
    return [w for w in pool if any(ineligible(w, r, now) is None for r in free)] if free else []
