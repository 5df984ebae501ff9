"""Presence: which tabs of a reader are open anywhere. Ephemeral, never used for ownership.

Valkey holds for each reader a hash of her sockets with the time until which each counts, and one
sorted set of the times at which readers are to be looked at. The gateway that holds a socket renews
both; leaving moves the look five seconds ahead; a gateway that dies stops renewing. Whoever sweeps
first tells the actor. What Valkey forgot in a restart is found by comparing with what the database
shows as present.

While Valkey is away nobody knows who is connected elsewhere: the last state stands for 25 s, so that
readers stay eligible over a restart. After that each gateway speaks for itself: it says who holds a
socket here, again and again, and that those have left whose last socket here ended meanwhile. One who
moved to another gateway is thus away for some seconds at most.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from actors.domain.commands import Envelope, ObservePresence
from actors.domain.identity import radiologist_key
from actors.domain.words import READERS
from gateway.realtime.steady import GONE, every
from storage import feed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.deps import Deps
    from gateway.realtime.connection import Connection
    from gateway.realtime.hub import Hub

log = structlog.get_logger()

TTL_S, RENEW_S, GRACE_S, SWEEP_S, COMPARE_S = 25.0, 8.0, 5.0, 1.0, 10.0
_TELL_S = 0.5  # told at once, then twice a second at most
_OP_S = 2.0
_LOOKS, _BORN, _COMPARING = "presence:looks", "presence:born", "presence:comparing"


def _reader(connection: Connection) -> str | None:
    """Return the reader of a socket as Valkey names her, None for other roles."""
    who = connection.session.who
    return f"{who.tenant_id}/{who.user_id}" if who.role in READERS else None


def _latest(tabs: Mapping[Any, Any]) -> float:
    return max((float(until) for until in tabs.values()), default=0.0)


class Presence:
    """Keeps this gateway's sockets counted, and tells actors who came and who went."""

    def __init__(self, deps: Deps, hub: Hub) -> None:
        self._deps, self._hub = deps, hub
        self._came: set[str] = set()  # readers whose actor is to hear that they are here
        self._left: dict[str, str] = {}  # sockets that ended -> their readers
        self._lost_at: float | None = None  # since when Valkey has been away
        self._said_at = 0.0
        self._alone: set[str] = set()  # readers whose leaving was told without Valkey
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to renew, to tell and to sweep."""
        loops = (
            every(lambda: _TELL_S, self._tell),
            every(lambda: RENEW_S, self._renew),
            every(lambda: SWEEP_S, self._sweep),
            every(lambda: COMPARE_S, self._compare),
            every(lambda: SWEEP_S, self._stand_in),
        )
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """End; what was not told is found by the gateways that live on."""
        with suppress(*GONE):
            await self._forget_left()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def joined(self, connection: Connection) -> None:
        """A socket has connected."""
        reader = _reader(connection)
        if reader is not None:
            self._came.add(reader)
            self._wake.set()

    def left(self, connection: Connection) -> None:
        """A socket has gone."""
        reader = _reader(connection)
        if reader is not None:
            self._left[_field(connection)] = reader
            self._wake.set()

    # -- the sockets of this gateway ------------------------------------------------------------
    async def _tell(self) -> None:
        """Mark and tell who came and who left, in batches."""
        await self._wake.wait()
        self._wake.clear()
        with suppress(*GONE):
            await self._renew(self._came)
        came, self._came = list(self._came), set()
        heard = await asyncio.gather(*(self._observe(reader, connected=True) for reader in came))
        self._came |= {reader for reader, told in zip(came, heard, strict=True) if not told}
        with suppress(*GONE):
            await self._forget_left()
        if self._came or self._left:  # an actor or Valkey is away: again
            self._wake.set()

    async def _renew(self, only: set[str] | None = None) -> None:
        """Let the sockets held here count for another 25 s."""
        until = time.time() + TTL_S
        async with asyncio.timeout(_OP_S), self._deps.valkey.pipeline(transaction=False) as pipe:
            for connection in self._hub.connections.values():
                reader = _reader(connection)
                if reader is not None and (only is None or reader in only):
                    pipe.hset(f"presence:{reader}", _field(connection), until)
                    pipe.expire(f"presence:{reader}", int(TTL_S * 4))
                    pipe.zadd(_LOOKS, {reader: until})
            await pipe.execute()

    async def _forget_left(self) -> None:
        """Uncount the sockets that ended; the last one of a reader has her looked at after the grace."""
        for field, reader in list(self._left.items()):
            async with asyncio.timeout(_OP_S):
                await self._deps.valkey.hdel(f"presence:{reader}", field)
                until = _latest(await self._deps.valkey.hgetall(f"presence:{reader}"))
                await self._deps.valkey.zadd(_LOOKS, {reader: max(until, time.time() + GRACE_S)})
            self._left.pop(field, None)

    # -- while Valkey is away -------------------------------------------------------------------
    async def _stand_in(self) -> None:
        """Tell what this gateway knows by itself once the state from before has stood for 25 s."""
        try:
            async with asyncio.timeout(_OP_S):
                await self._deps.valkey.ping()
        except GONE:
            self._lost_at = self._lost_at or time.monotonic()
        else:
            self._lost_at = None
            self._alone.clear()
            return
        if time.monotonic() - self._lost_at < TTL_S:
            return
        here = {reader for c in self._hub.connections.values() if (reader := _reader(c)) is not None}
        gone = set(self._left.values()) - here - self._alone
        heard = await asyncio.gather(*(self._observe(reader, connected=False) for reader in gone))
        self._alone |= {reader for reader, told in zip(gone, heard, strict=True) if told}
        self._alone -= here
        if time.monotonic() - self._said_at >= RENEW_S:
            self._said_at = time.monotonic()
            await asyncio.gather(*(self._observe(reader, connected=True) for reader in here))

    # -- the sockets of all gateways ------------------------------------------------------------
    async def _sweep(self) -> None:
        """Look at the readers whose time has come."""
        async with asyncio.timeout(_OP_S):
            due = await self._deps.valkey.zrangebyscore(_LOOKS, "-inf", time.time(), start=0, num=200)
        await asyncio.gather(*(self._look(_text(reader)) for reader in due))

    async def _look(self, reader: str) -> None:
        """Tell the actor when no socket of hers counts any more."""
        async with asyncio.timeout(_OP_S):
            until = _latest(await self._deps.valkey.hgetall(f"presence:{reader}"))
            if until > time.time():
                await self._deps.valkey.zadd(_LOOKS, {reader: until})
                return
        if not await self._observe(reader, connected=False):
            return  # it is due still: the next sweep tells
        async with asyncio.timeout(_OP_S):
            await self._deps.valkey.zrem(_LOOKS, reader)
            until = _latest(await self._deps.valkey.hgetall(f"presence:{reader}"))
        if until > time.time():  # she came back while we told
            await self._deps.valkey.zadd(_LOOKS, {reader: until})
            await self._observe(reader, connected=True)

    async def _compare(self) -> None:
        """Find readers who are shown as present and hold no socket: Valkey or everything was restarted."""
        async with asyncio.timeout(_OP_S):
            await self._deps.valkey.set(_BORN, time.time(), nx=True)
            born = float(await self._deps.valkey.get(_BORN) or time.time())
            mine = await self._deps.valkey.set(_COMPARING, "1", nx=True, px=int(COMPARE_S * 900))
        if not mine or time.time() - born < TTL_S:
            return  # gateways are still saying whom they hold
        async with self._deps.dbs["rr_login"].scope() as conn:
            tenants = await feed.tenants(conn)
        async with self._deps.app_db.scope(tenants) as conn:
            shown = await feed.present(conn, tenants)
        for tenant_id, user_id in shown:
            reader = f"{tenant_id}/{user_id}"
            async with asyncio.timeout(_OP_S):
                if await self._deps.valkey.zscore(_LOOKS, reader) is None:
                    await self._deps.valkey.zadd(_LOOKS, {reader: time.time()}, nx=True)

    async def _observe(self, reader: str, *, connected: bool) -> bool:
        """Tell the reader's actor; return whether it heard."""
        tenant_id, _, user_id = reader.partition("/")
        envelope = Envelope(ObservePresence(connected=connected), deadline=time.time() + _OP_S)
        try:
            async with asyncio.timeout(_OP_S * 2):
                await self._deps.refs.ask(radiologist_key(tenant_id, user_id), envelope)
        except Exception as exc:  # noqa: BLE001 - whatever it was, she is to be told again
            log.warning("presence_not_told", user_id=user_id, cause=type(exc).__name__)
            return False
        return True


def _field(connection: Connection) -> str:
    """Return a name of the socket that no other gateway's has."""
    return f"{connection.tab}/{connection.sid}"


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
