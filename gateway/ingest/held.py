"""Studies of associations that are still open: a slow modality pauses between images."""

from __future__ import annotations

import threading
import time


class Held:
    """Which studies came over associations that are still open, and when last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, dict[tuple[str, str], float]] = {}

    def note(self, association: int, tenant_id: str, study_uid: str) -> None:
        """An image of the study came over the association."""
        with self._lock:
            self._open.setdefault(association, {})[tenant_id, study_uid] = time.monotonic()

    def release(self, association: int) -> None:
        """The association is over."""
        with self._lock:
            self._open.pop(association, None)

    def older_than(self, seconds: float) -> set[tuple[str, str]]:
        """Return (tenant, study) of open associations that have brought none of it for so long."""
        since = time.monotonic() - seconds
        with self._lock:
            return {study for studies in self._open.values() for study, at in studies.items() if at < since}
