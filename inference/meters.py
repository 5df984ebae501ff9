"""What inference workers count and time."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

JOBS = Gauge("rr_jobs", "Inference jobs by state; every worker says the same.", ("state",))
JOBS_DONE = Counter("rr_job_attempts_total", "Attempts at an inference job.", ("outcome",))
JOB_SECONDS = Histogram(
    "rr_job_seconds", "From claiming a job until the study knows.", buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)
)  # fmt: skip
