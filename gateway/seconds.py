"""Bodies of the REST calls about second readings; names as in :mod:`gateway.schema`."""

from typing import Annotated

from msgspec import Meta

from actors.domain.second import Outcome, SecondKind, SecondState
from gateway.schema import Asked, Given, Version
from gateway.shapes import Instant


class Settle(Asked, frozen=True, kw_only=True):
    """What is said of two readings: ``agree``, ``discordant``; or, by a manager, which stands."""

    outcome: Outcome
    version: Version
    note: Annotated[str, Meta(max_length=4_000)] = ""


class Reading(Given, frozen=True, kw_only=True):
    """One signed text."""

    report_id: str
    version: int
    radiologist_id: str
    at: Instant
    sections: dict[str, str]


class Settled(Given, frozen=True, kw_only=True):
    """What was said of the readings, by whom."""

    outcome: Outcome
    note: str
    by: str | None
    at: Instant


class Readings(Given, frozen=True, kw_only=True):
    """The signed texts of a study that is read more than once, the first one first; ``kind`` null when it is not."""

    kind: SecondKind | None
    state: SecondState | None
    blind: bool
    items: list[Reading]
    settled: list[Settled]
