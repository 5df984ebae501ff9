"""Wires a DICOM listener: needs the database and the disk, neither Ray nor a web server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvloop

from gateway.ingest import listener
from readingroom.parts import schema

if TYPE_CHECKING:
    from readingroom.settings import Settings


async def _listen(settings: Settings) -> None:
    await schema(settings)
    await listener.serve(settings)


def listen(settings: Settings) -> None:
    """Be a DICOM listener's process."""
    uvloop.run(_listen(settings))
