"""A shard host as a process of its own: begins by itself, says how it goes, keeps a log and a pid file."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from actors import tracing
from actors.exposition import Exposition
from actors.shard import Place, Post, ShardHost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from actors.router import Outcome, Transport

log = structlog.get_logger()

_BEAT_S = 0.5
_REFUSE_S = 0.5  # whoever waits for an answer here is told to look elsewhere first


class Hosted:
    """What is called from outside. Nothing in ``__init__`` can fail: that would end a Ray actor for good."""

    def __init__(self, post: Post, place: Place, run: str, transport: Transport) -> None:
        self._name, self._run = f"shard-host-{post.name}", Path(run)
        self._exposition = Exposition(place.valkey_url, self._name)
        self._host = ShardHost(post, place, transport)
        self._beating: asyncio.Task[None] | None = None
        self._beat = monotonic()

    async def begin(self) -> bool:
        """Begin, if that has not happened; return whether the host serves."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._pulse())
            self._exposition.start()
            tracing.start(self._name)
            gc.freeze()  # what was imported stays; and 100,000 studies are not to be walked through all the time
            gc.set_threshold(20_000, 20, 100)
            _log_to(self._run.parent / "logs" / f"{self._name}.log", self._name)
            with suppress(OSError):  # on another machine nobody looks there
                self._run.mkdir(parents=True, exist_ok=True)
                (self._run / f"{self._name}.pid").write_text(str(os.getpid()))
        try:
            await self._host.start()
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is told instead of failing
            log.warning("host is not ready", cause=type(exc).__name__)
            return False
        return True

    async def batch(self, asked: Sequence[tuple[Key, Envelope]]) -> list[Outcome]:
        """Answer many asks."""
        await self.begin()
        return await self._host.batch(asked)

    async def drain(self) -> None:
        """Stop taking part; what was committed stands."""
        await self._host.stop()

    def state(self) -> dict[str, Any]:
        """Say how it goes; ``stuck_s`` is how long the entities' loop has not come round."""
        stuck_s = monotonic() - self._beat if self._beating else 0.0
        return {**self._host.stats(), "pid": os.getpid(), "stuck_s": round(stuck_s, 3)}

    async def _pulse(self) -> None:
        while not self._host.tenure.retired:
            self._beat = monotonic()
            await asyncio.sleep(_BEAT_S)
        # Another process has begun under this name. If it is Ray's, this one is a copy that Ray lost sight of, and
        # nobody else would end it; if this one is Ray's, Ray starts it anew, which retires the other.
        await asyncio.sleep(_REFUSE_S)
        log.warning("HostEnded", host=self._name)
        os._exit(0)  # not by Ray's own exit: that would tell it never to start this host again


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
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(path.open("a", buffering=1)),
        cache_logger_on_first_use=True,
    )


def _json(event: Any, default: Callable[[Any], Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=default).decode()
