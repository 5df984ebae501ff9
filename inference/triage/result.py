"""What triage says of a study, and why it sometimes says nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from actors.domain.commands import RecordTriage
from actors.domain.words import Acuity

if TYPE_CHECKING:
    from collections.abc import Mapping

CAVEAT = "reference model, not clinically validated"


class NotAssessed(Exception):
    """The study is none the model may judge; the message says why, in words for the worklist."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A model's word on a study. It may raise acuity; it never calls a study normal."""

    model: str
    version: str
    status: str  # ok | not_assessed | failed
    headline: str
    acuity: str
    measures: dict[str, float] = field(default_factory=dict)

    def command(self, job_id: str) -> RecordTriage:
        """Return what the study is told."""
        return RecordTriage(**asdict(self), job_id=job_id)

    def document(self) -> dict[str, Any]:
        """Return the finding as JSON for the queue."""
        return asdict(self)


def bleed(model: str, version: str, measures: Mapping[str, float], *, above_ml: float) -> Finding:
    """Return the finding of a head CT by its ``suspected_ml``."""
    ml = measures["suspected_ml"]
    if ml > above_ml:
        headline = f"Possible intracranial haemorrhage, {ml:.0f} mL ({CAVEAT})" if ml >= 1 else ""
        headline = headline or f"Possible intracranial haemorrhage, {ml:.1f} mL ({CAVEAT})"
        return Finding(model, version, "ok", headline, Acuity.SUSPECTED_CRITICAL.value, dict(measures))
    headline = f"Nothing flagged; a bleed is not excluded ({CAVEAT})"
    return Finding(model, version, "ok", headline, Acuity.NOTHING_FLAGGED.value, dict(measures))


def not_assessed(model: str, version: str, reason: str, measures: Mapping[str, float] | None = None) -> Finding:
    """Return that the model had nothing to judge."""
    acuity = Acuity.NOT_ASSESSED.value
    return Finding(model, version, "not_assessed", f"Not assessed: {reason}", acuity, dict(measures or {}))


def failed(model: str, version: str, reason: str) -> Finding:
    """Return that the model could not run; the study is as if never assessed."""
    return Finding(model, version, "failed", f"Not assessed: {reason}", Acuity.NOT_ASSESSED.value)
