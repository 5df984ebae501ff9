"""What a tenant has decided: how long offers stay open, when reports are due, how much one reader holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors.domain.assignment.rules import Rules, plain, rules
from actors.domain.clocks import ClockRules, by_priority, clock_rules, object_of, seconds
from actors.domain.double import SecondReads, second_reads
from actors.domain.due import WARN_SHARE, Due, Line, Sort, Terms, due_of, table
from actors.domain.errors import BadPayload
from actors.domain.words import Priority

_DUE_S = {Priority.STAT: 1800.0, Priority.URGENT: 7200.0, Priority.ROUTINE: 86400.0}
_OPEN_S = 120.0
_KNOWN = {"offer_open_s", "sla", "sla_rules", "capacity", "clock", "assignment", "second_reads"}


@dataclass(frozen=True, slots=True)
class Policy:
    """A tenant's policy; the defaults hold until somebody sets another."""

    offer_open_s: dict[Priority, float] = field(default_factory=lambda: dict.fromkeys(Priority, _OPEN_S))
    sla: dict[Priority, Due] = field(default_factory=lambda: {p: Due(s, s * WARN_SHARE) for p, s in _DUE_S.items()})
    sla_rules: tuple[Line, ...] = ()  # above ``sla``, the first that fits
    capacity: int = 5
    clock: ClockRules = field(default_factory=ClockRules)
    assignment: Rules = field(default_factory=Rules)
    second_reads: SecondReads = field(default_factory=SecondReads)
    version: int = 0  # of the tenant's policies; 0 while it has set none

    def terms(self, sort: Sort) -> Terms:
        """Return how the clock of such a study runs."""
        hours, ladder = self.clock.hours(sort.priority), self.clock.escalation.get(sort.priority, ())
        line = next((line for line in self.sla_rules if line.fits(sort)), None)
        if line is None:
            return Terms(self.sla[sort.priority], hours, self.clock.pause, ladder)
        if line.own_calendar:
            hours = self.clock.calendars.get(line.calendar or "")
        return Terms(line.due, hours, line.pause or self.clock.pause, ladder, line.start, line.stop)

    def body(self) -> dict[str, Any]:
        """Return the policy as REST shows it."""
        return {
            "offer_open_s": {p.value: s for p, s in self.offer_open_s.items()},
            "sla": {p.value: {"due_s": d.due_s, "warn_s": d.warn_s} for p, d in self.sla.items()},
            "sla_rules": [line.body() for line in self.sla_rules],
            "capacity": self.capacity,
            "clock": self.clock.body(),
            "assignment": plain(self.assignment),
            "second_reads": plain(self.second_reads),
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
    sla = {
        p: due_of(object_of(given, f"sla.{p}", ("due_s", "warn_s")), f"sla.{p}")
        for p, given in by_priority(body.get("sla", {}), "sla").items()
    }
    clock = clock_rules(body.get("clock", {}))
    capacity = body.get("capacity", base.capacity)
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise BadPayload("capacity must be a whole number of at least 1.", {"field": "capacity"})
    return Policy(
        base.offer_open_s | opens,
        base.sla | sla,
        table(body.get("sla_rules", []), clock.calendars),
        capacity,
        clock,
        rules(body.get("assignment", {})),
        second_reads(body.get("second_reads", {})),
    )
