"""How much of a listener one reading group may have: open associations, and requests in a second."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

ASSOCIATIONS = 100
_ASSOCIATIONS_PER_S, _REQUESTS_PER_S = 50.0, 50.0
_BURST_S = 4.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(slots=True)
class Limits:
    """Counts by tenant; for all threads of a process.

    Args:
        associations: open at once.
        opened_per_s: associations asked for, on average; four seconds' worth at once.
        requests_per_s: queries, retrievals and the like, in the same way; images are not counted.
    """

    associations: int = ASSOCIATIONS
    opened_per_s: float = _ASSOCIATIONS_PER_S
    requests_per_s: float = _REQUESTS_PER_S
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _open: dict[str, int] = field(default_factory=dict, init=False)
    _buckets: dict[tuple[str, str], _Bucket] = field(default_factory=dict, init=False)

    def enter(self, tenant_id: str) -> int:
        """Count an association; return 0, or the reason of its rejection by the presentation layer (PS3.8 9.3.4)."""
        with self._lock:
            if self._open.get(tenant_id, 0) >= self.associations:
                return 2  # local limit exceeded
            if not self._take(tenant_id, "open", self.opened_per_s):
                return 1  # temporary congestion
            self._open[tenant_id] = self._open.get(tenant_id, 0) + 1
            return 0

    def leave(self, tenant_id: str) -> None:
        """One association less."""
        with self._lock:
            self._open[tenant_id] -= 1

    def ask(self, tenant_id: str) -> bool:
        """Whether a request may be served now."""
        with self._lock:
            return self._take(tenant_id, "ask", self.requests_per_s)

    def _take(self, tenant_id: str, what: str, per_s: float) -> bool:
        now = time.monotonic()
        bucket = self._buckets.setdefault((tenant_id, what), _Bucket(per_s * _BURST_S, now))
        bucket.left = min(per_s * _BURST_S, bucket.left + (now - bucket.at) * per_s)
        bucket.at = now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True
