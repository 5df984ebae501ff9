"""What a client may call beside commands: streams, a fresh ticket, the time; and acknowledgements."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload, Forbidden, Overloaded, Unauthenticated
from actors.domain.instant import instant
from gateway import calls
from gateway.realtime import commands
from gateway.realtime.commands import parse
from gateway.realtime.rights import rights
from gateway.wire import StreamState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.deps import Deps
    from gateway.realtime.connection import Connection
    from gateway.realtime.hub import Hub
    from gateway.realtime.joining import Joining

_AT_ONCE = 64  # commands of one socket under way
_STREAMS_MOST = 256


def _answer(streams: Mapping[str, StreamState], refused: Mapping[str, str]) -> dict[str, Any]:
    shown = {stream: {"mode": state.mode, "head": state.head} for stream, state in streams.items()}
    return {"ok": True, "streams": shown, "refused": dict(refused)}


class Calling:
    """Answers the calls of admitted sockets."""

    def __init__(self, deps: Deps, hub: Hub, joining: Joining, spawn: Callable[[Any], None]) -> None:
        self._deps, self._hub, self._joining, self._spawn = deps, hub, joining, spawn

    async def answer(self, connection: Connection, event: str, payload: object) -> dict[str, Any] | None:
        """Return the answer of one event.

        Raises:
            ReadingRoomError: the refusal.
        """
        match event:
            case "ack":
                with suppress(BadPayload):  # an emit: nobody waits for an answer
                    ack: calls.Ack = parse(calls.Ack, payload)
                    connection.acknowledged(ack.s, ack.seq)
                return None
            case "time":
                sample: calls.Time = parse(calls.Time, payload)
                return {"t0": sample.t0, "server_time": instant(datetime.now(UTC))}
            case "subscribe":
                return await self._subscribe(connection, parse(calls.Subscribe, payload))
            case "unsubscribe":
                return self._unsubscribe(connection, parse(calls.Unsubscribe, payload))
            case "reauth":
                return await self._reauth(connection, parse(calls.Reauth, payload))
            case _ if event in calls.COMMANDS:
                return await self._command(connection, event, payload)
        raise BadPayload(f"There is no call {event[:40]!r}.", {"field": ""})

    async def _command(self, connection: Connection, event: str, payload: object) -> dict[str, Any]:
        if connection.session.wall:
            raise Forbidden("A wall only shows.")
        if connection.calls >= _AT_ONCE:
            raise Overloaded
        connection.calls += 1
        try:
            return await commands.run(self._deps, connection.session.who, event, payload)
        finally:
            connection.calls -= 1

    async def _subscribe(self, connection: Connection, asked: calls.Subscribe) -> dict[str, Any]:
        if len(connection.following.keys() | asked.streams.keys()) > _STREAMS_MOST:
            raise Overloaded("This socket follows too many streams.")
        states, refused = await self._joining.plan(connection.session, asked.streams, same_epoch=True)
        if self._hub.connections.get(connection.sid) is connection:
            held = self._joining.hold(connection, asked.streams, states)
            self._spawn(self._joining.catch_up(connection, held))
        return _answer(states, refused)

    def _unsubscribe(self, connection: Connection, asked: calls.Unsubscribe) -> dict[str, Any]:
        for stream in asked.streams:
            if stream != connection.own_stream:
                self._hub.leave(connection, stream)
        return _answer({s: StreamState(mode="resume", head=f.sent) for s, f in connection.following.items()}, {})

    async def _reauth(self, connection: Connection, asked: calls.Reauth) -> dict[str, Any]:
        session = await self._deps.sessions.redeem(asked.ticket)
        if rights(session) != rights(connection.session):
            raise Unauthenticated("This ticket belongs to another session.")
        connection.session = session
        return {"ok": True, "expires_at": instant(session.expires_at)}
