"""The live socket: who connects, what she follows, what she is told, when she has to go.

The socket is a hint, the feed is the truth: every client can always catch up by its offsets.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import socketio
import structlog
from prometheus_client import Gauge
from redis.exceptions import RedisError

from actors.domain.errors import BadPayload, Forbidden, ReadingRoomError, Retry, Unauthenticated
from actors.domain.instant import instant
from actors.domain.permissions import may
from actors.domain.words import Role
from gateway import calls, wire
from gateway.realtime import commands, streams
from gateway.realtime.connection import ACK_S, Connection
from gateway.realtime.presence import PresenceBoard
from gateway.realtime.pump import Pump
from storage import feed
from storage.faults import AWAY

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.auth import Session
    from gateway.deps import Deps

log = structlog.get_logger()

PING_S = 10
_GRACE_S = 60.0  # a socket outlives its token by this much
_SWEEP_S = 5.0
_SOCKETS = Gauge("rr_sockets", "Sockets that are connected.")


def attach(app: web.Application, deps: Deps) -> Live:
    """Serve ``/socket.io/`` with the application."""
    live = Live(deps)
    _SOCKETS.set_function(lambda: len(live.connections))
    live.sio.attach(app, socketio_path="socket.io")

    async def running(_: web.Application) -> Any:
        await live.start()
        yield
        await live.stop()

    app.cleanup_ctx.append(running)
    return live


class Live:
    """Every socket of this gateway."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.sio = socketio.AsyncServer(
            async_mode="aiohttp",
            transports=["websocket"],
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_http_buffer_size=calls.MAX_PAYLOAD_BYTES,
            http_compression=False,
            logger=False,
            engineio_logger=False,
        )
        self.connections: dict[str, Connection] = {}
        self.pump = Pump(deps.app_db)
        self.presence = PresenceBoard(deps, self.connections.values)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.sio.on("connect", self._connect)
        self.sio.on("disconnect", self._disconnect)
        self.sio.on("*", self._called)

    # -- life -----------------------------------------------------------------------------------
    async def start(self) -> None:
        """Listen to nudges, watch acknowledgements and rights."""
        self.presence.start()
        self._spawn(self._listen())
        self._spawn(self._watch())
        self._deps.sessions.listeners.append(self._rights_changed)

    async def stop(self) -> None:
        """Close every socket; clients come back elsewhere."""
        self._deps.sessions.listeners.remove(self._rights_changed)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.presence.stop()
        await self.pump.stop()
        await self.sio.shutdown()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- connecting -----------------------------------------------------------------------------
    async def _connect(self, sid: str, _environ: dict[str, Any], auth: Any = None) -> None:
        try:
            asked = commands.parse(calls.ConnectAuth, auth)
            session = await self._deps.sessions.redeem(asked.ticket)
            if not session.wall and not may(session.who.role, "socket"):
                raise Unauthenticated
        except ReadingRoomError as exc:
            code = exc.code if exc.code != "forbidden" else "unauthenticated"
            raise socketio.exceptions.ConnectionRefusedError(str(exc), {"code": code}) from None
        except AWAY:
            raise socketio.exceptions.ConnectionRefusedError(Retry.sentence, {"code": Retry.code}) from None

        async def emit(name: str, payload: Any) -> None:
            await self.sio.emit(name, payload, to=sid)

        connection = Connection(sid, session, asked.tab, emit)
        self.connections[sid] = connection
        self._spawn(self._greet(connection, asked))

    async def _greet(self, connection: Connection, asked: calls.ConnectAuth) -> None:
        who, session = connection.session.who, connection.session
        offsets = dict(asked.offsets)
        own = f"wall:{who.tenant_id}" if session.wall else f"user:{who.user_id}"
        offsets.setdefault(own, None)
        try:
            await self.pump.follow(who.tenant_id)
            started, refused = await self._prepare(connection, offsets, asked.epoch)
        except AWAY as exc:
            log.warning("cannot greet", cause=type(exc).__name__)
            await self.sio.disconnect(connection.sid)
            return
        epoch = next((s.epoch for s in started.values()), "")
        hello = wire.Hello(
            proto=wire.PROTO,
            epoch=epoch,
            user=None if session.wall else who.user_id,
            tenant=who.tenant_id,
            role="wall" if session.wall else who.role.value,  # type: ignore[arg-type]
            streams={s: wire.StreamState(mode=b.mode, head=b.head) for s, b in started.items()},  # type: ignore[arg-type]
            refused=refused,
            server_time=instant(datetime.now(UTC)),
            expires_at=instant(session.expires_at),
            limits=wire.Limits(
                max_payload_bytes=calls.MAX_PAYLOAD_BYTES,
                deadline_ms=calls.DEADLINE_MS,
                max_deadline_ms=calls.MAX_DEADLINE_MS,
                max_behind=wire.MAX_BEHIND,
                ack_s=ACK_S,
            ),
        )
        await connection.emit("hello", _plain(hello))
        await self._write(connection, started)
        self.presence.joined(connection)
        log.info("SocketConnected", user_id=who.user_id, tenant_id=who.tenant_id, streams=len(started))

    async def _prepare(
        self, connection: Connection, offsets: dict[str, int | None], epoch: str | None
    ) -> tuple[dict[str, streams.Start], dict[str, str]]:
        """Hold back the streams, then read how each starts; what may not be followed is refused."""
        started: dict[str, streams.Start] = {}
        refused: dict[str, str] = {}
        for stream, offset in offsets.items():
            connection.hold(stream)
            self.pump.join(connection, [stream])
            try:
                started[stream] = await streams.start(self._deps.app_db, connection.session, stream, offset, epoch)
            except ReadingRoomError as exc:
                refused[stream] = exc.code
                connection.late.pop(stream, None)
                self.pump.leave(connection, [stream])
        return started, refused

    async def _write(self, connection: Connection, started: dict[str, streams.Start]) -> None:
        for stream, begin in started.items():
            if begin.data is not None:
                await connection.snapshot(stream, begin.head, begin.data)
            for event in begin.events:
                await connection.replay(event)
            await connection.release(stream, begin.head)

    async def _disconnect(self, sid: str, *_: Any) -> None:
        connection = self.connections.pop(sid, None)
        if connection is not None:
            self.pump.leave(connection, connection.follows)
            self.presence.left(connection)

    # -- calls ----------------------------------------------------------------------------------
    async def _called(self, event: str, sid: str, *args: Any) -> dict[str, Any] | None:
        connection = self.connections.get(sid)
        payload = args[0] if args else None
        try:
            if connection is None:
                raise Unauthenticated  # noqa: TRY301
            return await self._answer(connection, event, payload)
        except ReadingRoomError as exc:
            return {"error": exc.code, "message": str(exc), **exc.fields}
        except AWAY:
            return {"error": Retry.code, "message": Retry.sentence}
        except Exception:
            log.exception("a call failed", call=event)
            return {"error": Retry.code, "message": Retry.sentence}

    async def _answer(self, connection: Connection, event: str, payload: Any) -> dict[str, Any] | None:
        match event:
            case "ack":
                with suppress(BadPayload):
                    ack = commands.parse(calls.Ack, payload)
                    connection.ack(ack.s, ack.seq)
                return None
            case "time":
                sample = commands.parse(calls.Time, payload)
                return {"t0": sample.t0, "server_time": instant(datetime.now(UTC))}
            case "subscribe":
                return await self._subscribe(connection, commands.parse(calls.Subscribe, payload))
            case "unsubscribe":
                return self._unsubscribe(connection, commands.parse(calls.Unsubscribe, payload))
            case "reauth":
                return await self._reauth(connection, commands.parse(calls.Reauth, payload))
            case _ if event in calls.COMMANDS:
                if connection.session.wall:
                    raise Forbidden
                return await commands.run(self._deps, connection.session.who, event, payload)
        raise BadPayload(f"There is no call {event[:40]!r}.")

    async def _subscribe(self, connection: Connection, asked: calls.Subscribe) -> dict[str, Any]:
        async with self._deps.app_db.scope([connection.tenant_id]) as conn:
            epoch, _ = await feed.head(conn, connection.tenant_id, "")
        started, refused = await self._prepare(connection, dict(asked.streams), epoch)
        self._spawn(self._write(connection, started))
        modes = {s: {"mode": b.mode, "head": b.head} for s, b in started.items()}
        return {"ok": True, "streams": modes, "refused": refused}

    def _unsubscribe(self, connection: Connection, asked: calls.Unsubscribe) -> dict[str, Any]:
        for stream in asked.streams:
            if stream != f"user:{connection.session.who.user_id}":
                self.pump.leave(connection, [stream])
                connection.sent.pop(stream, None)
                connection.late.pop(stream, None)
        return {"ok": True, "streams": {}, "refused": {}}

    async def _reauth(self, connection: Connection, asked: calls.Reauth) -> dict[str, Any]:
        session = await self._deps.sessions.redeem(asked.ticket)
        if _rights(session) != _rights(connection.session):
            raise Unauthenticated("This ticket is another session's.")
        connection.session = session
        return {"ok": True, "expires_at": instant(session.expires_at)}

    # -- rights ---------------------------------------------------------------------------------
    def _rights_changed(self, text: str) -> None:
        for connection in list(self.connections.values()):
            session = connection.session
            if text in {session.family, f"user:{session.who.user_id}", f"tenant:{session.who.tenant_id}"}:
                self._spawn(self._recheck(connection))

    async def _recheck(self, connection: Connection) -> None:
        """End a socket whose log-in has ended or whose rights are others now."""
        session = connection.session
        with suppress(*AWAY):
            current = await self._deps.sessions.current(session.family)
            if current is None:
                over = time.time() - session.expires_at.timestamp()
                if over < 0 or over > _GRACE_S:
                    await self._bye(connection)
            elif _rights(current) != _rights(session):
                await self._bye(connection)
            else:
                connection.session = current

    async def _bye(self, connection: Connection) -> None:
        if not connection.closing:
            connection.closing = True
            await connection.emit("bye", {"code": Unauthenticated.code})
            await self.sio.disconnect(connection.sid)

    # -- background -----------------------------------------------------------------------------
    async def _watch(self) -> None:
        """Close sockets that do not acknowledge; look at everyone's rights now and then."""
        swept = time.monotonic()
        while True:
            await asyncio.sleep(1)
            for connection in list(self.connections.values()):
                if connection.silent and not connection.closing:
                    connection.closing = True
                    log.info("SocketSilent", user_id=connection.session.who.user_id)
                    self._spawn(self.sio.disconnect(connection.sid))
            if time.monotonic() - swept > _SWEEP_S:
                swept = time.monotonic()
                for connection in list(self.connections.values()):
                    await self._recheck(connection)

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError, OSError, TimeoutError):
                async with self._deps.valkey.pubsub() as channel:
                    await channel.subscribe("feed", "alert")
                    while True:
                        said = await channel.get_message(ignore_subscribe_messages=True, timeout=5)
                        if said is not None:
                            self._heard(_text(said["channel"]), _text(said["data"]))
            await asyncio.sleep(0.3)

    def _heard(self, channel: str, text: str) -> None:
        if channel == "feed":
            self.pump.nudge(text.partition(" ")[0])
        else:
            self._spawn(self._alert(json.loads(text)))

    async def _alert(self, alert: dict[str, Any]) -> None:
        tenant_id = alert.pop("tenant_id")
        inside = {Role.ADMIN, Role.MANAGER, Role.RADIOLOGIST, Role.RESIDENT}
        for connection in list(self.connections.values()):
            if connection.tenant_id == tenant_id and connection.session.who.role in inside:
                await connection.emit("alert", alert)


def _text(data: bytes | str) -> str:
    return data.decode() if isinstance(data, bytes) else data


def _plain(message: wire.Hello) -> Any:
    return msgspec.to_builtins(message)


def _rights(session: Session) -> tuple[Any, ...]:
    who = session.who
    return (who.user_id, who.tenant_id, who.role, who.sites, session.wall)
