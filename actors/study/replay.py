"""A study rebuilt from its journal: what its read row must equal, and how it stood at any instant."""

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
    study = Study(study_uid)
    for recorded in journal:
        if until is not None and recorded.at > until:
            break
        if recorded.type in EVENTS:
            study = evolve(study, event(recorded.type, recorded.body), recorded.at)
    return study
