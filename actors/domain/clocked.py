"""What has happened to the clock of a study: events as those of ``actors.domain.events``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias

from actors.domain.due import ClockStop
from actors.domain.words import Priority  # noqa: TC001 - msgspec reads the annotations

Upcasts: TypeAlias = tuple[Callable[[dict[str, Any]], dict[str, Any]], ...]


def _around_the_clock(plain: dict[str, Any]) -> dict[str, Any]:
    """Shape 1 knew no calendars: the warning came ``warn_s`` after the start."""
    warn_at = datetime.fromisoformat(plain["started_at"]) + timedelta(seconds=plain["warn_s"])
    return plain | {"warn_at": warn_at.isoformat()}


@dataclass(frozen=True, slots=True)
class ClockStarted:
    """A clock set for ``priority`` under version ``policy`` of the tenant's policy, 0 for the defaults."""

    STEP: ClassVar[bool] = False
    UPCASTS: ClassVar[Upcasts] = (_around_the_clock,)
    started_at: datetime
    due_s: float
    warn_s: float
    due_at: datetime
    warn_at: datetime
    policy: int = 0
    priority: Priority | None = None  # None: shape 1, without calendar and ladder
    escalate_at: datetime | None = None
    modality: str = ""
    setting: str = ""
    stop: ClockStop = ClockStop.FIRST_SIGNATURE


@dataclass(frozen=True, slots=True)
class SlaWarned:
    STEP: ClassVar[bool] = False
    due_at: datetime


@dataclass(frozen=True, slots=True)
class SlaBreached:
    STEP: ClassVar[bool] = False
    due_at: datetime
    alert_id: str


@dataclass(frozen=True, slots=True)
class ClockPaused:
    STEP: ClassVar[bool] = False
    reason: str
    until: datetime | None = None  # it goes on by itself then


@dataclass(frozen=True, slots=True)
class ClockResumed:
    """``due_at`` and ``warn_at`` are None where only plain time counts: they move by the pause."""

    STEP: ClassVar[bool] = False
    reason: str
    due_at: datetime | None = None
    warn_at: datetime | None = None
    escalate_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Escalated:
    """A rung of the ladder was reached: who of ``tell`` was told, and when the next one is reached."""

    STEP: ClassVar[bool] = False
    step: int  # of the ladder, from 1
    due_at: datetime
    tell: tuple[str, ...]
    told: tuple[str, ...]  # user ids
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PriorityRaised:
    """The ladder has raised the priority above the one that was asked for."""

    STEP: ClassVar[bool] = True
    priority: Priority
    asked: Priority
