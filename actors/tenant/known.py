"""A study as its tenant's decider knows it: what the rules of assignment ask for, as 100,000 open ones are in memory."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from actors.domain.assignment.case import ALWAYS, Demand, Waiting, kind_of, specialty_of
from actors.domain.due import Sort  # noqa: TC001 - msgspec reads the annotations
from actors.domain.second import Second  # noqa: TC001 - the same
from actors.domain.study import LIVE, Asked, Study
from actors.domain.words import Acuity, ClockState, Priority, Status

if TYPE_CHECKING:
    from actors.domain.assignment.rules import Rules
    from storage.hydrate import Site


class Known(msgspec.Struct, frozen=True, gc=False):
    """One study. Instants ``since`` and ``due`` are Unix seconds, of the clock that counts for its turn."""

    study_uid: str
    rev: int
    step: int
    status: Status
    open: bool
    offerable: bool
    site_id: str
    patient_id: str
    modality: str
    body_part: str
    procedure: str
    setting: str
    referring: str
    priority: Priority
    acuity: Acuity
    since: float
    due: float
    paused_s: float
    sort: Sort | None  # what its clock was set for; None: no clock that runs, or one that has run out
    reader: str | None
    reading_by: str | None
    reading_since: datetime | None
    locked: bool
    asked: tuple[Asked, ...]
    excluded: frozenset[str]
    priors_by: frozenset[str]
    sooner_than: str
    second: Second | None

    @property
    def load_of(self) -> str | None:
        """Whose load it counts in."""
        return self.reader if self.status in LIVE else None

    @property
    def kind(self) -> str:
        """The kind of studies whose reading minutes are learned together."""
        return kind_of(self.modality, self.body_part, self.procedure)

    @property
    def barred(self) -> frozenset[str]:
        """Who may not read it now, whoever says so."""
        return self.second.barred if self.second else frozenset()

    def waiting(self, site: Site | None, rules: Rules) -> Waiting:
        """Return it as the rules of assignment see it."""
        second, kind = self.second, self.kind
        return Waiting(
            self.study_uid,
            self.step,
            self.priority,
            self.acuity,
            Demand(
                site.jurisdiction if site else None,
                self.site_id if site and site.privileged else None,
                self.modality,
                specialty_of(self.body_part, self.procedure),
            ),
            kind,
            self.since,
            self.due,
            self.site_id,
            self.setting,
            patient_id=self.patient_id,
            referring=self.referring,
            rvu=rules.rvu_of(kind),
            excluded=self.excluded,
            barred=self.barred,
            attending=second is not None,
            preferred=second.preferred if second else "",
            second=second.why if second else "",
            blind=second is not None and second.hidden is not None,
            asked={a.radiologist_id: a.at.timestamp() for a in self.asked},
            priors_by=self.priors_by,
            sooner_than=self.sooner_than,
        )


@lru_cache(8192)
def _sort(sort: Sort) -> Sort:
    """Return the one object that stands for all that equal it."""
    return sort


def known(study: Study) -> Known:
    """Return what the decider keeps of a study."""
    clock, second = study.sla, study.second
    since, due = (clock.started_at.timestamp(), clock.due_at.timestamp()) if clock else (0.0, ALWAYS)
    if second is not None and (clock is None or clock.state is ClockState.STOPPED):
        since, due = second.since.timestamp(), ALWAYS  # its clock has stopped at the first signature
    runs = clock is not None and clock.state is not ClockState.STOPPED and clock.breached_at is None
    return Known(
        study.study_uid,
        study.rev,
        study.step,
        study.status,
        study.open,
        study.offerable,
        study.site_id,
        study.patient_id,
        study.modality,
        study.body_part,
        study.procedure,
        study.setting,
        study.referring or "",
        study.priority,
        study.acuity,
        since,
        due,
        (clock.paused_s if clock else 0.0) or 0.0,
        _sort(clock.sort) if runs and clock and clock.sort else None,
        study.reader,
        study.reading_by,
        study.reading_since,
        study.lock is not None,
        study.asked,
        study.excluded,
        study.priors_by,
        study.sooner_than or "",
        second,
    )
