"""A process that is stopped has its port open still: the kernel accepts for it. Only an answer says that it serves."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from readingroom import probes
from readingroom.settings import Settings
from readingroom.supervisor import Supervisor
from tests.conftest import short_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# HTTP/2, RFC 9113 6.5 and 6.8: what a server says first, and what it says when it wants no more.
SETTINGS, GOAWAY = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), bytes((0, 0, 8, 7, 0, 0, 0, 0, 0))


@asynccontextmanager
async def server(says: bytes | None) -> AsyncIterator[int]:
    """A port that answers the first bytes with these, or with nothing."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.read(100)).startswith(b"PRI * HTTP/2.0")
        if says is not None:
            writer.write(says)
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(served, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def test_a_grpc_server_answers_with_its_settings() -> None:
    async with server(SETTINGS) as port:
        assert await probes.grpc("127.0.0.1", port)
    async with server(GOAWAY) as port:
        assert not await probes.grpc("127.0.0.1", port)


async def test_one_that_only_accepts_does_not_serve() -> None:
    async with server(None) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await probes.grpc("127.0.0.1", port)


@pytest.mark.parametrize(("ago_s", "serves"), [(1.0, True), (20.0, False)])
async def test_a_listener_serves_while_it_says_so(ago_s: float, serves: bool) -> None:  # noqa: FBT001
    listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with listening:
        with short_directory() as directory:
            settings = Settings(data=directory, dicom_port=listening.sockets[0].getsockname()[1])
            settings.run.mkdir(parents=True, exist_ok=True)
            (settings.run / "dicom-0.json").write_text(json.dumps({"at": time.time() - ago_s}))
            assert await Supervisor(settings)._listener_answers(0) is serves
