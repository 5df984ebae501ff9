"""Who reads for a tenant now: read when something changed, reckoned anew each second as shifts begin and end."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from actors.domain.assignment.table import PRESENT
from actors.domain.roster import zone
from actors.domain.staff import reader
from actors.domain.unit import ReaderDelta, Unit
from actors.domain.words import Presence
from storage import hydrate, staff

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from actors.domain.assignment.case import Reader
    from actors.domain.identity import Key
    from actors.domain.staff import Member
    from actors.world import World

_SWEEP_S = 30.0  # everything is read again after so long, though nobody said that it changed


class Muster:
    """The readers of one tenant, and what the feed has told of them."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._members: dict[str, Member] = {}
        self._shown: dict[str, str] = {}
        self._zone: ZoneInfo
        self._rev = -1
        self._read_at = 0.0

    async def refresh(self) -> None:
        """Read the readers when their roster number has grown; each half minute in any case."""
        tenant_id = self._key.tenant_id
        async with self._world.db.scope([tenant_id]) as conn:
            rev = await staff.rev(conn, tenant_id)  # before the rows: what changes meanwhile is read again
            if rev == self._rev and monotonic() - self._read_at < _SWEEP_S:
                return
            self._zone = zone(await hydrate.time_zone(conn, tenant_id))
            self._members, self._shown = await staff.members(conn, tenant_id)
        self._rev, self._read_at = rev, monotonic()

    async def one(self, user_id: str) -> None:
        """Read one reader: her presence has changed."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            found, _ = await staff.members(conn, self._key.tenant_id, user_id)
        self._members.update(found)

    async def roll(self, reading: set[str]) -> dict[str, Reader]:
        """Return the readers as they are now, without their loads; ``reading`` names who reads a study here."""
        tenant_id, now = self._key.tenant_id, self._world.now()
        capacity = (await self._world.directory.policy(tenant_id)).capacity
        elsewhere = self._world.directory.reading_elsewhere(tenant_id)
        found = {}
        for who, member in self._members.items():
            state = member.state
            if who in elsewhere and state in PRESENT:
                state = Presence.BUSY
            elif who in reading and state is Presence.ONLINE:
                state = Presence.READING
            found[who] = reader(member, capacity, self._zone, now, state)
        return found

    async def announce(self) -> None:
        """Put on the feed whose name, capacity or shift is another than was told."""
        tenant_id, now = self._key.tenant_id, self._world.now()
        capacity = (await self._world.directory.policy(tenant_id)).capacity
        shown = {who: member.shown(capacity, now) for who, member in self._members.items()}
        news = {who: text for who, text in shown.items() if self._shown.get(who) != text}
        if not news:
            return
        await self._world.commit(Unit(self._key, readers=[ReaderDelta(who) for who in news]))
        async with self._world.db.scope([tenant_id]) as conn:
            await staff.told(conn, tenant_id, news)
        self._shown |= news

    def own_capacity(self) -> frozenset[str]:
        """Return whose capacity is their own, not the policy's."""
        return frozenset(who for who, member in self._members.items() if member.profile.capacity is not None)

    def on_call(self) -> list[str]:
        """Return who is on call now."""
        now = self._world.now()
        return [who for who, member in self._members.items() if member.standing(now).on_call]
