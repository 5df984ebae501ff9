"""Bodies of the REST calls about versions of a policy; names as in :mod:`gateway.schema`."""

from typing import Any, Literal, TypeAlias

from gateway.schema import Asked, Given, Policy, Short
from gateway.shapes import Instant

Seen: TypeAlias = Literal["draft", "shadow", "by_day", "live", "retired"]


class PolicyDraft(Asked, frozen=True, kw_only=True):
    """A policy to be tried, and why."""

    policy: Policy
    note: Short = ""


class PolicyMode(Asked, frozen=True, kw_only=True):
    """What a version is to be for, and the mode that was seen."""

    mode: Literal["draft", "shadow", "by_day", "live"]
    was: Seen


class PolicyVersion(Given, frozen=True, kw_only=True):
    """A version: ``retired`` was live, ``today`` is in force now, by its mode or by the lot of the day."""

    version: int
    mode: Seen
    today: bool
    by: str | None
    at: Instant
    live_at: Instant | None
    note: str
    policy: Policy


class PolicyVersions(Given, frozen=True, kw_only=True):
    """A page of versions, the newest first."""

    items: list[PolicyVersion]
    next: str | None


class PolicyChange(Given, frozen=True, kw_only=True):
    """A value that differs; null is not there."""

    path: str
    before: Any
    after: Any


class PolicyDiff(Given, frozen=True, kw_only=True):
    """How a version differs from another."""

    version: int
    against: int
    items: list[PolicyChange]
    next: str | None


class Decided(Given, frozen=True, kw_only=True):
    """Whom a side chose, when and why."""

    radiologist_id: str
    why: str
    at: Instant


class PolicyPair(Given, frozen=True, kw_only=True):
    """A decision on which live and shadow differ; null let the study wait."""

    study_uid: str
    step: int
    at: Instant
    live_version: int
    live: Decided | None
    shadow: Decided | None


class PolicyArm(Given, frozen=True, kw_only=True):
    """The studies whose clock began under a version; minutes from there to the first signature."""

    version: int
    studies: int
    breached: int
    signed: int
    tat_min_p50: float | None
    tat_min_p95: float | None


class PolicyComparison(Given, frozen=True, kw_only=True):
    """What a version did in the shadow and on its days, beside the live one; ``items`` are the decisions that differ."""

    version: int
    live_version: int
    decisions: int
    agreed: int
    only_live: int
    only_shadow: int
    arms: list[PolicyArm]
    items: list[PolicyPair]
    next: str | None
