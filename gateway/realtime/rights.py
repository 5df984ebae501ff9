"""Losing access: sockets of a log-in that ended, or whose rights are others now, are told and closed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog

from actors.domain.errors import Unauthenticated
from gateway.realtime.steady import every
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.auth import Session, Sessions
    from gateway.realtime.connection import Connection
    from gateway.realtime.hub import Hub

log = structlog.get_logger()

SWEEP_S = 5.0
GRACE_S = 60.0  # a socket outlives its token by this much, to re-authenticate
_LOOK_S = 3.0


def rights(session: Session) -> tuple[Any, ...]:
    """Return what a session may, to compare."""
    who = session.who
    return (who.user_id, who.tenant_id, who.role, who.sites, session.wall)


class Rights:
    """Looks at the log-ins behind the sockets: at once when told, all of them now and then.

    Args:
        sessions: where log-ins are looked up; its nudges are heard.
        hub: the sockets.
        end: tells a socket why and closes it.
    """

    def __init__(self, sessions: Sessions, hub: Hub, end: Callable[[Connection, str], None]) -> None:
        self._sessions, self._hub, self._end = sessions, hub, end
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to listen and to sweep."""
        self._sessions.listeners.append(self._told)
        self._keep(every(lambda: SWEEP_S, self._sweep))

    async def stop(self) -> None:
        """Stop listening."""
        self._sessions.listeners.remove(self._told)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _told(self, changed: str) -> None:
        """Rights changed: a family, ``user:ID`` or ``tenant:ID``."""
        affected = list(self._hub.of(changed))
        if affected:
            self._keep(self._look(affected, grace_s=0))

    async def _sweep(self) -> None:
        await self._look(list(self._hub.connections.values()), grace_s=GRACE_S)

    async def _look(self, connections: list[Connection], *, grace_s: float) -> None:
        """End those whose log-in is over or changed; whose token merely expired has ``grace_s``."""
        families = {connection.session.family for connection in connections}
        try:
            async with asyncio.timeout(_LOOK_S):
                current = await self._sessions.standing(families)
        except AWAY as exc:  # committed rights are unknown: the next sweep will see
            log.warning("rights_not_read", cause=type(exc).__name__)
            return
        for connection in connections:
            session = connection.session
            over_s = time.time() - session.expires_at.timestamp()
            now = current.get(session.family)
            late = over_s > (grace_s if now is None else GRACE_S)
            if late or (now is None and over_s < 0) or (now is not None and rights(now) != rights(session)):
                self._end(connection, Unauthenticated.code)

    def _keep(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
