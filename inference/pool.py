"""The inference workers on Ray: one detached actor a GPU share or core. The only module here that imports it.

A worker is created with a path to the function that gives it its surroundings, so that this package
need not know the wiring above it. It begins at the first ``begin``, not in ``__init__``: an exception
there would keep a restarted Ray actor dead for good.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import ray
import structlog
from ray.exceptions import RayError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from inference.worker import Jobs, Studies, TriageWorker

log = structlog.get_logger()

NAMESPACE = "readingroom"
FACTORY = "readingroom.triage:surroundings"
_CALL_S = 5.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a worker finds in its process; ``listen`` calls back at each nudge of the channel ``jobs``."""

    jobs: Jobs
    studies: Studies
    open_: Callable[[str], BinaryIO]
    listen: Callable[[Callable[[], None]], None]
    pid_file: Path


class Instance(Protocol):
    """What the pool needs of an instance's settings."""

    def environment(self) -> Mapping[str, str]: ...


def worker_name(index: int) -> str:
    """Return the name of a worker: its Ray actor's, and the one its leases carry."""
    return f"inference/{index}"


def _resolve(path: str) -> Callable[[int], Awaitable[Surroundings]]:
    module, _, name = path.partition(":")
    factory: Callable[[int], Awaitable[Surroundings]] = getattr(import_module(module), name)
    return factory


class InferenceWorker:
    """The process around one :class:`~inference.worker.TriageWorker`."""

    def __init__(self, index: int, factory: str, environment: dict[str, str]) -> None:
        self._index, self._factory, self._environment = index, factory, environment
        self._starting: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None
        self._worker: TriageWorker | None = None
        self._surroundings: Surroundings | None = None

    async def begin(self) -> bool:
        """Start working, once; return whether it serves."""
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            self._starting = asyncio.create_task(self._begin())
        await asyncio.shield(self._starting)
        if self._work is not None and self._work.done():
            self._starting = None  # it ended, whatever the cause: the next call starts it again
        return self._worker is not None and self._worker.serving

    async def _begin(self) -> None:
        from inference.triage.model import HeadCtModel  # noqa: PLC0415 - 130 MiB that whoever names workers can spare
        from inference.worker import TriageWorker  # noqa: PLC0415

        os.environ.update(self._environment)
        if self._surroundings is None:
            self._surroundings = await _resolve(self._factory)(self._index)
        around = self._surroundings
        self._worker = TriageWorker(around.jobs, around.studies, around.open_, HeadCtModel)
        around.listen(self._worker.wake)
        self._work = asyncio.create_task(self._worker.run())
        around.pid_file.write_text(f"{os.getpid()}\n")
        log.info("WorkerStarted", index=self._index)


_Remote: Any = ray.remote(InferenceWorker)


def ensure_workers(settings: Instance, count: int, *, factory: str = FACTORY, num_gpus: float = 0.0) -> list[Any]:
    """Create the workers that do not exist yet, and return the handles of all; Ray restarts those that die."""
    environment = dict(settings.environment())
    return [
        _Remote.options(
            name=worker_name(index),
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=16,
            num_cpus=0,
            num_gpus=num_gpus,
            resources={"inference": 1},
        ).remote(index, factory, environment)
        for index in range(count)
    ]


async def begin_all(workers: list[Any]) -> list[bool]:
    """Start each worker that has not begun, also after Ray restarted it; return who serves."""
    return [answer is True for answer in await asyncio.gather(*(_asked(worker.begin) for worker in workers))]


async def _asked(method: Any) -> Any:
    try:
        async with asyncio.timeout(_CALL_S):
            return await method.remote()
    except (RayError, TimeoutError, OSError) as exc:
        log.warning("worker does not answer", cause=type(exc).__name__)
        return None
