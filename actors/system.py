"""Actors on Ray: the only module of this package that imports it.

Ray reads its switches when it is imported, so they are set first. On one host the second one is
the way to bind loopback only.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import structlog
from ray.exceptions import RayError

from actors import tracing
from actors.exposition import Exposition
from actors.router import Router, Unreachable
from actors.shard import Place, ShardHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.commands import Envelope
    from actors.domain.errors import ReadingRoomError
    from actors.domain.identity import Key

log = structlog.get_logger()

NAMESPACE = "readingroom"
_CALL_S = 5.0  # a partition hangs calls for a minute; the router has given up long before
_CONNECT_S = 20.0
_PAUSE_S = 0.5
_BEAT_S = 0.5
_LOOK_S = 5.0  # a process that stays attached to a lost head for a minute is ended by Ray


class Settings(Protocol):
    """What this module needs to know of an instance."""

    @property
    def ray(self) -> str: ...

    @property
    def shard_hosts(self) -> int: ...

    @property
    def archive_after_days(self) -> float: ...

    @property
    def run(self) -> Path: ...

    @property
    def valkey_url(self) -> str: ...

    def dsn(self, role: str) -> str: ...


def connect(settings: Settings) -> None:
    """Attach this process to the cluster, leaving another one first; blocks, seconds at worst.

    Raises:
        ConnectionError: the head does not answer.
    """
    ray.shutdown()
    try:
        ray.init(
            address=settings.ray,
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
            ignore_reinit_error=True,
        )
    except (RayError, RuntimeError, ValueError, OSError, AssertionError) as exc:
        raise ConnectionError(type(exc).__name__) from exc


def place(settings: Settings) -> Place:
    """Return where hosts find the servers."""
    after_s = settings.archive_after_days * 86_400.0
    return Place(settings.dsn("rr_host"), settings.dsn("rr_timer"), settings.valkey_url, after_s)


def host_name(index: int) -> str:
    """Return the name of a host's actor."""
    return f"shard-host/{index}"


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, max_concurrency=5000, concurrency_groups={"health": 10})  # type: ignore[call-overload]
class HostActor:
    """A shard host as a detached Ray actor. Nothing in ``__init__`` can fail: that would end it for good.

    Each concurrency group has an event loop of its own. The entities live in that of ``begin`` and
    ``batch``; ``health`` answers from another one, and so also says when that one is stuck.
    """

    def __init__(self, index: int, hosts: int, place: Place, run: str) -> None:
        self._index, self._hosts, self._run = index, hosts, Path(run)
        self._exposition = Exposition(place.valkey_url, f"shard-host-{index}")
        self._host = ShardHost(index, hosts, place, Router(RayTransport(), hosts))
        self._beating: asyncio.Task[None] | None = None
        self._beat = monotonic()

    async def begin(self) -> bool:
        """Begin, if that has not happened; return whether the host serves."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._pulse())
            self._exposition.start()
            tracing.start(self._exposition.process)
            _log_to(self._run.parent / "logs" / f"shard-host-{self._index}.log", f"shard-host-{self._index}")
            (self._run / f"shard-host-{self._index}.pid").write_text(str(os.getpid()))
        try:
            await self._host.start()
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is told instead of failing
            log.warning("host is not ready", index=self._index, cause=type(exc).__name__)
            return False
        return True

    async def batch(self, asked: Sequence[tuple[Key, Envelope]]) -> list[dict[str, Any] | ReadingRoomError]:
        """Answer many asks."""
        await self.begin()
        return await self._host.batch(asked)

    @ray.method(concurrency_group="health")
    async def health(self) -> dict[str, Any]:
        """Say how it goes; ``stuck_s`` is how long the entities' loop has not come round."""
        stuck_s = monotonic() - self._beat if self._beating else 0.0
        return {**self._host.stats(), "pid": os.getpid(), "hosts": self._hosts, "stuck_s": round(stuck_s, 3)}

    async def drain(self) -> None:
        """Stop taking part; what was committed stands."""
        await self._host.stop()

    async def _pulse(self) -> None:
        while True:
            self._beat = monotonic()
            await asyncio.sleep(_BEAT_S)


def _log_to(path: Path, name: str) -> None:
    """Write the log of this worker process as JSON lines, to the instance's logs when it has some."""
    if not path.parent.is_dir():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,  # never with local variables: they hold patients and passwords
            lambda _logger, _method, event: {**event, "process": name},
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(path.open("a", buffering=1)),
    )


class RayTransport:
    """Calls hosts by name; a handle is looked up off the event loop and kept until it fails."""

    def __init__(self) -> None:
        self._handles: dict[int, Any] = {}

    async def call(self, host: int, asked: Sequence[tuple[Key, Envelope]]) -> list[dict[str, Any] | ReadingRoomError]:
        """Return an outcome for each ask.

        Raises:
            Unreachable: the host is away, or was lost while it had the call.
        """
        try:
            async with asyncio.timeout(_CALL_S):
                if host not in self._handles:
                    self._handles[host] = await asyncio.to_thread(ray.get_actor, host_name(host), NAMESPACE)
                outcomes: list[dict[str, Any] | ReadingRoomError] = await self._handles[host].batch.remote(list(asked))
        except (RayError, ValueError, RuntimeError, OSError, TimeoutError) as exc:
            self._handles.pop(host, None)
            raise Unreachable(type(exc).__name__) from exc
        return outcomes

    def forget(self) -> None:
        """Look every handle up again: the cluster is another one."""
        self._handles.clear()


def inside(settings: Settings) -> Router:
    """Return the way to the actors for a process that is itself an actor of the cluster."""
    return Router(RayTransport(), settings.shard_hosts)


class System:
    """A process's way to the actors: attaches when the head is there, again when it was replaced."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._transport = RayTransport()
        self._router = Router(self, settings.shard_hosts)
        self._task: asyncio.Task[None] | None = None
        self._attached = asyncio.Event()
        self._lost = asyncio.Event()

    @property
    def attached(self) -> bool:
        """Whether the cluster was there when it was last looked at."""
        return self._attached.is_set()

    async def start(self) -> None:
        """Begin to attach; asks meanwhile wait, and are refused with ``retry`` after a few seconds."""
        self._task = asyncio.create_task(self._stay())

    async def stop(self) -> None:
        """Leave the cluster."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(ray.shutdown)

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Return the answer of an entity.

        Raises:
            ReadingRoomError: the refusal.
        """
        return await self._router.ask(key, envelope)

    async def call(self, host: int, asked: Sequence[tuple[Key, Envelope]]) -> list[dict[str, Any] | ReadingRoomError]:
        """Return an outcome for each ask.

        Raises:
            Unreachable: not attached, or the host is away.
        """
        if not self._attached.is_set():
            raise Unreachable("no cluster")
        try:
            return await self._transport.call(host, asked)
        except Unreachable:
            self._lost.set()
            raise

    async def _stay(self) -> None:
        at = ""
        while True:
            if not at or not await self._answers(at):
                self._attached.clear()
                self._transport.forget()
                at = await self._attach()
                if not at:
                    await asyncio.sleep(_PAUSE_S)
                    continue
            self._lost.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._lost.wait()
                    await asyncio.sleep(_PAUSE_S)  # a host that restarts is not a head that is gone

    async def _attach(self) -> str:
        """Attach to the head of this moment; return its address, nothing when it does not answer."""
        try:
            at = self._settings.ray
            if not await self._answers(at):
                await asyncio.to_thread(ray.shutdown)
                return ""
            await asyncio.to_thread(connect, self._settings)
        except (ConnectionError, OSError) as exc:
            log.warning("no cluster", cause=type(exc).__name__)
            return ""
        self._attached.set()
        log.info("ClusterAttached")
        return at

    async def _answers(self, at: str) -> bool:
        """Whether the head there is the one to be attached to, and takes connections: Ray would wait for a minute."""
        host, _, port = at.rpartition(":")
        try:
            if at != self._settings.ray:
                return False
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError, ValueError):
            return False
        writer.close()
        return True


def ensure_hosts(settings: Settings, hosts: int) -> list[dict[str, Any]]:
    """Make the hosts that are not there yet, and return the health of each; blocks, so call it off the loop.

    The caller is attached (:func:`connect`). A host that does not answer in time has ``{"index", "error"}``.
    """
    bundle = {"shard": 1} if ray.cluster_resources().get("shard") else {}  # type: ignore[no-untyped-call]
    asked = []
    for index in range(hosts):
        actor = HostActor.options(  # type: ignore[attr-defined]
            name=host_name(index), namespace=NAMESPACE, lifetime="detached", get_if_exists=True, resources=bundle
        ).remote(index, hosts, place(settings), str(settings.run))
        asked.append((actor.begin.remote(), actor))
    states: list[dict[str, Any]] = []
    for index, (begun, actor) in enumerate(asked):
        try:
            ray.get(begun, timeout=_CONNECT_S)
            states.append(ray.get(actor.health.remote(), timeout=_CONNECT_S))
        except RayError as exc:
            states.append({"index": index, "error": type(exc).__name__})
    return states


def end_hosts(hosts: int) -> None:
    """End the hosts for good: the next ones are made anew. What was committed stands."""
    for index in range(hosts):
        try:
            ray.kill(ray.get_actor(host_name(index), NAMESPACE), no_restart=True)
        except ValueError:
            continue
