"""The clock of a study: from its first instance to its first signature.

    RUNNING --warn_at--> WARNED --due_at--> BREACHED
    RUNNING | WARNED | BREACHED --pause--> PAUSED --resume--> as before, due later by the pause
    any --first signature, or the final one where the policy says so--> STOPPED

``breached_at`` is never cleared, and once it is set ``due_at`` never moves. While a clock is live the
ladder of its policy is climbed (``actors.domain.escalation``); a pause may end by itself at ``pause_until``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from actors.domain.due import ClockStop, Sort
from actors.domain.instant import instant
from actors.domain.words import ClockState, Priority

if TYPE_CHECKING:
    from actors.domain.clocked import ClockResumed, ClockStarted

_ALERTS = UUID("9d0c7c34-2d6a-5c0f-8f0e-6b8f6f2f9f55")
WARN, BREACH, ESCALATE, RESUME = "sla_warn", "sla_breach", "sla_escalate", "sla_resume"


@dataclass(frozen=True, slots=True)
class Clock:
    """An SLA clock; instants are UTC."""

    state: ClockState
    started_at: datetime
    due_at: datetime
    warn_at: datetime
    breached_at: datetime | None = None
    paused_s: float = 0.0
    paused_at: datetime | None = None
    before_pause: ClockState | None = None
    policy: int = 0  # the version of the tenant's policy that it runs under
    priority: Priority | None = None  # that it was set for; None: neither calendar nor ladder
    rung: int = 0  # how many of the ladder were climbed
    escalate_at: datetime | None = None
    pause_until: datetime | None = None
    modality: str = ""  # that it was set for, as the setting: both choose the line of the policy's table
    setting: str = ""
    until: ClockStop = ClockStop.FIRST_SIGNATURE

    @property
    def sort(self) -> Sort | None:
        """What the policy's table is asked for."""
        return Sort(self.priority, self.modality, self.setting) if self.priority else None

    @property
    def live(self) -> bool:
        """Whether it counts down or has run out."""
        return self.state in (ClockState.RUNNING, ClockState.WARNED, ClockState.BREACHED)

    def shown(self) -> dict[str, Any]:
        """Return the row's ``sla``."""
        return {
            "state": self.state.value,
            "due_at": instant(self.due_at),
            "warn_at": instant(self.warn_at),
            "started_at": instant(self.started_at),
            "breached_at": instant(self.breached_at),
            "paused_s": round(self.paused_s, 3),
        }


def start(event: ClockStarted, since: Clock | None = None) -> Clock:
    """Return a started clock; one set anew keeps a breach that was."""
    breached_at = since.breached_at if since else None
    return Clock(
        ClockState.BREACHED if breached_at else ClockState.RUNNING,
        event.started_at,
        event.due_at,
        event.warn_at,
        breached_at,
        since.paused_s if since else 0.0,
        policy=event.policy,
        priority=event.priority,
        escalate_at=event.escalate_at,
        modality=event.modality,
        setting=event.setting,
        until=event.stop,
    )


def warn(clock: Clock) -> Clock:
    """Return the clock after its warning."""
    return replace(clock, state=ClockState.WARNED)


def breach(clock: Clock, at: datetime) -> Clock:
    """Return the clock after its breach."""
    return replace(clock, state=ClockState.BREACHED, breached_at=clock.breached_at or at)


def pause(clock: Clock, at: datetime, until: datetime | None = None) -> Clock:
    """Return the clock, paused."""
    return replace(clock, state=ClockState.PAUSED, paused_at=at, before_pause=clock.state, pause_until=until)


def resume(clock: Clock, event: ClockResumed, at: datetime) -> Clock:
    """Return the clock, going on as it was; due later by the pause unless it was breached."""
    gone = at - (clock.paused_at or at)
    moved = timedelta() if clock.breached_at else gone
    return replace(
        clock,
        state=clock.before_pause or ClockState.RUNNING,
        due_at=event.due_at or clock.due_at + moved,
        warn_at=event.warn_at or clock.warn_at + moved,
        escalate_at=event.escalate_at,
        paused_s=clock.paused_s + gone.total_seconds(),
        paused_at=None,
        before_pause=None,
        pause_until=None,
    )


def escalate(clock: Clock, next_at: datetime | None) -> Clock:
    """Return the clock one rung up."""
    return replace(clock, rung=clock.rung + 1, escalate_at=next_at)


def signed(clock: Clock, *, final: bool) -> Clock:
    """Return the clock after a signature: stopped, unless its policy waits for the final one."""
    return stop(clock) if final or clock.until is ClockStop.FIRST_SIGNATURE else clock


def stop(clock: Clock) -> Clock:
    """Return the clock, stopped; a breach stays on record."""
    return replace(clock, state=ClockState.STOPPED, paused_at=None, before_pause=None, pause_until=None)


def alert_id(tenant_id: str, study_uid: str, due_at: datetime) -> str:
    """Return the id of a breach's alert: the same before and after the database was away."""
    return str(uuid5(_ALERTS, f"{tenant_id}/{study_uid}/{BREACH}/{instant(due_at)}"))


def message_id(tenant_id: str, study_uid: str, due_at: datetime, step: int, user_id: str) -> str:
    """Return the id of what the ladder tells a person: one a rung and person, however often it is committed."""
    return str(uuid5(_ALERTS, f"{tenant_id}/{study_uid}/{ESCALATE}/{instant(due_at)}/{step}/{user_id}"))
