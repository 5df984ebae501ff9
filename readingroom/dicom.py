"""Wires a DICOM listener: needs the database and the disk, neither Ray nor a web server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvloop

from actors import tracing
from actors.exposition import Exposition
from gateway.ingest import listener
from readingroom.parts import beat, schema

if TYPE_CHECKING:
    from readingroom.settings import Settings


async def _listen(settings: Settings, index: int) -> None:
    await schema(settings)
    exposition = Exposition(settings.valkey_url, f"dicom-{index}")
    exposition.start()
    tracing.start(exposition.process)
    beating = asyncio.create_task(beat(settings, exposition.process))
    await listener.serve(settings)
    beating.cancel()
    await exposition.stop()


def listen(settings: Settings, index: int = 0) -> None:
    """Be a DICOM listener's process."""
    uvloop.run(_listen(settings, index))
