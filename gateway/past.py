"""The answer of ``GET /api/board/past``; names as in :mod:`gateway.schema`."""

from actors.domain.words import Presence
from gateway.schema import Given
from gateway.shapes import Count, Counters, Instant, Row


class PastReader(Given, frozen=True, kw_only=True):
    """A reader as she was at an instant."""

    radiologist_id: str
    presence: Presence
    load: Count
    study_uid: str | None


class PastBoard(Given, frozen=True, kw_only=True):
    """The board as it was at an instant; demographics are today's."""

    at: Instant
    items: list[Row]
    counters: Counters
    readers: list[PastReader]
