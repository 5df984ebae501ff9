"""What a gateway process is given: settings, the entities, the databases by role, Valkey."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from actors.exposition import Exposition
from gateway.auth import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import redis.asyncio

    from actors.refs import Refs
    from storage.pool import Database


class Instance(Protocol):
    """The settings that a gateway reads."""

    @property
    def data(self) -> Path: ...
    @property
    def run(self) -> Path: ...
    @property
    def objects(self) -> Path: ...
    @property
    def objects_key(self) -> bytes | None: ...
    @property
    def objects_url(self) -> str | None: ...
    @property
    def objects_cold_url(self) -> str | None: ...
    @property
    def verify_reads(self) -> float: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def dicom_port(self) -> int: ...
    @property
    def aet(self) -> str: ...
    @property
    def valkey_url(self) -> str: ...


@dataclass(slots=True)
class Deps:
    """Everything that handlers need; built once by the composition root.

    Args:
        settings: of this instance.
        refs: the entities, wherever they live.
        dbs: an open :class:`Database` for each of rr_app, rr_login, rr_ingest, rr_delivery.
        valkey: hints, presence and limits; it may be away at any time.
        process: this process's name; without one its figures stay its own.
        started_at: Unix seconds.
    """

    settings: Instance
    refs: Refs
    dbs: Mapping[str, Database]
    valkey: redis.asyncio.Redis
    process: str = ""
    started_at: float = field(default_factory=time.time)
    sessions: Sessions = field(init=False)
    exposition: Exposition = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.dbs["rr_login"], self.valkey)
        self.exposition = Exposition(self.settings.valkey_url, self.process)

    @property
    def app_db(self) -> Database:
        """The database as sessions see it (rr_app)."""
        return self.dbs["rr_app"]


DEPS = web.AppKey("deps", Deps)
