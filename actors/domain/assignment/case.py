"""What the rules of assignment look at: studies that wait, readers as they are now, and what came of it.

Instants here are Unix seconds, UTC, as floats: they go into arrays. Work is in minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actors.domain.words import Acuity, Presence, Priority

ALWAYS = math.inf
_REGIONS = {
    "neuro": ("head", "brain", "skull", "spine", "neck"),
    "chest": ("chest", "lung", "thorax"),
    "body": ("abdomen", "pelvis", "liver", "kidney"),
    "msk": ("knee", "shoulder", "hip", "hand", "foot", "ankle", "wrist", "elbow", "extremity"),
    "breast": ("breast",),
}


def specialty_of(body_part: str, procedure: str) -> str | None:
    """Return the subspecialty a study asks for, None when any reader will do."""
    text = f"{body_part} {procedure}".lower()
    return next((name for name, words in _REGIONS.items() if any(w in text for w in words)), None)


def kind_of(modality: str, body_part: str, procedure: str) -> str:
    """Return the kind of a study: whose reading minutes are learned together."""
    return f"{modality}/{specialty_of(body_part, procedure) or 'any'}"


class Span(NamedTuple):
    """From when to when something holds; the end is not in it."""

    from_at: float = -ALWAYS
    to_at: float = ALWAYS

    def holds(self, at: float) -> bool:
        """Whether the instant lies in it."""
        return self.from_at <= at < self.to_at


def until(spans: tuple[Span, ...], at: float) -> float:
    """Return until when one of the spans goes on holding, -inf when none holds at the instant."""
    return max((s.to_at for s in spans if s.holds(at)), default=-ALWAYS)


class Demand(NamedTuple):
    """What a study asks of its reader; None demands nothing."""

    jurisdiction: str | None = None  # a licence
    privilege: str | None = None  # the site, when it grants privileges
    modality: str = ""
    specialty: str | None = None
    level: int = 1  # least skill, 1 to 3


ANYBODY = Demand()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study in the pool."""

    study_uid: str
    step: int = 0
    priority: Priority = Priority.URGENT
    acuity: Acuity = Acuity.PENDING
    demand: Demand = ANYBODY
    kind: str = ""  # whose reading minutes are learned together, e.g. CT/neuro
    started_at: float = 0.0  # of its clock; what has none yet waits since it came
    due_at: float = ALWAYS
    site_id: str = ""
    setting: str = ""  # emergency | inpatient | outpatient, "" when nobody said
    patient_id: str = ""
    referring: str = ""
    rvu: float = 1.0
    critical_p: float | None = None  # chance of a critical finding; None: the policy's for its acuity
    excluded: frozenset[str] = frozenset()
    barred: frozenset[str] = frozenset()  # who has read it before and may not read it again (double read)
    attending: bool = False  # only who signs final
    preferred: str = ""  # whom to ask first: she alone has it while she may
    second: str = ""  # what it is read for, when not for the first time: "second read", "co-sign", "third read"
    blind: bool = False  # who has read it before is not said
    asked: Mapping[str, float] = field(default_factory=dict)  # declined or let it expire, and when
    closed: frozenset[str] = frozenset()  # asked as often as the policy allows
    priors_by: frozenset[str] = frozenset()  # who read the patient's earlier studies
    sooner_than: str = ""  # from whom it was taken back, as she would have been late with it or a STAT had to wait


@dataclass(frozen=True, slots=True)
class Reader:
    """A radiologist as the decider sees her; ``load`` counts live studies and reservations."""

    radiologist_id: str
    name: str = ""
    presence: Presence = Presence.ONLINE
    load: int = 0
    capacity: int = 5
    licences: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)  # by jurisdiction
    privileges: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)  # by site
    subspecialties: Mapping[str, int] = field(default_factory=dict)  # skill 1 to 3; empty reads everything
    modalities: Mapping[str, int] = field(default_factory=dict)  # the same
    conflicts: frozenset[str] = frozenset()  # site:…, patient:…, referring_physician:… that she may not read
    shifts: tuple[Span, ...] | None = None  # None: no roster, present is on shift
    breaks: tuple[Span, ...] = ()
    may_sign_final: bool = True
    # what she has in hand and has done
    stats: int = 0  # STAT studies in hand
    ahead_min: float = 0.0  # expected minutes of all she has in hand
    current_min: float = 0.0  # of the one she is reading
    done_min: float = 0.0  # minutes read since the balance was last struck
    on_min: float = 0.0  # minutes present since then
    owed_min: float = 0.0  # carried over: she had less than her share before
    rvu: float = 0.0  # earned since then
    patients: frozenset[str] = frozenset()  # whose studies she has in hand
    last_kind: str = ""
    given_at: float = 0.0  # when she was last given a study


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision with its reasons."""

    study_uid: str
    radiologist_id: str
    step: int
    over_cap: bool
    why: str
    explanation: dict[str, Any] = field(default_factory=dict)
