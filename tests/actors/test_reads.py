"""Questions of one moment are one query; whoever gives up, or fails, is alone in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from actors.reads import Together

if TYPE_CHECKING:
    from collections.abc import Sequence


class Table:
    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.open = asyncio.Event()

    async def ask(self, keys: Sequence[int]) -> list[int]:
        self.asked.append(list(keys))
        await self.open.wait()
        if -1 in keys:
            raise OSError
        return [key * 2 for key in keys]


async def test_what_is_asked_while_a_query_is_under_way_is_the_next_one() -> None:
    table = Table()
    together = Together(table.ask)
    first = asyncio.create_task(together(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(together(n)) for n in range(2, 302)]
    await asyncio.sleep(0)
    table.open.set()
    assert await first == 2
    assert await asyncio.gather(*rest) == [n * 2 for n in range(2, 302)]
    assert [len(keys) for keys in table.asked] == [1, 200, 100]


async def test_a_failure_is_told_to_those_who_asked_and_the_next_may_succeed() -> None:
    table = Table()
    table.open.set()
    together = Together(table.ask)
    results = await asyncio.gather(together(1), together(-1), return_exceptions=True)
    assert [type(r) for r in results] == [OSError, OSError]
    assert await together(4) == 8


async def test_who_gives_up_is_not_asked_for() -> None:
    table = Table()
    together = Together(table.ask)
    first = asyncio.create_task(together(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(together(2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    table.open.set()
    assert await first == 2
    assert await together(3) == 6
    assert table.asked == [[1], [3]]
