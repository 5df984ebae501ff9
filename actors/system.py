"""Actors on Ray: the only module of this package that imports it.

Ray reads its switches when it is imported, so they are set first. On one host the second one is
the way to bind loopback only.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import structlog
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError

from actors.domain.identity import divide
from actors.hosted import Hosted
from actors.post import Place, Post, place
from actors.router import Router, Unreachable
from actors.whereabouts import Whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from actors.post import Settings
    from actors.router import Outcome

log = structlog.get_logger()

NAMESPACE = "readingroom"
_CALL_S = 5.0  # a partition hangs calls for a minute; the router has given up long before
_CONNECT_S = 20.0
_PAUSE_S = 0.5
_LOOK_S = 5.0  # a process that stays attached to a lost head for a minute is ended by Ray


def connect(settings: Settings) -> None:
    """Attach this process to the cluster, leaving another one first; blocks, seconds at worst.

    Raises:
        ConnectionError: the head does not answer.
    """
    ray.shutdown()
    try:
        quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "ignore_reinit_error": True}
        ray.init(address=settings.ray, namespace=NAMESPACE, **quiet)
    except (RayError, RuntimeError, ValueError, OSError, AssertionError) as exc:
        raise ConnectionError(type(exc).__name__) from exc


def host_name(name: str) -> str:
    """Return the name of a host's actor."""
    return f"shard-host/{name}"


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, max_concurrency=5000, concurrency_groups={"health": 10})  # type: ignore[call-overload]
class HostActor(Hosted):
    """A shard host as a detached Ray actor.

    Each concurrency group has an event loop of its own. The entities live in that of ``begin`` and
    ``batch``; ``health`` answers from another one, and so also says when that one is stuck.
    """

    def __init__(self, post: Post, place: Place, run: str) -> None:
        super().__init__(replace(post, node=socket.gethostname()), place, run, RayTransport())

    @ray.method(concurrency_group="health")
    async def health(self) -> dict[str, Any]:
        """Say how it goes."""
        return self.state()


class RayTransport:
    """Calls hosts by name; a handle is looked up off the event loop and kept until it fails."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    async def call(self, host: str, asked: Sequence[tuple[Key, Envelope]]) -> list[Outcome]:
        """Return an outcome for each ask.

        Raises:
            Unreachable: the host is away, or was lost while it had the call.
        """
        try:
            async with asyncio.timeout(_CALL_S):
                if host not in self._handles:
                    self._handles[host] = await asyncio.to_thread(ray.get_actor, host_name(host), NAMESPACE)
                outcomes: list[Outcome] = await self._handles[host].batch.remote(list(asked))
        except (RayError, ValueError, RuntimeError, OSError, TimeoutError) as exc:
            self._handles.pop(host, None)
            raise Unreachable(type(exc).__name__) from exc
        return outcomes

    def forget(self) -> None:
        """Look every handle up again: the cluster is another one."""
        self._handles.clear()


def inside(settings: Settings) -> Router:
    """Return the way to the actors for a process that is itself an actor of the cluster."""
    divide(settings.shards)
    return Router(RayTransport(), Whereabouts(settings.dsn("rr_infer")))


class System:
    """A process's way to the actors: attaches when the head is there, again when it was replaced."""

    def __init__(self, settings: Settings) -> None:
        divide(settings.shards)
        self._settings = settings
        self._transport = RayTransport()
        self._where = Whereabouts(settings.dsn("rr_app"))
        self._router = Router(self, self._where)
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
        await self._where.close()
        await asyncio.to_thread(ray.shutdown)

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Return the answer of an entity.

        Raises:
            ReadingRoomError: the refusal.
        """
        return await self._router.ask(key, envelope)

    async def call(self, host: str, asked: Sequence[tuple[Key, Envelope]]) -> list[Outcome]:
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


def units() -> int:
    """Return how many shard hosts the living nodes have room for: the sum of their resource ``shard``."""
    return int(ray.cluster_resources().get("shard", 0))  # type: ignore[no-untyped-call]


def ask_for(hosts: int) -> None:
    """Tell Ray's autoscaler to have room for so many shard hosts; where none runs nothing comes of it. Blocks."""
    request_resources(bundles=[{"shard": 1}] * hosts)


def ensure_hosts(settings: Settings, hosts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Make the hosts that are not there yet, and return the health of each; blocks, so call it off the loop.

    ``hosts`` are their names, each with the one tenant that it serves or "". The caller is attached
    (:func:`connect`). A host that does not answer in time has ``{"host", "error"}``.
    """
    bundle = {"shard": 1} if units() else {}
    asked = []
    for name, tenant_id in hosts.items():
        actor = HostActor.options(  # type: ignore[attr-defined]
            name=host_name(name), namespace=NAMESPACE, lifetime="detached", get_if_exists=True, resources=bundle
        ).remote(Post(name, tenant_id), place(settings), str(settings.run))
        asked.append((name, actor, actor.begin.remote()))
    states: list[dict[str, Any]] = []
    until = monotonic() + _CONNECT_S
    for name, actor, begun in asked:
        try:
            ray.get(begun, timeout=max(until - monotonic(), 0.1))
            states.append(ray.get(actor.health.remote(), timeout=_CALL_S))
        except RayError as exc:
            states.append({"host": name, "error": type(exc).__name__})
    return states


def end_hosts(hosts: Iterable[str]) -> None:
    """End these hosts for good: the next ones are made anew. What was committed stands."""
    for name in hosts:
        with suppress(ValueError):
            ray.kill(ray.get_actor(host_name(name), NAMESPACE), no_restart=True)
