"""A study that is read more than once: by an attending after a resident, or by a second reader after the first.

    signed once --opens--> WAITING  (offered, assigned, read as any study, by somebody who is not barred)
    COSIGN:  WAITING --FinalSigned--> AGREED (the text as it was) | DECIDED (another text)
    DOUBLE:  WAITING --SecondSigned--> COMPARE --Settled--> AGREED | DISCORDANT
             DISCORDANT --a third signs, or a manager chooses--> DECIDED

Each reading of a double read is a report of its own; the one that stands becomes final, the others stay as they were
signed. While a blind second reader has not signed, the first report is nowhere to be seen for readers (``hidden``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from enum import StrEnum


class SecondKind(StrEnum):
    """Why somebody else reads it."""

    COSIGN = "cosign"
    DOUBLE = "double"


class SecondState(StrEnum):
    """How far the second reading is."""

    WAITING = "waiting"  # for the second signature
    COMPARE = "compare"  # both have signed: do they say the same?
    DISCORDANT = "discordant"  # they do not: a third, or a manager, decides
    AGREED = "agreed"
    DECIDED = "decided"


class Outcome(StrEnum):
    """What is said of two readings: that they agree or not; or which of them stands, as a manager decides."""

    AGREE = "agree"
    DISCORDANT = "discordant"
    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a signature opens, as the policy of that moment said; it is part of the event."""

    kind: SecondKind
    blind: bool = False
    clock_last: bool = False  # the clock stops at the last signature, not at the first
    adjudicate: bool = True  # a discordance goes to a third reader; else it waits for a manager
    deliver: bool = True  # the hospital gets the first text, as preliminary
    preferred: str = ""  # who is asked first


@dataclass(frozen=True, slots=True)
class Reading:
    """One signature under a text."""

    radiologist_id: str
    report_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Second:
    """The second reading of a study, from the first signature on."""

    kind: SecondKind
    state: SecondState
    since: datetime  # when it, or its adjudication, began to wait
    rev: int  # of the journal, of the event that opened it
    barred: frozenset[str]  # who may not read it now: who wrote or signed a reading before
    readings: tuple[Reading, ...]
    blind: bool = False
    clock_last: bool = False
    adjudicate: bool = True
    preferred: str = ""

    @property
    def hidden(self) -> Reading | None:
        """The reading that readers other than its author may not see now."""
        blind = self.blind and self.kind is SecondKind.DOUBLE and self.state is SecondState.WAITING
        return self.readings[0] if blind else None

    @property
    def why(self) -> str:
        """What the reader is told that she is for."""
        if self.kind is SecondKind.COSIGN:
            return "co-sign"
        return "second read" if self.state is SecondState.WAITING else "third read"


def opened(opening: Opening, reading: Reading, barred: frozenset[str], at: datetime, rev: int) -> Second:
    """Return a second reading that begins to wait."""
    return Second(
        opening.kind,
        SecondState.WAITING,
        at,
        rev,
        barred | {reading.radiologist_id},
        (reading,),
        opening.blind,
        opening.clock_last,
        opening.adjudicate,
        opening.preferred,
    )
