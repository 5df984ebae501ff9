"""Presence: which tabs of a reader are open anywhere. Ephemeral, in Valkey; told to her actor when it changes.

A hash for each reader holds {tab: Unix seconds until which it counts}. The gateway that holds a socket
renews it; who dies stops renewing. Any gateway may notice that the last tab of somebody has run out.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from actors.domain.commands import Envelope, ObservePresence
from actors.domain.errors import ReadingRoomError
from actors.domain.identity import radiologist_key
from actors.domain.words import READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.deps import Deps
    from gateway.realtime.connection import Connection

TTL_S, RENEW_S, GRACE_S = 25.0, 8.0, 5.0
_EVERYONE = "presence:readers"
_AWAY = (RedisError, OSError, TimeoutError)


class PresenceBoard:
    """Keeps the tabs of this gateway alive, and tells actors who came and who went."""

    def __init__(self, deps: Deps, held: Callable[[], Iterable[Connection]]) -> None:
        self._deps, self._held = deps, held
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to renew and to sweep."""
        self.spawn(self._renew())
        self.spawn(self._sweep())

    async def stop(self) -> None:
        """End; tabs run out by themselves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: object) -> None:
        """Keep a reference to a background task until it is done."""
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def joined(self, connection: Connection) -> None:
        """A socket has connected."""
        if connection.session.who.role in READERS:
            self.spawn(self._joined(connection))

    def left(self, connection: Connection) -> None:
        """A socket has gone; a flapping network has some seconds to come back."""
        if connection.session.who.role in READERS:
            self.spawn(self._left(connection))

    async def _joined(self, connection: Connection) -> None:
        with suppress(*_AWAY):
            await self._mark(connection)
        await self._tell(connection.tenant_id, connection.session.who.user_id, connected=True)

    async def _mark(self, connection: Connection) -> None:
        who = f"{connection.tenant_id}/{connection.session.who.user_id}"
        async with self._deps.valkey.pipeline(transaction=False) as pipe:
            pipe.hset(f"presence:{who}", connection.tab, str(time.time() + TTL_S))
            pipe.expire(f"presence:{who}", int(TTL_S * 4))
            pipe.sadd(_EVERYONE, who)
            await pipe.execute()

    async def _left(self, connection: Connection) -> None:
        await asyncio.sleep(GRACE_S)
        tenant_id, user_id = connection.tenant_id, connection.session.who.user_id
        mine = [c for c in self._held() if (c.tenant_id, c.session.who.user_id) == (tenant_id, user_id)]
        if any(c.tab == connection.tab for c in mine):
            return
        with suppress(*_AWAY):
            await self._deps.valkey.hdel(f"presence:{tenant_id}/{user_id}", connection.tab)
            await self._check(f"{tenant_id}/{user_id}")
            return
        if not mine:
            await self._tell(tenant_id, user_id, connected=False)

    async def _check(self, who: str) -> None:
        """Tell the actor when no tab of hers counts any more."""
        tabs = await self._deps.valkey.hgetall(f"presence:{who}")
        if any(float(until) > time.time() for until in tabs.values()):
            return
        if await self._deps.valkey.srem(_EVERYONE, who):
            tenant_id, _, user_id = who.partition("/")
            if not await self._tell(tenant_id, user_id, connected=False):
                await self._deps.valkey.sadd(_EVERYONE, who)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for connection in list(self._held()):
                if connection.session.who.role in READERS:
                    await self._joined(connection)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(GRACE_S)
            with suppress(*_AWAY):
                for who in await self._deps.valkey.smembers(_EVERYONE):
                    await self._check(who.decode() if isinstance(who, bytes) else who)

    async def _tell(self, tenant_id: str, user_id: str, *, connected: bool) -> bool:
        """Return whether the actor has heard it; renewals say it again."""
        envelope = Envelope(ObservePresence(connected=connected), deadline=time.time() + RENEW_S)
        try:
            await self._deps.refs.ask(radiologist_key(tenant_id, user_id), envelope)
        except ReadingRoomError:
            return False
        return True
