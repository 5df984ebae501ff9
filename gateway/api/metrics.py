"""What this process counts of its HTTP calls; path templates only, never what stands in them."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter("rr_http_requests_total", "HTTP calls answered.", ("method", "route", "status"))
SECONDS = Histogram(
    "rr_http_request_seconds", "Time to answer an HTTP call.", ("route",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)  # fmt: skip
