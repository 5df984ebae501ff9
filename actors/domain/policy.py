"""What a tenant has decided: how long offers stay open, when reports are due, how much one reader holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors.domain.assignment.rules import Rules, plain, rules
from actors.domain.clocks import ClockRules, by_priority, clock_rules, seconds
from actors.domain.errors import BadPayload
from actors.domain.words import Priority

_DUE_S = {Priority.STAT: 1800.0, Priority.URGENT: 7200.0, Priority.ROUTINE: 86400.0}
_WARN_SHARE = 0.75
_OPEN_S = 120.0
_KNOWN = {"offer_open_s", "sla", "capacity", "clock", "assignment"}


@dataclass(frozen=True, slots=True)
class Due:
    """Seconds from the start of the clock."""

    due_s: float
    warn_s: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A tenant's policy; the defaults hold until somebody sets another."""

    offer_open_s: dict[Priority, float] = field(default_factory=lambda: dict.fromkeys(Priority, _OPEN_S))
    sla: dict[Priority, Due] = field(default_factory=lambda: {p: Due(s, s * _WARN_SHARE) for p, s in _DUE_S.items()})
    capacity: int = 5
    clock: ClockRules = field(default_factory=ClockRules)
    assignment: Rules = field(default_factory=Rules)
    version: int = 0  # of the tenant's policies; 0 while it has set none

    def body(self) -> dict[str, Any]:
        """Return the policy as REST shows it."""
        return {
            "offer_open_s": {p.value: s for p, s in self.offer_open_s.items()},
            "sla": {p.value: {"due_s": d.due_s, "warn_s": d.warn_s} for p, d in self.sla.items()},
            "capacity": self.capacity,
            "clock": self.clock.body(),
            "assignment": plain(self.assignment),
        }


def policy(body: dict[str, Any]) -> Policy:
    """Return the policy of a body as REST takes it; what it leaves out keeps its default.

    Raises:
        BadPayload: naming the field.
    """
    unknown = set(body) - _KNOWN
    if unknown:
        raise BadPayload(f"A policy has {', '.join(sorted(_KNOWN))}.", {"field": min(unknown)})
    base = Policy()
    opens = {
        p: seconds(v, f"offer_open_s.{p}") for p, v in by_priority(body.get("offer_open_s", {}), "offer_open_s").items()
    }
    sla: dict[Priority, Due] = {}
    for priority, given in by_priority(body.get("sla", {}), "sla").items():
        name = f"sla.{priority}"
        if not isinstance(given, dict) or "due_s" not in given:
            raise BadPayload(f"{name} holds due_s and warn_s.", {"field": name})
        due_s = seconds(given["due_s"], f"{name}.due_s")
        warn_s = seconds(given.get("warn_s", due_s * _WARN_SHARE), f"{name}.warn_s")
        if warn_s > due_s:
            raise BadPayload("A warning comes before the report is due.", {"field": f"{name}.warn_s"})
        sla[priority] = Due(due_s, warn_s)
    capacity = body.get("capacity", base.capacity)
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise BadPayload("capacity must be a whole number of at least 1.", {"field": "capacity"})
    return Policy(
        base.offer_open_s | opens,
        base.sla | sla,
        capacity,
        clock_rules(body.get("clock", {})),
        rules(body.get("assignment", {})),
    )
