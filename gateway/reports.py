"""Bodies of the calls about reports: beginning, saving, signing, adding, and drafts that came too late."""

from typing import Annotated, Literal

from msgspec import Meta

from actors.domain.words import ReportStatus
from gateway.calls import Sections
from gateway.schema import Asked, Given, Id, Short, Version
from gateway.shapes import Instant


class ReportNew(Asked, frozen=True, kw_only=True):
    """Begin the report of a study."""

    study_uid: Id
    template: Short = ""


class ReportDraft(Asked, frozen=True, kw_only=True):
    """The text as it stands, and the version it was written on."""

    sections: Sections
    version: Version


class Finalize(Asked, frozen=True, kw_only=True):
    """Sign the saved draft of this version."""

    kind: Literal["prelim", "final"]
    version: Version
    confirm: bool = False


class AddendumIn(Asked, frozen=True, kw_only=True):
    """What is added to a signed report."""

    text: Annotated[str, Meta(min_length=1, max_length=200_000)]


class Addendum(Given, frozen=True, kw_only=True):
    """What was added to a signed report."""

    text: str
    by: str | None
    at: Instant


class Signature(Given, frozen=True, kw_only=True):
    """A signature under a reading of the study."""

    by: str
    kind: Literal["prelim", "second", "final"]
    at: Instant


class Report(Given, frozen=True, kw_only=True):
    """A report; ``version`` counts its texts."""

    report_id: str
    study_uid: str
    status: ReportStatus
    version: int
    sections: dict[str, str]
    signed_by: str | None
    signed_at: Instant | None
    addenda: list[Addendum]
    signatures: list[Signature]  # who signed, in order; of a final report all who have read the study


class Reports(Given, frozen=True, kw_only=True):
    """A page of reports."""

    items: list[Report]
    next: str | None


class Conflict(Given, frozen=True, kw_only=True):
    """A draft that came too late; nothing of it was lost."""

    sections: dict[str, str]
    by: str
    at: Instant


class Conflicts(Given, frozen=True, kw_only=True):
    """A page of drafts that came too late."""

    items: list[Conflict]
    next: str | None
