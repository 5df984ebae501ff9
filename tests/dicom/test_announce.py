"""Nudges of the inbox: none is said after the end, when the connections it would use are closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from gateway.ingest.announce import CHANNEL, Announcer

if TYPE_CHECKING:
    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


async def test_what_an_association_tells_at_the_end_opens_no_connection_again(servers: Settings) -> None:
    valkey: Redis = Redis.from_url(servers.valkey_url)
    announcer = Announcer(valkey)
    async with valkey.pubsub() as heard:
        await heard.subscribe(CHANNEL)
        await asyncio.to_thread(announcer.soon, {3})
        while (await heard.get_message(timeout=5) or {}).get("data") != b"3":
            pass
        await asyncio.to_thread(announcer.soon, {4})  # heard by the loop after the end at the earliest
        await announcer.close()
    await valkey.aclose()
    announcer({5})
    await asyncio.sleep(0.1)
    assert not any(connection.is_connected for connection in valkey.connection_pool._available_connections)
