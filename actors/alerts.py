"""The breach alert that does not wait for a database: from memory, once more with the event."""

from __future__ import annotations

import json
from time import monotonic
from typing import TYPE_CHECKING

from actors.domain import sla
from actors.domain.identity import Key
from actors.domain.instant import instant

if TYPE_CHECKING:
    from storage.timers import Timer

BREACH = sla.BREACH
_AGAIN_S = 10.0


class Alerts:
    """Says a breach again only after a while, as long as it cannot be committed."""

    def __init__(self) -> None:
        self._said: dict[Timer, float] = {}

    def due(self, timer: Timer) -> bool:
        """Whether it is time to say this one."""
        now = monotonic()
        self._said = {t: at for t, at in self._said.items() if now - at < _AGAIN_S}
        if timer in self._said:
            return False
        self._said[timer] = now
        return True


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
