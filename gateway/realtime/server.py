"""The live socket: who connects, what she follows, what she is told, when she has to go.

The socket is a hint, the feed is the truth: every client can always catch up by its offsets.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from socketio.exceptions import ConnectionRefusedError as Refused

from actors import tracing
from actors.domain.errors import BadPayload, Overloaded, ReadingRoomError, Retry, Unauthenticated
from actors.domain.instant import instant
from actors.domain.permissions import may
from actors.nudges import Nudges
from gateway import calls, meters, wire
from gateway.realtime.calling import Calling
from gateway.realtime.commands import parse
from gateway.realtime.connection import ACK_S, Connection
from gateway.realtime.engine import Engine
from gateway.realtime.hub import Hub
from gateway.realtime.joining import Joining
from gateway.realtime.presence import Presence
from gateway.realtime.pump import Pump
from gateway.realtime.rights import Rights
from gateway.realtime.steady import every
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from gateway.auth import Session
    from gateway.deps import Deps
    from gateway.realtime.outlet import Outlet

log = structlog.get_logger()

_WATCH_S = 0.5
_LIMITS = wire.Limits(
    max_payload_bytes=calls.MAX_PAYLOAD_BYTES,
    deadline_ms=calls.DEADLINE_MS,
    max_deadline_ms=calls.MAX_DEADLINE_MS,
    max_behind=wire.MAX_BEHIND,
    ack_s=ACK_S,
)


def attach(app: web.Application, deps: Deps) -> Live:
    """Serve ``/socket.io/`` with the application."""
    live = Live(deps)
    meters.SOCKETS.set_function(lambda: len(live.hub))
    live.engine.attach(app)

    async def running(_: web.Application) -> AsyncIterator[None]:
        live.start()
        yield
        await live.stop()

    async def closing(_: web.Application) -> None:
        await live.close()

    app.cleanup_ctx.append(running)
    app.on_shutdown.append(closing)
    return live


class Live:
    """Every socket of this gateway."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.hub = Hub()
        self.engine = Engine(called=self._called, connected=self._connected)
        self.engine.on("connect", self._connect)
        self.engine.on("disconnect", self._disconnect)
        self.pump = Pump(deps.app_db, self.hub, self._restored)
        self.joining = Joining(deps.app_db, self.hub)
        self.presence = Presence(deps, self.hub)
        self.rights = Rights(deps.sessions, self.hub, self._end)
        self._calling = Calling(deps, self.hub, self.joining, self._spawn)
        self._nudges = Nudges(deps.settings.valkey_url)
        self._admitted: dict[str, tuple[Session, calls.ConnectAuth]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- life -----------------------------------------------------------------------------------
    def start(self) -> None:
        """Listen to nudges and alerts, watch acknowledgements and rights."""
        self._nudges.start({tracing.CHANNEL: tracing.hear, "feed": self.pump.nudge, "alert": self._alert})
        self.pump.start()
        self.presence.start()
        self.rights.start()
        self._spawn(every(lambda: _WATCH_S, self._watch))

    async def close(self) -> None:
        """Tell every socket to come again elsewhere, and close it."""
        for connection in list(self.hub.connections.values()):
            self._end(connection, Retry.code)
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """End everything that runs for the sockets."""
        for connection in list(self.hub.connections.values()):
            connection.outlet.cut()
        await self._nudges.stop()
        await self.rights.stop()
        await self.pump.stop()
        await self.presence.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.engine.shutdown()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- connecting -----------------------------------------------------------------------------
    async def _connect(self, sid: str, _environ: dict[str, Any], auth: Any = None) -> None:
        """Admit who shows a ticket; any other gets a connect error with its code."""
        try:
            asked: calls.ConnectAuth = parse(calls.ConnectAuth, auth)
            session = await self._deps.sessions.redeem(asked.ticket)
            if not session.wall and not may(session.who.role, "socket"):
                raise Unauthenticated("There is nothing to follow for you.")
        except ReadingRoomError as exc:
            raise Refused(str(exc), {"code": exc.code}) from None
        except AWAY:
            raise Refused(Retry.sentence, {"code": Retry.code}) from None
        self._admitted[sid] = (session, asked)

    def _connected(self, sid: str, outlet: Outlet) -> None:
        """The client has been told that it is connected: what follows comes after that."""
        session, asked = self._admitted.pop(sid)
        connection = Connection(sid, session, asked.tab, outlet)
        self.hub.add(connection)
        self._spawn(self._greet(connection, asked))

    async def _greet(self, connection: Connection, asked: calls.ConnectAuth) -> None:
        """Say hello, then bring every stream up to date."""
        who, session = connection.session.who, connection.session
        wanted = {connection.own_stream: None, **asked.offsets}
        try:
            epoch = await self.pump.follow(who.tenant_id)
            states, refused = await self.joining.plan(session, wanted, same_epoch=bool(epoch) and asked.epoch == epoch)
        except AWAY as exc:
            log.warning("cannot_greet", cause=type(exc).__name__)
            self._end(connection, Retry.code)
            return
        hello = wire.Hello(
            proto=wire.PROTO,
            epoch=epoch,
            user=who.user_id or None,
            tenant=who.tenant_id,
            role="wall" if session.wall else who.role.value,  # type: ignore[arg-type]
            streams=states,
            refused=refused,
            server_time=instant(datetime.now(UTC)),
            expires_at=instant(session.expires_at),
            limits=_LIMITS,
        )
        connection.tell("hello", hello)
        held = self.joining.hold(connection, wanted, states)
        self.presence.joined(connection)
        log.info("SocketConnected", user_id=who.user_id, tenant_id=who.tenant_id, streams=len(states))
        await self.joining.catch_up(connection, held)

    async def _disconnect(self, sid: str, *_: Any) -> None:
        self._admitted.pop(sid, None)
        connection = self.hub.remove(sid)
        if connection is not None:
            self.presence.left(connection)

    # -- calls ----------------------------------------------------------------------------------
    async def _called(self, sid: str, said: list[Any]) -> Any:
        """Answer one event of a client; nothing of the inside is shown."""
        connection = self.hub.connections.get(sid)
        event, payload = said[0], said[1] if len(said) > 1 else None
        try:
            if connection is None or connection.ending:
                raise Unauthenticated  # noqa: TRY301 - said like every refusal
            if not isinstance(event, str):
                raise BadPayload("An event has a name.", {"field": ""})  # noqa: TRY301
            with tracing.span("socket call", root=True, user=connection.session.who.user_id):
                return await self._calling.answer(connection, event, payload)
        except ReadingRoomError as exc:
            return {"error": exc.code, "message": str(exc), **_plain(exc.fields)}
        except AWAY as exc:
            log.warning("part_away", call=event, cause=type(exc).__name__)
            return {"error": Retry.code, "message": Retry.sentence}
        except Exception as exc:
            log.exception("call_failed", call=event, error=type(exc).__name__, exc_info=not hasattr(exc, "sqlstate"))
            return {"error": ReadingRoomError.code, "message": ReadingRoomError.sentence}

    # -- ending ---------------------------------------------------------------------------------
    def _end(self, connection: Connection, code: str) -> None:
        """Tell a socket why, and close it within a second."""
        if not connection.ending:
            connection.ending = True
            meters.SOCKETS_ENDED.labels(code).inc()
            log.info("SocketEnded", user_id=connection.session.who.user_id, code=code)
            connection.tell("bye", wire.Bye(code=code))
            self._spawn(self._close(connection))

    async def _close(self, connection: Connection) -> None:
        await self.engine.disconnect(connection.sid)
        await connection.outlet.close()

    def _restored(self, tenant_id: str) -> None:
        """The feed went back to an earlier point: clients come again and get snapshots."""
        for connection in self.hub.of(f"tenant:{tenant_id}"):
            self._end(connection, Retry.code)

    async def _watch(self) -> None:
        """Close sockets that do not acknowledge; they resume."""
        now = monotonic()
        for connection in list(self.hub.connections.values()):
            if connection.overdue(now):
                self._end(connection, Overloaded.code)

    # -- alerts ---------------------------------------------------------------------------------
    def _alert(self, text: str) -> None:
        """Pass on a breach that the journal does not hold yet, to the tenant and to the study's reader."""
        try:
            told = msgspec.json.decode(text, type=_Told)
        except msgspec.DecodeError:
            log.warning("alert_unreadable")
            return
        reader = told.reader or self.pump.owner(told.tenant_id, told.study_uid)
        rooms = (f"tenant:{told.tenant_id}", *([f"user:{reader}"] if reader else []))
        alert = wire.Alert(id=told.id, study_uid=told.study_uid, due_at=told.due_at, provisional=told.provisional)
        self.hub.tell(told.tenant_id, rooms, "alert", alert)


class _Told(msgspec.Struct):
    """What a host publishes of a breach."""

    tenant_id: str
    id: str
    study_uid: str
    due_at: str
    provisional: bool = True
    reader: str | None = None


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a refusal as JSON has them."""
    plain: dict[str, Any] = msgspec.to_builtins(fields)
    return plain
