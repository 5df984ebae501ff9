"""What the actors count and time. Prometheus' names; labels hold kinds and codes, never who or what.

The figures of a process are gathered by :mod:`actors.exposition`.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200)
_KINDS = ("study", "tenant", "radiologist")

_WAIT = Histogram("rr_mailbox_wait_seconds", "From asking an entity until its turn.", ("kind",), buckets=_FAST)
_HANDLE = Histogram("rr_mailbox_handle_seconds", "From its turn until its answer.", ("kind",), buckets=_FAST)
_ENTITIES = Gauge("rr_entities", "Entities in memory.", ("kind",))

MAILBOX_WAIT = {kind: _WAIT.labels(kind) for kind in _KINDS}
MAILBOX_HANDLE = {kind: _HANDLE.labels(kind) for kind in _KINDS}
ENTITIES = {kind: _ENTITIES.labels(kind) for kind in _KINDS}

ACTIVATION = Histogram("rr_activation_seconds", "Time to read an entity from its journal.", ("kind",), buckets=_FAST)
DEAD_LETTERS = Counter("rr_dead_letters_total", "Messages set aside because their entity failed on them.")

APPEND = Histogram("rr_append_seconds", "Round trip of a batch to the journal.", buckets=_FAST)
APPEND_UNITS = Histogram("rr_append_units", "Units committed in one batch.", buckets=_SIZES)
APPEND_FAILED = Counter("rr_append_failed_total", "Batches that did not commit.", ("cause",))
EVENTS = Counter("rr_events_total", "Domain events in the journal.", ("type",))

ROUTER_BATCH = Histogram("rr_router_batch_size", "Asks in one call to a host.", buckets=_SIZES)
ROUTER_WAITING = Gauge("rr_router_waiting", "Asks of this process that wait for a call.")
ROUTER_AGAIN = Counter("rr_router_again_total", "Asks tried again.", ("cause",))
REFUSED = Counter("rr_refused_total", "Asks that were refused.", ("code",))
FAILOVER = Histogram(
    "rr_failover_seconds", "From a host's silence until its next answer.", buckets=(0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 30, 60)
)  # fmt: skip

TIMER_LATE = Histogram("rr_timer_late_seconds", "From due until told to the entity.", buckets=_FAST)
TIMERS_ARMED = Gauge("rr_timers_armed", "Timers of the next quarter of an hour in memory.")
INBOX_WAITING = Gauge("rr_inbox_waiting", "Images stored of which their study is to be told now.")
STUDIES_OPEN = Gauge("rr_studies_open", "Open studies, as their decider knows them.", ("tenant",))
STUDIES_WAITING = Gauge("rr_studies_waiting", "Studies that may be offered and are not.", ("tenant",))


def studies_open() -> int:
    """Return how many open studies the deciders in this process know."""
    return int(sum(sample.value for metric in STUDIES_OPEN.collect() for sample in metric.samples))
