"""The breach alert that does not wait for a database: from memory, once more with the event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from actors.domain import sla
from actors.domain.commands import Envelope
from actors.domain.identity import Key
from actors.domain.instant import instant

if TYPE_CHECKING:
    from actors.domain.commands import FireTimer
    from storage.timers import Timer

BREACH = sla.BREACH


def envelope(command: FireTimer) -> Envelope:
    """Return a timer's command; it is told again until the timer is gone, so it needs no deadline."""
    return Envelope(command)


def provisional(timer: Timer) -> str:
    """Return the unsequenced alert of a breach; the later ``sla_breached`` repeats its id."""
    study_uid = Key.of(timer.tenant_id, timer.entity).name
    return json.dumps(
        {
            "tenant_id": timer.tenant_id,
            "id": sla.alert_id(timer.tenant_id, study_uid, timer.due_at),
            "study_uid": study_uid,
            "due_at": instant(timer.due_at),
            "provisional": True,
        }
    )
