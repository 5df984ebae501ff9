"""The lane commits what waits together, and blames only who is to blame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from actors.committer import Committer
from actors.domain.identity import study_key
from actors.domain.unit import JobWrite, OutboxWrite, Unit
from storage.commit import Away, Deposed, Fenced, Late, Lost, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


def unit(name: str, **changes: Any) -> Unit:
    return Unit(study_key("t", name), **changes)


class Fake:
    """A database that does what the test says."""

    def __init__(self, react: Callable[[list[str]], Exception | None] = lambda _: None) -> None:
        self.react, self.batches = react, list[list[str]]()
        self.closed = False

    async def commit(self, units: Sequence[Unit]) -> dict[str, int]:
        await asyncio.sleep(0)
        names = [u.key.name for u in units]
        self.batches.append(names)
        if exc := self.react(names):
            raise exc
        return {"t": len(self.batches)}

    async def close(self) -> None:
        self.closed = True


async def outcomes(fake: Fake, *units: Unit, said: list[tuple[str, str]] | None = None) -> list[Any]:
    committer = Committer([fake], lambda *hint: said.append(hint) if said is not None else None)
    committer.start()
    work: list[Awaitable[Any]] = [committer.commit(u) for u in units]
    try:
        return await asyncio.gather(*work, return_exceptions=True)
    finally:
        await committer.stop()


async def test_what_waits_is_committed_together_and_never_more_than_25() -> None:
    fake = Fake()
    assert await outcomes(fake, *(unit(str(n)) for n in range(60))) == [None] * 60
    assert [len(b) for b in fake.batches] == [25, 25, 10]


async def test_what_comes_while_a_batch_is_under_way_goes_by_the_other_lane() -> None:
    slow, quick, begun, on = Fake(), Fake(), asyncio.Event(), asyncio.Event()
    commit = slow.commit

    async def slowly(units: Sequence[Unit]) -> dict[str, int]:
        begun.set()
        await on.wait()
        return await commit(units)

    slow.commit = slowly  # type: ignore[method-assign]
    committer = Committer([slow, quick], lambda *_: None)
    committer.start()
    first = asyncio.create_task(committer.commit(unit("a")))
    await begun.wait()
    await committer.commit(unit("b"))
    on.set()
    await first
    await committer.stop()
    assert slow.batches == [["a"]]
    assert quick.batches == [["b"]]
    assert slow.closed
    assert quick.closed


@pytest.mark.parametrize("kind", [Fenced, Deposed, Late, Refused, ValueError])
async def test_only_the_one_to_blame_is_refused(kind: type[Exception]) -> None:
    fake = Fake(lambda names: kind() if "bad" in names else None)
    results = await outcomes(fake, unit("a"), unit("bad"), unit("b"))
    assert [type(r) for r in results] == [type(None), kind, type(None)]
    assert fake.batches == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]


async def test_a_lost_connection_leaves_every_outcome_of_the_batch_unknown() -> None:
    fake = Fake(lambda _: Lost() if len(fake.batches) == 1 else None)
    assert [type(r) for r in await outcomes(fake, unit("a"), unit("b"))] == [Lost, Lost]
    assert fake.closed


async def test_a_database_that_is_away_is_tried_again_for_the_next() -> None:
    fake = Fake(lambda _: Away() if len(fake.batches) < 3 else None)
    committer = Committer([fake], lambda *_: None)
    committer.start()
    seen = []
    for n in range(3):
        try:
            await committer.commit(unit(str(n)))
            seen.append("ok")
        except Away:
            seen.append("away")
    await committer.stop()
    assert seen == ["away", "away", "ok"]


async def test_others_are_told_where_to_look_after_the_commit() -> None:
    said: list[tuple[str, str]] = []
    job, message = JobWrite("j", "a", 1, 0), OutboxWrite("o", "a", "s", "report_final", "r", 1)
    await outcomes(Fake(), unit("a", jobs=[job], outbox=[message]), said=said)
    assert said == [("feed", "t 1"), ("jobs", "1"), ("outbox", "1")]
