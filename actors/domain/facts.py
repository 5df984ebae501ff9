"""What the rules need to know beside the study itself, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.domain.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.commands import Order, Patient
    from actors.domain.events import Event
    from actors.domain.study import Study
    from actors.domain.unit import ReportWrite
    from actors.domain.whose import PatientCorrected
    from actors.domain.words import Presence


@dataclass(frozen=True, slots=True)
class Draft:
    """The newest text of the study's report."""

    sections: dict[str, str]
    by: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the actor looked up before it decides; a command needs few of them."""

    tenant_id: str
    site_name: str = ""
    patient: Patient | None = None  # of the study as it stands
    policy: Policy = field(default_factory=Policy)
    clock_policy: Policy = field(default_factory=Policy)  # the one that the study's clock runs under
    managers: Sequence[str] = ()  # whom a ladder may tell
    on_call: Sequence[str] = ()
    known: Patient | None = None  # who stands under the issuer and number of the order that is placed
    siblings: Sequence[tuple[Study, str]] = ()  # other studies of a patient who is corrected, with their sites' names
    left: Sequence[tuple[Study, str]] = ()  # other studies of a patient whom studies leave, with their sites' names
    there: Sequence[tuple[Study, str]] = ()  # studies of the patient they come to
    own_order: Order | None = None  # that a study's images leave
    own_home: Study | None = None  # where that order waits for its images again
    apart: frozenset[str] = frozenset()  # studies whose images came under the number that is no longer given up
    order: Order | None = None  # found by site and accession number
    minted: Study | None = None  # where that order lives until images join it under another UID
    draft: Draft | None = None
    texts: tuple[dict[str, str], dict[str, str]] | None = None  # of the first reading and of the one that is signed
    viewers: Sequence[str] = ()  # user ids that hear of final reports of the site
    priors: int = 0
    priors_by: tuple[str, ...] = ()  # who read them
    presence: Presence | None = None  # of who asks, when the command needs it
    new_id: str = ""  # a fresh UUIDv7, for a report that does not exist yet


@dataclass(frozen=True, slots=True)
class Other:
    """What a command to one study makes of another."""

    study: Study
    site_name: str
    events: Sequence[Event]
    patient: Patient | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command causes."""

    events: Sequence[Event] = ()
    extra: dict[str, Any] = field(default_factory=dict)  # of the answer
    patient: Patient | None = None  # when it is another than before
    corrected: PatientCorrected | None = None  # the patient is, on this study and its siblings
    order: Order | None = None  # to be written as belonging to this study
    cancelled: bool = False  # the order is
    moved: Study | None = None  # the minted study that ends with this
    returned: tuple[Order, Study] | None = None  # an order that waits for images again, and where
    others: Sequence[Other] = ()  # what happens to other studies with this
    merges: Sequence[tuple[str, str | None]] = ()  # a patient, and whose her number is now
    reports: Sequence[ReportWrite] = ()
