"""What a header has of its own: images of a series agree in most attributes, which one of them keeps for all.

What an image says of an attribute holds; where it says nothing, the whole header of the one it is alike holds. That one
is named by UID and SHA-256, so that a series that was erased and came again is never mixed with what it was before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from storage.ingest import Arrival

    DataSet: TypeAlias = dict[str, dict[str, Any]]

# The whole header of an instance i, and how a statement comes by it: by key, whatever the planner thinks of small tables.
WHOLE = "CASE WHEN i.alike IS NULL THEN i.header ELSE a.header || i.header END"
OTHER = """
  LEFT JOIN LATERAL (SELECT x.header FROM rr.instance x WHERE x.tenant_id = i.tenant_id AND x.study_uid = i.study_uid
                        AND x.series_uid = i.series_uid AND x.sop_uid = i.alike OFFSET 0) a ON true
"""

_SERIES = 256  # remembered at once
_OWN = frozenset(
    {"00200013", "00280010"}
)  # instance number and rows: asked for without the rest, so every header has them
_MOST = 0.5  # of a header's attributes may differ


@dataclass(frozen=True, slots=True)
class Whole:
    """An image whose header is stored whole."""

    sop_uid: str
    sha256: bytes
    header: DataSet

    def own(self, header: DataSet) -> DataSet | None:
        """Return what a header has of its own, or None when it is not alike."""
        if not self.header.keys() <= header.keys():
            return None
        known = self.header
        own = {tag: element for tag, element in header.items() if known.get(tag) is not element}
        own = {tag: element for tag, element in own.items() if known.get(tag) != element}
        own |= {tag: header[tag] for tag in _OWN if tag in header}
        return own if len(own) <= _MOST * len(header) else None


class Alike:
    """The last image of each series whose header this process has stored whole; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, ...], Whole] = OrderedDict()

    def own(self, arrival: Arrival) -> tuple[DataSet, Whole | None]:
        """Return the header to store, and the image that has the rest of it."""
        whole = self._known.get(_series(arrival))
        own = whole.own(arrival.header) if whole is not None else None
        return (arrival.header, None) if own is None else (own, whole)

    def learn(self, arrival: Arrival) -> None:
        """Remember an image whose header was just stored whole."""
        with self._lock:
            key = _series(arrival)
            self._known[key] = Whole(arrival.sop_uid, arrival.stored.sha256, arrival.header)
            self._known.move_to_end(key)
            if len(self._known) > _SERIES:
                self._known.popitem(last=False)

    def forget(self, arrivals: Iterable[Arrival]) -> None:
        """Forget what was remembered of the series of these images."""
        with self._lock:
            for arrival in arrivals:
                self._known.pop(_series(arrival), None)


def _series(arrival: Arrival) -> tuple[str, ...]:
    return arrival.tenant_id, arrival.site_id, arrival.study_uid, arrival.series_uid
