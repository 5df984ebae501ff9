"""A study rebuilt from its journal: from a snapshot on, up to any instant, as it stood then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.events import EVENTS, event
from actors.domain.evolve import evolve
from actors.domain.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from actors.domain.unit import Recorded


def replay(study_uid: str, journal: Iterable[Recorded], until: datetime | None = None) -> Study:
    """Return the study as its events made it, by ``until`` if that is given."""
    return resumed(Study(study_uid), journal, until)


def resumed(snapshot: Study, journal: Iterable[Recorded], until: datetime | None = None) -> Study:
    """Return the study as a snapshot and the events after it make it."""
    study = snapshot
    for recorded in journal:
        if until is not None and recorded.at > until:
            break
        if recorded.type in EVENTS and recorded.version > study.rev:
            study = evolve(study, event(recorded.type, recorded.body), recorded.at)
    return study
