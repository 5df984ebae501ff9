"""What an inference worker finds around it in its process: the queue, the studies, the images."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from actors.exposition import Exposition
from actors.nudges import hear
from actors.system import inside
from inference.pool import Surroundings, worker_name
from readingroom import logs
from readingroom.parts import database, valkey
from readingroom.settings import Settings
from storage.jobs import JobStore
from storage.objects import object_store

if TYPE_CHECKING:
    from collections.abc import Callable

_TASKS: set[asyncio.Task[None]] = set()
_EXPOSITIONS: list[Exposition] = []


async def surroundings(index: int) -> Surroundings:
    """Return what the worker needs; the process's environment names the instance."""
    settings = Settings()
    for directory in (settings.run, settings.data / "logs"):  # another machine's may be empty
        directory.mkdir(parents=True, exist_ok=True)
    logs.configure(f"inference-{index}", settings.log_level, settings.data / "logs")
    jobs = JobStore(await database(settings, "rr_infer", 3), worker_name(index))

    def listen(wake: Callable[[], None]) -> None:
        task = asyncio.create_task(hear(valkey(settings), {"jobs": lambda _: wake()}))
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)

    _EXPOSITIONS.append(Exposition(settings.valkey_url, f"inference-{index}"))
    _EXPOSITIONS[-1].start()
    store = object_store(settings)
    return Surroundings(jobs, inside(settings), store.open, listen, settings.run / f"inference-{index}.pid")
