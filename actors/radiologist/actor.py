"""Presence of one radiologist in one group: what she chose, and whether she is connected.

Connecting means online, unless she chose busy, away or off while connected; the choice ends with
the connection. Who lets an offer expire is away until she says that she is back. What she is
reading and how much she has is derived from studies, never kept here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import structlog

from actors import meters
from actors.domain.commands import ObservePresence, SetPresence
from actors.domain.errors import BadPayload
from actors.domain.identity import tenant_key
from actors.domain.unit import ReaderDelta, Recorded, Unit
from actors.domain.words import Presence
from actors.mailbox import digest
from actors.told import Missed, ReaderChanged, sealed
from storage import journal

if TYPE_CHECKING:
    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from actors.world import World

log = structlog.get_logger()

_CHOICES = frozenset({Presence.ONLINE, Presence.BUSY, Presence.AWAY, Presence.OFF})


@dataclass(frozen=True, slots=True)
class Attendance:
    """The state of a radiologist entity."""

    state: str = Presence.OFF
    connected: bool = False
    chosen: bool = False  # by her, and so not changed by what gateways see


def attend(now: Attendance, command: object) -> Attendance:
    """Return the attendance after a command.

    Raises:
        BadPayload: no such presence.
    """
    match command:
        case SetPresence(state):
            state = Presence.ONLINE if state == Presence.READING else state
            if state not in _CHOICES:
                raise BadPayload("Presence is online, busy, away or off.", {"field": "state"})
            return replace(now, state=state, chosen=state != Presence.ONLINE)
        case ObservePresence(connected) if connected and not now.connected:
            return Attendance(Presence.ONLINE, connected=True)
        case ObservePresence(connected) if now.connected and not connected:
            return Attendance(Presence.OFF if now.state == Presence.OFF else Presence.AWAY, connected=False)
        case Missed() if now.state == Presence.ONLINE:
            return replace(now, state=Presence.AWAY)
        case _:
            return now


class RadiologistActor:
    """Owns one radiologist's presence in one tenant."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._rev = 0
        self._attendance: Attendance | None = None

    def forget(self) -> None:
        """Read everything again before the next message."""
        self._attendance = None

    async def current(self) -> bool:
        """Whether memory is as new as the journal."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            return self._attendance is not None and (await journal.last(conn, *self._place))[0] == self._rev

    @property
    def _place(self) -> tuple[str, str]:
        return self._key.tenant_id, self._key.entity

    async def handle(self, envelope: Envelope) -> dict[str, Any]:
        """Take a presence command; commit only what changes."""
        if self._attendance is None:
            began = perf_counter()
            async with self._world.db.scope([self._key.tenant_id]) as conn:
                self._rev, body = await journal.last(conn, *self._place)
            meters.ACTIVATION.labels("radiologist").observe(perf_counter() - began)
            self._attendance = Attendance(**body)
        before, after = self._attendance, attend(self._attendance, envelope.command)
        rev = self._rev + (after != before)
        answer = {"version": rev, "state": after.state}
        unit = Unit(self._key, deadline=envelope.deadline)
        if envelope.idem is not None:
            user_id = envelope.by.user_id if envelope.by else ""
            unit.answer = (user_id, envelope.idem, digest(envelope), answer)
        if after != before:
            by = envelope.by.user_id if envelope.by else None
            unit.events.append(
                Recorded(self._key.entity, rev, "PresenceChanged", asdict(after), self._world.now(), by, envelope.idem)
            )
            unit.readers.append(ReaderDelta(self._key.name, state=after.state, rev=rev))
        if unit.answer or unit.events:
            await self._world.commit(unit)
        self._attendance, self._rev = after, rev
        if after != before:
            meters.EVENTS.labels("PresenceChanged").inc()
            log.info("PresenceChanged", entity=str(self._key), state=after.state)
            told = ReaderChanged(self._key.name, after.state, rev)
            self._world.tell(tenant_key(self._key.tenant_id), sealed(told))
        return answer
