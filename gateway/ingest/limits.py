"""How much of a listener one reading group may have: open associations, and requests and images in a second."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

ASSOCIATIONS = 100
_ASSOCIATIONS_PER_S, _REQUESTS_PER_S = 50.0, 50.0
_BURST_S = 4.0
_LONGEST_S = 5.0  # senders take longer silence for our end


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
        images_per_s: stored on average; who sends more is answered later, never refused. 0 is any number.
    """

    associations: int = ASSOCIATIONS
    opened_per_s: float = _ASSOCIATIONS_PER_S
    requests_per_s: float = _REQUESTS_PER_S
    images_per_s: float = 0
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

    def pause(self, tenant_id: str) -> float:
        """Count an image; return the seconds for which its answer is to wait, five at most."""
        if not self.images_per_s:
            return 0.0
        with self._lock:
            bucket = self._filled(tenant_id, "image", self.images_per_s)
            bucket.left = max(bucket.left - 1, -_LONGEST_S * self.images_per_s)
            return max(0.0, -bucket.left / self.images_per_s)

    def _take(self, tenant_id: str, what: str, per_s: float) -> bool:
        bucket = self._filled(tenant_id, what, per_s)
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True

    def _filled(self, tenant_id: str, what: str, per_s: float) -> _Bucket:
        now = time.monotonic()
        bucket = self._buckets.setdefault((tenant_id, what), _Bucket(per_s * _BURST_S, now))
        bucket.left = min(per_s * _BURST_S, bucket.left + (now - bucket.at) * per_s)
        bucket.at = now
        return bucket
