"""``readingroom up``: starts, watches and stops everything an instance consists of. No Ray in here.

Children: PostgreSQL, Valkey and Ray's head (each unless an external one is named), the actors' keeper, gateways that
share the port, DICOM listeners. Shard hosts and inference workers are Ray's children; the keeper keeps them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

import readingroom
from readingroom import embedded, orphans, probes, ray_head
from readingroom.child import Child
from readingroom.claim import claim, reserve
from readingroom.hosted import RayChildren
from readingroom.parts import GATE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from readingroom.settings import Settings

log = structlog.get_logger()

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
_TICK_S = 0.5
_SILENT_S = 5.0  # a process that says so each second and has not for so long does not serve
_FROZEN_S = 40.0  # one that was stopped for 20 s comes back by itself
_WORKERS_STOP_S, _SERVERS_STOP_S = 3.5, 5.0  # together with the last sweep within 10 s


class Supervisor:
    """Owns the children of one run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: list[Child] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._started_at = time.time()
        self._hosted = RayChildren(settings.run)
        self._gate = settings.run / "schema.ready"

    def stop(self) -> None:
        """Ask :meth:`run` to end."""
        self._stop.set()

    async def run(self, announce: Callable[[], None]) -> None:
        """Start everything, call ``announce`` once all of it serves, and keep it so until :meth:`stop`."""
        self._gate.unlink(missing_ok=True)
        self._make()
        try:
            self._tasks = [asyncio.create_task(child.run()) for child in self._children]
            self._tasks += [asyncio.create_task(self._open_gate()), asyncio.create_task(self._tick())]
            ready = asyncio.create_task(self._all_ready())
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait([ready, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                await ready
                announce()
                log.info("ready", stack_up_s=round(time.time() - self._started_at, 2))
            await stopped
            ready.cancel()
        finally:
            await self._end()

    def _make(self) -> None:
        s = self._settings
        if not s.database_url:
            ask = partial(probes.postgres, s.run / ".s.PGSQL.5432")
            self._add("postgres", "postgres", partial(embedded.start_postgres, s), ask, stop_signal=signal.SIGINT)
        if not s.redis_url:
            ask = partial(probes.valkey, s.run / "valkey.sock")
            self._add("valkey", "valkey", partial(embedded.start_valkey, s), ask)
        if not s.ray_address:
            self._add("ray", "ray", partial(ray_head.start, s), self._ray_answers, patience_s=_FROZEN_S)
        self._add("actors", "keeper", partial(self._worker, "actors", 0), self._actors_answer, patience_s=60)
        for i in range(s.gateways):
            start = partial(self._worker, "gateway", i)
            self._add(f"gateway-{i}", "gateway", start, partial(self._gateway_answers, i), extra=partial(self._url, i))
        for i in range(s.dicom_listeners):
            start, ask = partial(self._worker, "dicom", i), partial(self._listener_answers, i)
            self._add(f"dicom-{i}", "dicom", start, ask, probe_s=5, patience_s=_FROZEN_S)

    def _add(
        self,
        name: str,
        kind: str,
        start: Callable[[], subprocess.Popen[bytes]],
        probe: Callable[[], Awaitable[bool]],
        **rest: Any,
    ) -> None:
        self._children.append(Child(name, kind, start, probe, self._write, **rest))

    def _worker(self, what: str, index: int) -> subprocess.Popen[bytes]:
        """Start one of our own processes."""
        name = what if what == "actors" else f"{what}-{index}"
        (self._settings.run / f"{name}.json").unlink(missing_ok=True)
        environment = os.environ | ray_head.environment(self._settings) | dict(self._settings.environment())
        environment |= {"PYTHONPATH": ray_head.python_path(), GATE: str(self._gate)}
        command = [sys.executable, "-m", "readingroom.cli.main", "worker", what, "--index", str(index)]
        with (self._settings.data / "logs" / f"{name}.log").open("ab") as out:
            return subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", process_group=0, env=environment
            )

    async def _ray_answers(self) -> bool:
        host, _, port = self._settings.ray.rpartition(":")
        return await probes.grpc(host, int(port))

    async def _listener_answers(self, index: int) -> bool:
        """Listeners share a port, and a stopped one's is still open: so it also says that it lives."""
        fresh = time.time() - float(self._said(f"dicom-{index}")["at"]) < _SILENT_S
        return fresh and await probes.tcp(self._settings.host, self._settings.dicom_port)

    def _said(self, name: str) -> dict[str, Any]:
        """Return what a process of ours said of itself in ``run``."""
        said: dict[str, Any] = json.loads((self._settings.run / f"{name}.json").read_text())
        return said

    def _url(self, index: int) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            return {"url": self._said(f"gateway-{index}")["url"]}
        return {}

    async def _gateway_answers(self, index: int) -> bool:
        status, _ = await probes.http(self._said(f"gateway-{index}")["url"])
        return status == 200  # noqa: PLR2004

    async def _gateway_is_ready(self, child: Child) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError, TimeoutError, IndexError):
            status, _ = await probes.http(child.extra()["url"], "/readyz", timeout_s=5)
            return status == 200  # noqa: PLR2004
        return False

    async def _actors_answer(self) -> bool:
        said = self._said("actors")
        return bool(said["healthy"]) and time.time() - float(said["at"]) < 15  # noqa: PLR2004 - it says so each second

    async def _open_gate(self) -> None:
        """Bring the schema up to date, then let the workers use it."""
        pause_s = 0.2
        environment = os.environ | dict(self._settings.environment()) | {"PYTHONPATH": ray_head.python_path()}
        while True:
            with (self._settings.data / "logs" / "migrate.log").open("ab") as out:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "readingroom.cli.main", "worker", "migrate",
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", env=environment,
                )  # fmt: skip
            if await process.wait() == 0:
                self._gate.touch()
                return
            log.error("schema_not_migrated", code=process.returncode)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 10)

    async def _all_ready(self) -> None:
        for child in self._children:
            await child.ready.wait()
        for child in self._children:
            while child.kind == "gateway" and not await self._gateway_is_ready(child):  # noqa: ASYNC110
                await asyncio.sleep(_TICK_S / 5)

    async def _tick(self) -> None:
        """Keep ``run/processes.json`` true, and reap what Ray's processes left to us."""
        while True:
            self._write()
            with contextlib.suppress(ChildProcessError):
                known = {child.pid for child in self._children}
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # noqa: ASYNC222 - WNOHANG
                # the migration's process is asyncio's to reap: wait until the gate is open
                while ended is not None and ended.si_pid not in known and self._gate.exists():
                    os.waitpid(ended.si_pid, 0)  # noqa: ASYNC222 - it has ended
                    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # noqa: ASYNC222 - WNOHANG
            await asyncio.sleep(_TICK_S)

    def _write(self) -> None:
        s = self._settings
        keeper = next(child for child in self._children if child.kind == "keeper")
        entries = [child.entry() for child in self._children if child is not keeper]
        entries += self._hosted.entries(healthy=keeper.healthy)
        state = {
            "version": readingroom.__version__, "started_at": self._started_at, "host": s.host, "port": s.port,
            "dicom_port": s.dicom_port, "supervisor": {"pid": os.getpid(), "born": orphans.born(os.getpid())},
            "processes": entries,
        }  # fmt: skip
        fresh = s.run / "processes.json.new"
        fresh.write_text(json.dumps(state))
        fresh.replace(s.run / "processes.json")

    async def _end(self) -> None:
        """Stop what serves, then what it stands on, then whatever is left."""
        servers = {"postgres", "valkey"}
        await asyncio.gather(*(c.stop(grace_s=_WORKERS_STOP_S) for c in self._children if c.kind not in servers))
        await asyncio.gather(*(c.stop(grace_s=_SERVERS_STOP_S) for c in self._children if c.kind in servers))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(orphans.sweep, self._settings.data, grace_s=0.3)
        (self._settings.run / "processes.json").unlink(missing_ok=True)
        ray_head.clean(self._settings)


async def _until_closed(stream: int, supervisor: Supervisor) -> None:
    """Stop when whoever started us closes the other end, or dies."""
    loop = asyncio.get_running_loop()
    closed = loop.create_future()

    def readable() -> None:
        if not closed.done() and not os.read(stream, 4096):
            closed.set_result(None)

    loop.add_reader(stream, readable)
    await closed
    supervisor.stop()


def up(settings: Settings, *, attached: bool = False) -> None:
    """Run an instance until SIGTERM or Ctrl-C; ``attached`` also until standard input closes.

    Raises:
        InUse: another supervisor works in the directory.
        CannotStart: the directory or a port cannot be used; the message says what to do.
    """
    embedded.prepare(settings)
    with claim(settings.data):
        os.environ[orphans.MARK] = str(settings.data)
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # what Ray's processes leave behind becomes ours to end
        left = orphans.sweep(settings.data)
        if left:
            log.warning("orphans_ended", pids=left)
        for stale in [*settings.run.glob("*.pid"), *settings.run.glob("*.json"), settings.run / "ray.port"]:
            stale.unlink(missing_ok=True)
        with reserve(settings.host, settings.port) as http, reserve(settings.host, settings.dicom_port) as dicom:
            settings.port, settings.dicom_port = http.getsockname()[1], dicom.getsockname()[1]
            if not settings.database_url:
                embedded.init_postgres(settings)
            asyncio.run(_run(settings, attached=attached))


async def _run(settings: Settings, *, attached: bool) -> None:
    supervisor = Supervisor(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    watch = asyncio.create_task(_until_closed(sys.stdin.fileno(), supervisor)) if attached else None

    def announce() -> None:
        address = f"[{settings.host}]" if ":" in settings.host else settings.host
        print(f"ready http://{address}:{settings.port} dicom {address}:{settings.dicom_port}", flush=True)  # noqa: T201

    await supervisor.run(announce)
    if watch is not None:
        watch.cancel()
