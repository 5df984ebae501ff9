"""Who gets a study: hard rules first, then the fairest of those who may, and a sentence that says why.

Pure: the same pool, readers and instant always give the same choices.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from actors.domain.words import Acuity, Presence, Priority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ASK_AGAIN_S = 120.0
OVER_CAP = 1  # STAT only
_PRESENT = frozenset({Presence.ONLINE, Presence.READING})
_REGIONS = {
    "neuro": ("head", "brain", "skull", "spine", "neck"),
    "chest": ("chest", "lung", "thorax"),
    "body": ("abdomen", "pelvis", "liver", "kidney"),
    "msk": ("knee", "shoulder", "hip", "hand", "foot", "ankle", "wrist", "elbow", "extremity"),
    "breast": ("breast",),
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study in the pool."""

    study_uid: str
    step: int
    priority: Priority
    acuity: Acuity = Acuity.PENDING
    due_at: datetime | None = None
    started_at: datetime | None = None
    modality: str = ""
    body_part: str = ""
    procedure: str = ""
    jurisdiction: str | None = None  # of the site; None demands no licence
    excluded: frozenset[str] = frozenset()
    asked: Mapping[str, datetime] = field(default_factory=dict)  # declined or let it expire


@dataclass(frozen=True, slots=True)
class Reader:
    """A radiologist as the decider sees her; ``load`` counts live studies and reservations."""

    radiologist_id: str
    name: str
    presence: Presence
    load: int
    capacity: int
    licences: frozenset[str] = frozenset()
    subspecialties: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    on_shift: bool = True
    shift_ends_at: datetime | None = None
    may_sign_final: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision with its reasons."""

    study_uid: str
    radiologist_id: str
    step: int
    over_cap: bool
    why: str
    explanation: dict[str, Any]


def specialty(waiting: Waiting) -> str | None:
    """Return the subspecialty a study asks for, None when any reader will do."""
    text = f"{waiting.body_part} {waiting.procedure}".lower()
    return next((name for name, words in _REGIONS.items() if any(w in text for w in words)), None)


def barred(waiting: Waiting, reader: Reader, now: datetime) -> str | None:
    """Return the hard rule that forbids it, None when there is none. Load and presence are not rules of competence."""
    if reader.radiologist_id in waiting.excluded:
        return "has excluded herself from this study"
    if waiting.jurisdiction and waiting.jurisdiction not in reader.licences:
        return f"has no licence for {waiting.jurisdiction}"
    if reader.modalities and waiting.modality and waiting.modality not in reader.modalities:
        return f"does not read {waiting.modality}"
    wanted = specialty(waiting)
    if wanted and reader.subspecialties and wanted not in reader.subspecialties:
        return f"does not read {wanted}"
    if not reader.on_shift or (reader.shift_ends_at and reader.shift_ends_at <= now):
        return "is not on shift"
    return None


def ineligible(waiting: Waiting, reader: Reader, now: datetime) -> str | None:
    """Return why the reader may not be offered the study now, None when she may."""
    reason = barred(waiting, reader, now)
    if reason:
        return reason
    if reader.presence not in _PRESENT:
        return f"is {reader.presence.value}"
    room = reader.capacity + (OVER_CAP if waiting.priority is Priority.STAT else 0)
    if reader.load >= room:
        return f"has {reader.load} of {reader.capacity}"
    asked_at = waiting.asked.get(reader.radiologist_id)
    if asked_at and now - asked_at < timedelta(seconds=ASK_AGAIN_S):
        return "was asked and did not take it"
    return None


def urgency(waiting: Waiting) -> tuple[Any, ...]:
    """Return the sort key of the pool: priority and suspicion, then what is due first, then who came first."""
    suspected = waiting.acuity.level
    rank = waiting.priority.rank - (1 if suspected == Acuity.SUSPECTED_CRITICAL.level else 0)
    return (
        rank,
        -suspected,
        waiting.due_at is None,
        waiting.due_at.timestamp() if waiting.due_at else 0.0,
        waiting.study_uid,
    )


def _fairness(waiting: Waiting, reader: Reader) -> tuple[Any, ...]:
    """Who is asked first: not asked before, within her cap, specialist, least loaded."""
    wanted = specialty(waiting)
    return (
        reader.radiologist_id in waiting.asked,
        reader.load >= reader.capacity,
        not (wanted and wanted in reader.subspecialties),
        reader.load / reader.capacity,
        reader.presence is Presence.READING,
        reader.radiologist_id,
    )


def decide(pool: Sequence[Waiting], readers: Sequence[Reader], now: datetime) -> list[Choice]:
    """Return a choice for each study that somebody may have now; loads grow as choices are made."""
    known = {r.radiologist_id: r for r in sorted(readers, key=lambda r: r.radiologist_id)}
    choices: list[Choice] = []
    for waiting in sorted(pool, key=urgency):
        reasons = {i: ineligible(waiting, r, now) for i, r in known.items()}
        able = sorted(
            (known[i] for i, why_not in reasons.items() if why_not is None), key=lambda r: _fairness(waiting, r)
        )
        if not able:
            continue
        chosen = able[0]
        choices.append(_explained(waiting, chosen, able[1:], [(known[i], w) for i, w in reasons.items() if w], now))
        known[chosen.radiologist_id] = replace(chosen, load=chosen.load + 1)
    return choices


def _explained(
    waiting: Waiting, chosen: Reader, others: Sequence[Reader], refused: Sequence[tuple[Reader, str]], now: datetime
) -> Choice:
    over_cap = chosen.load >= chosen.capacity
    wanted = specialty(waiting)
    parts: list[str] = []
    if wanted and wanted in chosen.subspecialties:
        parts.append(f"you read {wanted}")
    if waiting.jurisdiction:
        parts.append(f"licensed in {waiting.jurisdiction}")
    parts.append(f"{chosen.load} of {chosen.capacity} studies" + (", one more for a STAT" if over_cap else ""))
    if waiting.due_at:
        left = max(0, round((waiting.due_at - now).total_seconds() / 60))
        parts.append(f"due in {left} min")
    why = ", ".join(parts)
    why = why[0].upper() + why[1:] + "."
    runners_up = [
        {"radiologist_id": r.radiologist_id, "name": r.name, "why_not": _behind(waiting, chosen, r)} for r in others
    ] + [{"radiologist_id": r.radiologist_id, "name": r.name, "why_not": reason} for r, reason in refused]
    change = (
        f"If {others[0].name} had fewer studies, it would go to her."
        if others
        else "Nobody else may have it now; it would wait for the next who may."
    )
    explanation = {
        "why": why,
        "factors": [
            {"name": "specialty", "value": wanted or "any"},
            {"name": "load", "value": chosen.load},
            {"name": "capacity", "value": chosen.capacity},
            {"name": "priority", "value": waiting.priority.value},
            {"name": "acuity", "value": waiting.acuity.value},
        ],
        "runners_up": runners_up,
        "would_change": change,
    }
    return Choice(waiting.study_uid, chosen.radiologist_id, waiting.step, over_cap, why, explanation)


def _behind(waiting: Waiting, chosen: Reader, other: Reader) -> str:
    if other.radiologist_id in waiting.asked:
        return "was asked before"
    wanted = specialty(waiting)
    if wanted and wanted in chosen.subspecialties and wanted not in other.subspecialties:
        return f"is not a {wanted} specialist"
    if other.load / other.capacity > chosen.load / chosen.capacity:
        return f"has {other.load} of {other.capacity}"
    return "is next"
