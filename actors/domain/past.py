"""The board as it stood at an instant, from the journals of a tenant's studies and readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.domain.events import FinalSigned
from actors.domain.replay import resumed
from actors.domain.row import row
from actors.domain.study import Study
from actors.domain.tally import COUNTERS, tally
from actors.domain.words import Presence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from actors.domain.commands import Patient
    from actors.domain.unit import Recorded


@dataclass
class Board:
    """A board that is put together event by event.

    Args:
        midnight: since when final reports count for the day.
    """

    midnight: datetime
    studies: dict[str, Study] = field(default_factory=dict)
    presence: dict[str, str] = field(default_factory=dict)
    final_today: int = 0

    def add(self, recorded: Recorded) -> None:
        """Take one event; those of an entity come in their order."""
        kind, _, name = recorded.entity.partition("/")
        if kind == "study":
            self.studies[name] = resumed(self.studies.get(name, Study(name)), [recorded])
            if recorded.type == FinalSigned.__name__ and recorded.at >= self.midnight:
                self.final_today += 1
        elif kind == "radiologist":
            self.presence[name] = recorded.body["state"]

    def rows(self, patients: Mapping[str, Patient], sites: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the open rows by study UID, with the demographics of today: the journal holds none."""
        open_ones = sorted((s for s in self.studies.values() if s.open), key=lambda s: s.study_uid)
        return [row(s, patients.get(s.patient_id), sites.get(s.site_id, s.site_id)) for s in open_ones]

    def counters(self) -> dict[str, int]:
        """Return the counters."""
        total = dict.fromkeys(COUNTERS, 0) | {"final_today": self.final_today}
        for study in self.studies.values():
            for name, n in tally(study).items():
                total[name] += n
        return total

    def readers(self) -> list[dict[str, Any]]:
        """Return who was there, with what she had and read."""
        load: dict[str, int] = {}
        reading: dict[str, str] = {}
        for study in self.studies.values():
            if study.load_of:
                load[study.load_of] = load.get(study.load_of, 0) + 1
            if study.reading_by:
                reading[study.reading_by] = study.study_uid
        shown = []
        for who in sorted(self.presence.keys() | load.keys()):
            state = self.presence.get(who, Presence.OFF)
            here = Presence.READING if state == Presence.ONLINE and who in reading else state
            line = {"radiologist_id": who, "presence": str(here), "load": load.get(who, 0)}
            shown.append(line | {"study_uid": reading.get(who)})
        return shown
