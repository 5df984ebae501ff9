"""What is taken back from readers who have not begun it.

What somebody reads is hers until she signs it, gives it back, or is gone and her lock has lapsed; then it goes on
to another, with its draft.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from actors.domain.assignment.case import until
from actors.domain.assignment.rescue import Held, rescues
from actors.domain.assignment.table import PRESENT
from actors.domain.commands import Recall
from actors.domain.words import SOONER, Presence, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from actors.domain.assignment.case import Reader
    from actors.tenant.known import Known
    from actors.tenant.ledger import Ledger

SHIFT_END, GONE = "shift_end", "reader_gone"
_NOT_BEGUN = frozenset({Status.OFFERED, Status.ASSIGNED})


def recalls(ledger: Ledger, now: datetime) -> list[tuple[str, Recall]]:
    """Return what goes back to the pool now: her shift is over, or somebody with empty hands would be in time."""
    readers = ledger.loaded(now)
    found = {s.study_uid: (s, SHIFT_END) for r in readers if _over(r, now) for s in _not_begun(ledger, r)}
    free = [r for r in readers if r.load == 0 and r.presence in PRESENT]
    if free:
        busy = [r for r in readers if r.load > 1 and not _over(r, now)]
        held = {s.study_uid: (s, h) for r in busy for s, h in _held(ledger, r, now)}
        for choice in rescues(
            [h for _, h in held.values()], readers, ledger.rules, now.timestamp(), ledger.epoch, ledger.minutes
        ):
            found.setdefault(choice.study_uid, (held[choice.study_uid][0], SOONER))
    for reader in readers:
        if reader.presence not in PRESENT and reader.presence is not Presence.BUSY:
            left = (s for s in ledger.hands(reader.radiologist_id) if s.status is Status.READING and not s.locked)
            found |= {s.study_uid: (s, GONE) for s in left}
    return [(uid, Recall(study.step, reason, reason == GONE)) for uid, (study, reason) in sorted(found.items())]


def _over(reader: Reader, now: datetime) -> bool:
    return reader.shifts is not None and until(reader.shifts, now.timestamp()) < 0


def _not_begun(ledger: Ledger, reader: Reader) -> list[Known]:
    return [s for s in ledger.hands(reader.radiologist_id) if s.status in _NOT_BEGUN]


def _held(ledger: Ledger, reader: Reader, now: datetime) -> Iterator[tuple[Known, Held]]:
    """Return what a reader has not begun, with the minutes until she would: the most urgent goes first.

    A patient's studies stay together, unless one of them would be late; so does all of who is not reading yet.
    """
    before_min = reader.current_min
    patients = Counter(s.patient_id for s in ledger.hands(reader.radiologist_id))
    waiting = [(s, ledger.waiting(s)) for s in _not_begun(ledger, reader)]
    for study, what in sorted(waiting, key=lambda sw: (sw[1].priority.rank, sw[1].started_at, sw[1].study_uid)):
        minutes = ledger.minutes.expected(reader.radiologist_id, study.kind)
        late = now.timestamp() + (before_min + minutes) * 60 > what.due_at - ledger.rules.rescue_lead_s
        if late or (reader.current_min > 0 and patients[study.patient_id] < 2):  # noqa: PLR2004 - another of the patient
            yield study, Held(what, reader.radiologist_id, before_min)
        before_min += minutes
