"""A live client in Python: one socket that follows streams and stays current over reconnects.

The demo's people and the tests are built on it; ``ohif-extension/src/live`` is the same in TypeScript.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from datetime import datetime
from functools import partial
from random import random
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import socketio

from gateway.wire import PROTO
from readingroom.demo.session import Session, SessionEnded
from readingroom.demo.view import Gap, View, apply, view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

_TENANT_WIDE = frozenset({"admin", "manager", "radiologist", "resident"})
_AGAIN = frozenset({"retry", "overloaded", "expired"})
_ACK_EVERY_S = 0.2
_LOST = (socketio.exceptions.SocketIOError, aiohttp.ClientError, OSError, TimeoutError)

__all__ = ["LiveClient", "SessionEnded"]


class LiveClient:
    """A person at a screen: logs in, connects, and keeps ``rows``, ``readers`` and ``counters`` current.

    Args:
        base_url: of a gateway, ``http://HOST:PORT``.
        email: the account; "" with ``token``.
        password: its password.
        tenant: which group, for somebody with several.
        token: a bearer token instead of a log-in.
        streams: what to follow besides the own stream; by role when None.
    """

    def __init__(  # noqa: PLR0913 - who, where, and what to follow
        self,
        base_url: str,
        email: str = "",
        password: str = "",
        tenant: str | None = None,
        *,
        token: str | None = None,
        streams: Iterable[str] | None = None,
    ) -> None:
        self.session = Session(base_url, token)
        self._login = (email, password, tenant)
        self.tab = uuid.uuid4().hex
        self.hello: dict[str, Any] = {}
        self.views: dict[str, View] = {}
        self.refused: dict[str, str] = {}
        self.connections = 0
        self.byes: list[str] = []
        self.check: Callable[[str, Any], None] | None = None  # is given every message before it is applied
        self._epoch: str | None = None
        self._heads: dict[str, int] = {}
        self._wanted = None if streams is None else list(streams)
        self._handlers: dict[str, list[Callable[[dict[str, Any]], Any]]] = {}
        self._seen: dict[str, None] = {}
        self._acks: dict[str, int] = {}
        self._asked: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sio: Any = None
        self._runner: asyncio.Task[None] | None = None
        self._current = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- what is shown --------------------------------------------------------------------------
    @property
    def me(self) -> dict[str, Any]:
        """Who is logged in, as ``GET /api/auth/me``."""
        return self.session.me

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of the worklist by study UID: the tenant's, the sites' or the wall's, else the own."""
        found = [view for kind in ("tenant", "site", "wall") for view in self._views(kind)]
        return {uid: row for view in found or self._views("user") for uid, row in view.rows.items()}

    @property
    def mine(self) -> dict[str, dict[str, Any]]:
        """The rows offered or assigned to the person."""
        return {uid: row for view in self._views("user") for uid, row in view.rows.items()}

    @property
    def readers(self) -> dict[str, dict[str, Any]]:
        """The readers by id."""
        return {key: reader for view in self._views("tenant") for key, reader in view.readers.items()}

    @property
    def counters(self) -> dict[str, int]:
        """The counters of the first stream that has them."""
        return next((view.counters for view in self.views.values() if view.counters), {})

    @property
    def live(self) -> bool:
        """Whether everything shown is current."""
        return self._current.is_set()

    def on(self, event_type: str, callback: Callable[[dict[str, Any]], Any]) -> None:
        """Call back with each ``ev`` of a type, ``"ev"`` of any, once even if several streams carry it.

        ``"alert"`` and ``"bye"`` get those messages. A coroutine function runs as a task.
        """
        self._handlers.setdefault(event_type, []).append(callback)

    # -- the connection -------------------------------------------------------------------------
    async def connect(self, *, within_s: float = 30) -> None:
        """Log in, connect, and return when everything followed is current.

        Raises:
            SessionEnded: the log-in is refused.
            TimeoutError: not current in time; it goes on trying.
        """
        if not self.session.token:
            await self.session.login(*self._login)
        if not self.me and self._wanted is None:
            self.session.me = await self.session.checked("GET", "/api/auth/me")
        for stream in _streams(self.me) if self._wanted is None else self._wanted:
            self.views.setdefault(stream, View())
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="live-client")
        await self.wait_live(within_s=within_s)

    async def wait_live(self, *, within_s: float = 30) -> None:
        """Return when everything followed is current.

        Raises:
            SessionEnded: the session is over.
            TimeoutError: not in time.
        """
        current = asyncio.create_task(self._current.wait())
        runner = self._runner or current
        done, _ = await asyncio.wait({current, runner}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        current.cancel()
        if not done:
            raise TimeoutError("the client did not become current in time")
        if current not in done:
            await runner  # raises why it ended

    async def close(self) -> None:
        """End the connection and everything that ran for it."""
        runner, self._runner = self._runner, None  # ends after the connection does
        await self.drop()
        tasks = [*self._tasks, *([runner] if runner else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.drop()  # one that was being made meanwhile
        await self.session.close()

    async def drop(self) -> None:
        """Break the connection as a network does; the client reconnects by itself."""
        self._current.clear()
        sio, self._sio = self._sio, None
        self._asked.clear()
        if sio is not None:
            with suppress(*_LOST):
                await sio.disconnect()

    async def follow(self, stream: str) -> dict[str, Any]:
        """Follow one more stream, such as ``study:UID``; return the server's answer."""
        self.views.setdefault(stream, View())
        self._current.clear()
        return await self._subscribe({stream: self.views[stream].seq})

    async def unfollow(self, stream: str) -> dict[str, Any]:
        """Stop following a stream."""
        self.views.pop(stream, None)
        return await self.ask("unsubscribe", {"streams": [stream]})

    async def call(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command until it is answered; ``idem``, ``deadline_ms`` and ``give_up_s`` may be given."""
        give_up = time.monotonic() + fields.pop("give_up_s", 60)
        payload: dict[str, Any] = {"idem": uuid.uuid4().hex, "deadline_ms": 10_000} | fields
        pause, last = 0.05, {"error": "retry", "message": "The reading room cannot be reached."}
        while True:
            with suppress(*_LOST):
                answer = await self.ask(command, payload, within_s=payload["deadline_ms"] / 1000 + 2)
                if answer.get("error") not in _AGAIN:
                    return answer
                last = answer
            if time.monotonic() > give_up:
                return last
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)

    async def ask(self, event: str, payload: Any, *, within_s: float = 10) -> dict[str, Any]:
        """Call the server once.

        Raises:
            socketio.exceptions.SocketIOError: not connected, or no answer in time.
        """
        sio = self._sio
        if sio is None or not sio.connected:
            raise socketio.exceptions.DisconnectedError
        answer: dict[str, Any] = await sio.call(event, payload, timeout=within_s)
        return answer

    async def _run(self) -> None:
        pause, me = 0.1, asyncio.current_task()
        while self._runner is me:
            before = self.connections
            with suppress(*_LOST):
                await self._once()
            pause = 0.1 if self.connections > before else min(2.0, pause * 2)
            self._current.clear()
            await asyncio.sleep(pause * (0.5 + random() / 2))  # noqa: S311

    async def _once(self) -> None:
        ticket = await self.session.ticket()
        await self.drop()
        sio = self._sio = socketio.AsyncClient(reconnection=False, websocket_extra_options={"max_msg_size": 0})
        for event, handler in {"hello": self._greeted, "snapshot": self._snapshot, "ev": self._event}.items():
            sio.on(event, handler)
        for event in ("alert", "bye"):
            sio.on(event, partial(self._told, event))
        offsets = {stream: view.seq for stream, view in self.views.items()}
        auth = {"ticket": ticket, "proto": PROTO, "tab": self.tab, "device": "python"}
        auth |= {"epoch": self._epoch, "offsets": offsets}
        await sio.connect(self.session.base_url, transports=["websocket"], auth=auth, wait_timeout=5)
        self.connections += 1
        await sio.wait()

    # -- what the server says -------------------------------------------------------------------
    async def _greeted(self, hello: dict[str, Any]) -> None:
        self._hold("hello", hello)
        self.hello, self._epoch = hello, hello["epoch"]
        self._started(hello)
        self._task(self._tend(self._sio))

    def _started(self, answer: dict[str, Any]) -> None:
        for stream in answer["refused"]:
            self.views.pop(stream, None)
        self.refused |= answer["refused"]
        for stream, state in answer["streams"].items():
            view = self.views.setdefault(stream, View())
            self._asked.discard(stream)
            self._heads[stream] = state["head"]
            if state["mode"] == "snapshot":
                self.views[stream] = View(None, view.rows, view.readers, view.counters)
            elif view.seq is None:
                self.views[stream] = View(0)
        self._settle()

    async def _snapshot(self, snapshot: dict[str, Any]) -> None:
        self._hold("snapshot", snapshot)
        if snapshot["s"] in self.views:
            self.views[snapshot["s"]] = view_of(snapshot)
            self._acks[snapshot["s"]] = snapshot["as_of_seq"]
            self._settle()

    async def _event(self, event: dict[str, Any]) -> None:
        self._hold("ev", event)
        stream = event["s"]
        before = self.views.get(stream)
        if before is None or before.seq is None:
            return
        try:
            after = self.views[stream] = apply(before, event)
        except Gap:
            if stream not in self._asked:
                self._asked.add(stream)
                self._current.clear()
                self._task(self._resubscribe(stream))
            return
        if after is before:
            return
        self._acks[stream] = event["seq"]
        self._settle()
        if event["id"] not in self._seen:
            self._seen[event["id"]] = None
            self._tell(event["type"], event)
            self._tell("ev", event)

    async def _told(self, name: str, payload: dict[str, Any]) -> None:
        self._hold(name, payload)
        if name == "bye":
            self.byes.append(payload["code"])
            self._current.clear()
        self._tell(name, payload)

    def _settle(self) -> None:
        if not any(view.seq is None or view.seq < self._heads.get(s, 0) for s, view in self.views.items()):
            self._current.set()

    async def _resubscribe(self, stream: str) -> None:
        with suppress(*_LOST):
            await self._subscribe({stream: self.views[stream].seq})

    async def _subscribe(self, streams: dict[str, int | None]) -> dict[str, Any]:
        answer = await self.ask("subscribe", {"streams": streams})
        if "error" not in answer:
            self._started(answer)
        return answer

    async def _tend(self, sio: Any) -> None:
        """Acknowledge a few times a second while this connection lives, and re-authenticate in time."""
        reauth_at = time.monotonic() + _half(self.hello["expires_at"], self.hello["server_time"])
        with suppress(*_LOST, SessionEnded):
            while sio.connected:
                await asyncio.sleep(_ACK_EVERY_S)
                acks, self._acks = self._acks, {}
                for stream, seq in acks.items():
                    await sio.emit("ack", {"s": stream, "seq": seq})
                if time.monotonic() > reauth_at:
                    answer = await self.ask("reauth", {"ticket": await self.session.ticket()})
                    reauth_at = time.monotonic() + _half(answer.get("expires_at"))

    def _hold(self, name: str, payload: Any) -> None:
        if self.check is not None:
            self.check(name, payload)

    def _tell(self, name: str, payload: dict[str, Any]) -> None:
        for callback in self._handlers.get(name, ()):
            result = callback(payload)
            if asyncio.iscoroutine(result):
                self._task(result)

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _views(self, kind: str) -> list[View]:
        return [view for stream, view in self.views.items() if stream.startswith(f"{kind}:")]


def _streams(me: dict[str, Any]) -> list[str]:
    """Return what the role follows besides its own stream."""
    if me.get("role") in _TENANT_WIDE:
        return [f"tenant:{me['tenant_id']}"]
    return [f"site:{site['id']}" for site in me.get("sites", ())] if me.get("role") == "technologist" else []


def _half(end: str | None, now: str | None = None) -> float:
    """Return half the seconds until an instant, at least one; soon when it is unknown."""
    if end is None:
        return 5.0
    start = time.time() if now is None else datetime.fromisoformat(now).timestamp()
    return max(1.0, (datetime.fromisoformat(end).timestamp() - start) / 2)
