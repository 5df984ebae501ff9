"""Every REST call, in one table: the server, its OpenAPI document and the tests of permissions walk it."""

from __future__ import annotations

from gateway.api import (
    auth,
    docs,
    health,
    orders,
    patients,
    policy,
    readers,
    reports,
    rosters,
    second,
    shifts,
    studies,
    whatif,
    worklist,
)

_SUBJECTS = (
    *auth.ROUTES, *orders.ROUTES, *patients.ROUTES, *studies.ROUTES, *second.ROUTES, *worklist.ROUTES,
    *reports.ROUTES, *policy.ROUTES,
    *readers.ROUTES, *shifts.ROUTES, *rosters.ROUTES,
    *health.ROUTES, *whatif.ROUTES,
)  # fmt: skip
ROUTES = (*_SUBJECTS, *docs.routes(_SUBJECTS))
