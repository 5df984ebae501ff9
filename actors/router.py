"""Takes every ask of a process to the host of its entity: many asks a call, a few calls in flight.

A call that does not come back within a second is tried again under the same idempotency key until
the deadline of the command, so a host may be killed at any moment without a command being done twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from actors import meters, tracing
from actors.domain.errors import Expired, Overloaded, ReadingRoomError, Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key

_TOGETHER = 100  # asks in a call
_IN_FLIGHT = 8  # calls to a host
_QUEUED = 10_000
_DEADLINE_S = 10.0
_ASK_S = 1.0
_AWAY_S = 3.0  # a host that cannot be reached for so long: the caller decides
_PAUSE_S = 0.05


class Unreachable(Exception):
    """The host cannot be reached now, or was lost while it had the call."""


class Transport(Protocol):
    """How asks get to a host."""

    async def call(self, host: int, asked: Sequence[tuple[Key, Envelope]]) -> list[dict[str, Any] | ReadingRoomError]:
        """Return an outcome for each ask.

        Raises:
            Unreachable: none is known.
        """
        ...


@dataclass(slots=True)
class _Ask:
    key: Key
    envelope: Envelope
    outcome: asyncio.Future[dict[str, Any]]


class _Lane:
    """What waits for one host."""

    def __init__(self, host: int, transport: Transport) -> None:
        self._host, self._transport = host, transport
        self._queue: deque[_Ask] = deque()
        self._pumps: set[asyncio.Task[None]] = set()
        self._silent_at: float | None = None

    def ask(self, ask: _Ask) -> None:
        if len(self._queue) >= _QUEUED:
            raise Overloaded
        self._queue.append(ask)
        meters.ROUTER_WAITING.inc()
        if len(self._pumps) < _IN_FLIGHT:
            pump = asyncio.create_task(self._pump())
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self) -> None:
        while self._queue:
            asks = [self._queue.popleft() for _ in range(min(_TOGETHER, len(self._queue)))]
            meters.ROUTER_WAITING.dec(len(asks))
            asks = [a for a in asks if not a.outcome.done()]  # their callers have given up
            if asks:
                await self._call(asks)

    async def _call(self, asks: list[_Ask]) -> None:
        meters.ROUTER_BATCH.observe(len(asks))
        try:
            outcomes = await self._transport.call(self._host, [(a.key, a.envelope) for a in asks])
        except Unreachable as exc:
            outcomes = [exc] * len(asks)  # type: ignore[list-item]
            self._silent_at = self._silent_at or monotonic()
        else:
            self._answered(outcomes)
        for ask, outcome in zip(asks, outcomes, strict=True):
            if ask.outcome.done():
                continue
            if isinstance(outcome, Exception):
                ask.outcome.set_exception(outcome)
            else:
                ask.outcome.set_result(outcome)

    def _answered(self, outcomes: list[dict[str, Any] | ReadingRoomError]) -> None:
        """Note how long a host was away, once it answers again; one that says ``retry`` is not back yet."""
        if self._silent_at is not None and not all(isinstance(outcome, Retry) for outcome in outcomes):
            meters.FAILOVER.observe(monotonic() - self._silent_at)
            self._silent_at = None


def _addressed(envelope: Envelope) -> Envelope:
    """Return the envelope with all that its way needs: until when, under which key, as a step of which trace."""
    if envelope.deadline is None:
        envelope = replace(envelope, deadline=time() + _DEADLINE_S)
    if envelope.idem is None and envelope.by is not None:
        envelope = replace(envelope, idem=f"router/{uuid4()}")  # makes the second attempt safe
    trace = tracing.carrier()
    return replace(envelope, trace=trace) if trace and not envelope.trace else envelope


class Router:
    """Entities by key, wherever their host runs."""

    def __init__(self, transport: Transport, hosts: int) -> None:
        self._lanes = [_Lane(i, transport) for i in range(hosts)]

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Return the answer of an entity.

        Raises:
            ReadingRoomError: its refusal; Retry when its host is away, Overloaded when too much waits for it.
        """
        envelope = _addressed(envelope)
        deadline = envelope.deadline or 0.0
        give_up = min(deadline, time() + _AWAY_S)
        lane = self._lanes[key.shard % len(self._lanes)]
        while True:
            left = deadline - time()
            if left <= 0:
                raise Expired
            ask = _Ask(key, envelope, asyncio.get_running_loop().create_future())
            try:
                async with asyncio.timeout(min(_ASK_S, left)):
                    lane.ask(ask)
                    return await ask.outcome
            except TimeoutError:
                meters.ROUTER_AGAIN.labels("silent").inc()
                if time() > give_up:
                    raise Retry from None
            except Unreachable:
                meters.ROUTER_AGAIN.labels("unreachable").inc()
                if time() > give_up:
                    raise Retry from None
                await asyncio.sleep(_PAUSE_S)
            except ReadingRoomError as exc:
                meters.REFUSED.labels(exc.code).inc()
                raise exc.with_traceback(None) from None
