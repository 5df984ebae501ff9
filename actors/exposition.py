"""The figures of every process in one place: each leaves its own in Valkey, any gateway shows them all.

That works for processes inside Ray and on other machines too, and needs no port. While Valkey is away a gateway
shows its own figures only; counters go on from where they were.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from math import floor
from time import time
from typing import TYPE_CHECKING

import msgspec
import structlog
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

log = structlog.get_logger()

_KEY = "metrics"  # hash: NODE/PROCESS → its families
_EACH_S = 2.0
_FRESH_S = 15.0  # what is older is not shown
_AWAY = (RedisError, OSError, TimeoutError)
_UNTYPED = {"unknown": "untyped", "gaugehistogram": "histogram", "stateset": "gauge", "info": "gauge"}


class Family(msgspec.Struct, array_like=True, frozen=True):
    """One metric of a process: its samples, ready to print."""

    name: str
    kind: str
    text: str
    lines: list[str]


class Figures(msgspec.Struct, array_like=True, frozen=True):
    """What a process says of itself at an instant."""

    at: float
    families: list[Family]


def _text(said: bytes | str) -> str:
    return said.decode() if isinstance(said, bytes) else said


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(floor(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _family(metric: Metric, added: str) -> Family:
    kind = _UNTYPED.get(metric.type, metric.type)
    name = f"{metric.name}_total" if kind == "counter" else metric.name
    lines = []
    for sample in metric.samples:
        if sample.name.endswith("_created"):
            continue
        labels = ",".join([*(f'{k}="{_escaped(v)}"' for k, v in sample.labels.items()), *filter(None, [added])])
        value = float(sample.value)
        shown = _number(value) if abs(value) != float("inf") else "+Inf" if value > 0 else "-Inf"
        lines.append(f"{sample.name}{{{labels}}} {shown}" if labels else f"{sample.name} {shown}")
    return Family(name, kind, metric.documentation.replace("\\", "\\\\").replace("\n", "\\n"), lines)


def figures(process: str = "", registry: CollectorRegistry = REGISTRY) -> Figures:
    """Return this process's figures, each labelled with the process and its machine."""
    added = f'process="{process}",node="{_escaped(socket.gethostname())}"' if process else ""
    return Figures(time(), [_family(metric, added) for metric in registry.collect()])


def text(said: Iterable[Figures]) -> str:
    """Return the figures of several processes in Prometheus' text format 0.0.4: each family once."""
    merged: dict[str, Family] = {}
    for one in said:
        for family in one.families:
            known = merged.setdefault(family.name, Family(family.name, family.kind, family.text, []))
            known.lines.extend(family.lines)
    parts = [
        f"# HELP {f.name} {f.text}\n# TYPE {f.name} {f.kind}\n" + "".join(f"{line}\n" for line in f.lines)
        for f in merged.values()
    ]
    return "".join(parts)


class Exposition:
    """Leaves the figures of this process for others to show; ``process`` is its name in ``admin status``."""

    def __init__(self, url: str, process: str) -> None:
        self._url, self.process = url, process
        self._field = f"{socket.gethostname()}/{process}"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to publish every two seconds."""
        self._task = asyncio.create_task(self._publish(), name="publish-metrics")

    async def stop(self) -> None:
        """Publish no more; what was said is forgotten a few seconds later."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _publish(self) -> None:
        client: Redis = Redis.from_url(self._url, socket_timeout=1, socket_connect_timeout=1)
        try:
            while True:
                with suppress(*_AWAY):
                    await client.hset(_KEY, self._field, msgspec.json.encode(figures(self.process)))
                await asyncio.sleep(_EACH_S)
        finally:
            with suppress(*_AWAY):
                await client.aclose()

    async def everybody(self, valkey: Redis) -> str:
        """Return the figures of this process, as they are now, and of every other that lives."""
        said = [figures(self.process)]
        with suppress(*_AWAY):
            async with asyncio.timeout(1):
                known = await valkey.hgetall(_KEY)
            said += [
                msgspec.json.decode(body, type=Figures) for field, body in known.items() if _text(field) != self._field
            ]
        return text(one for one in said if time() - one.at < _FRESH_S)
