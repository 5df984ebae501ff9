"""A tenant's midnight, by its own clock: what was signed today is counted anew."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from actors.domain.unit import Recorded, TimerArm, Unit
from storage import heads, hydrate, journal

if TYPE_CHECKING:
    from actors.domain.identity import Key
    from actors.world import World

NAME = "midnight"


class Midnight:
    """The timer of one tenant."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world

    async def arm(self) -> None:
        """Arm the next midnight, unless it is armed."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            armed = await hydrate.timer_armed(conn, self._key.tenant_id, self._key.entity, NAME)
        if not armed:
            await self._world.commit(await self._next())

    async def turn(self) -> None:
        """Begin to count anew what was signed today; the journal's version lets one host do it."""
        tenant_id, entity = self._key.tenant_id, self._key.entity
        unit = await self._next()
        async with self._world.db.scope([tenant_id]) as conn:
            version, _ = await journal.last(conn, tenant_id, entity)
            counted = await heads.counters(conn, tenant_id)
        unit.events.append(Recorded(entity, version + 1, "DayTurned", {}, self._world.now()))
        for stream, counters in counted.items():
            unit.counters[stream] = {"final_today": -counters.get("final_today", 0)}
        await self._world.commit(unit)

    async def _next(self) -> Unit:
        """Return the unit that arms the next midnight."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            zone = ZoneInfo(await hydrate.time_zone(conn, self._key.tenant_id))
        tomorrow = self._world.now().astimezone(zone).date() + timedelta(days=1)
        midnight = datetime.combine(tomorrow, time(), zone).astimezone(UTC)
        return Unit(self._key, arm=[TimerArm(NAME, 0, midnight)])
