"""Takes every ask of a process to the host of its entity: many asks a call, a few calls in flight.

A call that does not come back within a second is tried again under the same idempotency key until
the deadline of the command, so a host may be killed at any moment without a command being done twice.
Whoever is not where the placement said is looked for again. What waits is bounded: more is ``overloaded``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import uuid4

from actors import meters, tracing
from actors.domain.errors import Expired, Overloaded, ReadingRoomError, Retry
from actors.told import Misplaced, Unfinished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key

_TOGETHER = 25  # asks in a call
_IN_FLIGHT = 8  # calls to a host
_QUEUED = 10_000
_DEADLINE_S = 10.0
_ASK_S = 1.0
_AWAY_S = 3.0  # a host that cannot be reached for so long: the caller decides
_PAUSE_S = 0.05


class Unreachable(Exception):
    """The host cannot be reached now, or was lost while it had the call."""


Outcome: TypeAlias = dict[str, Any] | ReadingRoomError | Misplaced | Unfinished


class Transport(Protocol):
    """How asks get to a host."""

    async def call(self, host: str, asked: Sequence[tuple[Key, Envelope]]) -> list[Outcome]:
        """Return an outcome for each ask.

        Raises:
            Unreachable: none is known.
        """
        ...


class Directions(Protocol):
    """Where entities live."""

    def owner(self, key: Key) -> str | None:
        """Return the host of an entity, None while none is known."""
        ...

    def doubt(self) -> None:
        """Look again soon: somebody was not there."""
        ...


@dataclass(slots=True)
class _Ask:
    key: Key
    envelope: Envelope
    outcome: asyncio.Future[dict[str, Any]]


class _Lane:
    """What waits for one host."""

    def __init__(self, host: str, transport: Transport) -> None:
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

    def _answered(self, outcomes: Sequence[Outcome]) -> None:
        """Note how long a host was away, once it answers again; one that says ``retry`` is not back yet."""
        if self._silent_at is not None and not all(isinstance(outcome, Retry | Misplaced) for outcome in outcomes):
            meters.FAILOVER.observe(monotonic() - self._silent_at)
            self._silent_at = None


def _addressed(envelope: Envelope) -> Envelope:
    """Return the envelope with all that its way needs: until when, under which key, as a step of which trace."""
    changed: dict[str, Any] = {}
    if envelope.deadline is None:
        changed["deadline"] = time() + _DEADLINE_S
    if envelope.idem is None and envelope.by is not None:
        changed["idem"] = f"router/{uuid4()}"  # makes the second attempt safe
    if not envelope.trace and (trace := tracing.carrier()):
        changed["trace"] = trace
    return replace(envelope, **changed) if changed else envelope


class Router:
    """Entities by key, wherever their host runs."""

    def __init__(self, transport: Transport, where: Directions) -> None:
        self._transport, self._where = transport, where
        self._lanes: dict[str, _Lane] = {}

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Return the answer of an entity.

        Raises:
            ReadingRoomError: its refusal; Retry when its host is away, Overloaded when too much waits for it.
        """
        envelope = _addressed(envelope)
        deadline = envelope.deadline or 0.0
        give_up = min(deadline, time() + _AWAY_S)
        while True:
            left = deadline - time()
            if left <= 0:
                raise Expired
            try:
                async with asyncio.timeout(min(_ASK_S, left)):
                    return await self._once(key, envelope)
            except (TimeoutError, Unfinished):
                self._again("silent", give_up)
            except (Unreachable, Misplaced) as exc:
                self._again("unreachable" if isinstance(exc, Unreachable) else "misplaced", give_up)
                await asyncio.sleep(_PAUSE_S)
            except ReadingRoomError as exc:
                meters.REFUSED.labels(exc.code).inc()
                raise exc.with_traceback(None) from None

    async def _once(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        host = self._where.owner(key)
        if host is None:
            raise Misplaced
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = _Lane(host, self._transport)
        ask = _Ask(key, envelope, asyncio.get_running_loop().create_future())
        lane.ask(ask)
        return await ask.outcome

    def _again(self, why: str, give_up: float) -> None:
        """Look for the entity anew, unless it is time to give up."""
        meters.ROUTER_AGAIN.labels(why).inc()
        self._where.doubt()
        if time() > give_up:
            raise Retry from None
