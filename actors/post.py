"""Which host one is, and where it finds the servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host finds the servers, and how the instance is divided."""

    host_dsn: str
    timer_dsn: str
    valkey_url: str
    shards: int = 64
    archive_after_s: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Post:
    """Which host it is. ``doubled`` is a copy that knows of no other: it holds every shard, for tests of the fence."""

    name: str
    tenant_id: str = ""  # serves this tenant only
    node: str = ""  # where it runs, for people
    doubled: bool = False


class Settings(Protocol):
    """What hosts and those who ask them need to know of an instance."""

    @property
    def ray(self) -> str: ...

    @property
    def shards(self) -> int: ...

    @property
    def archive_after_days(self) -> float: ...

    @property
    def run(self) -> Path: ...

    @property
    def valkey_url(self) -> str: ...

    def dsn(self, role: str) -> str: ...


def place(settings: Settings) -> Place:
    """Return where hosts find the servers."""
    after_s = settings.archive_after_days * 86_400.0
    return Place(settings.dsn("rr_host"), settings.dsn("rr_timer"), settings.valkey_url, settings.shards, after_s)


def common(count: int) -> dict[str, str]:
    """Return the names of so many hosts that serve everybody, each with the one tenant that it serves: none."""
    return {str(index): "" for index in range(count)}
