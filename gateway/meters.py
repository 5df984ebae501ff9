"""What gateways and listeners count and time; path templates and codes only, never what stands in them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_TIMES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

REQUESTS = Counter("rr_http_requests_total", "HTTP calls answered.", ("method", "route", "status"))
REQUEST_SECONDS = Histogram("rr_http_request_seconds", "Time to answer an HTTP call.", ("route",), buckets=_TIMES)

SOCKETS = Gauge("rr_sockets", "Sockets that have shown a ticket.")
SOCKETS_ENDED = Counter("rr_sockets_ended_total", "Sockets that were told to go.", ("code",))
EMITTED = Counter("rr_emitted_total", "Events of the feed written to sockets.")
EMIT_LAG = Histogram("rr_emit_lag_seconds", "From an event's commit until it is written to sockets.", buckets=_TIMES)

ASSOCIATIONS = Gauge("rr_associations", "DICOM associations that are open.")
DAMAGED = Counter("rr_objects_damaged_total", "Stored files that were found not to be what was written.")
CHECKED = Counter("rr_objects_checked_total", "Stored files checked against their sums.", ("outcome",))
TIER_STUDIES = Counter("rr_tier_studies_total", "Studies whose files were moved to a tier.", ("to",))
TIER_BYTES = Counter("rr_tier_bytes_total", "Bytes copied between tiers.")
TIER_FAILED = Counter("rr_tier_failures_total", "Moves between tiers that came to nothing.")
IMAGES = Counter("rr_images_total", "Images received, by C-STORE or STOW-RS.", ("outcome",))
IMAGE_COMMIT = Histogram("rr_image_commit_seconds", "Time to commit a group of images.", buckets=_TIMES)
IMAGE_GROUP = Histogram("rr_image_group_size", "Images committed together.", buckets=(1, 2, 4, 8, 16, 32, 64))

DELIVERIES = Counter("rr_deliveries_total", "Attempts to deliver a signed report.", ("outcome",))
DELIVERY_SECONDS = Histogram("rr_delivery_seconds", "Time of an attempt to deliver.", buckets=(*_TIMES, 30))
