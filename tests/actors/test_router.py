"""Many asks travel together; a lost call is tried again under the same key, and no command outlives its deadline."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from actors import router as module
from actors.domain.commands import Accept, Envelope, SetPresence
from actors.domain.errors import Expired, Overloaded, ReadingRoomError, Retry, WrongStatus
from actors.domain.identity import Principal, study_key
from actors.domain.words import Role
from actors.router import Router, Unreachable
from actors.told import Misplaced, Unfinished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.identity import Key

ADA = Principal("ada", "t", Role.RADIOLOGIST)


class Host:
    """A transport that loses its first calls."""

    def __init__(self, *, lose: int = 0, hang: int = 0, refuse: ReadingRoomError | None = None) -> None:
        self.lose, self.hang, self.refuse = lose, hang, refuse
        self.calls: list[tuple[str, list[Envelope]]] = []

    async def call(self, host: str, asked: Sequence[tuple[Key, Envelope]]) -> list[dict[str, Any] | ReadingRoomError]:
        self.calls.append((host, [e for _, e in asked]))
        await asyncio.sleep(0.001)
        if self.lose:
            self.lose -= 1
            raise Unreachable
        if self.hang:
            self.hang -= 1
            await asyncio.sleep(60)
        return [self.refuse or {"n": i} for i, _ in enumerate(asked)]


class Where:
    """Directions that are right but for the first ``wrong`` looks."""

    def __init__(self, hosts: int = 1, *, wrong: int = 0) -> None:
        self.hosts, self.wrong, self.doubts = hosts, wrong, 0

    def owner(self, key: Key) -> str | None:
        return None if self.wrong else str(key.shard % self.hosts)

    def doubt(self) -> None:
        self.doubts += 1
        self.wrong = max(self.wrong - 1, 0)


async def test_what_waits_travels_together() -> None:
    host = Host()
    router = Router(host, Where())
    await asyncio.gather(*(router.ask(study_key("t", str(n)), Envelope(Accept("o"))) for n in range(900)))
    assert len(host.calls) < 60
    assert max(len(asked) for _, asked in host.calls) == 25


async def test_each_entity_has_one_host() -> None:
    host = Host()
    router = Router(host, Where(3))
    keys = [study_key("t", str(n)) for n in range(30)]
    await asyncio.gather(*(router.ask(k, Envelope(Accept(k.name))) for k in keys))
    places = {e.command.offer_id: place for place, asked in host.calls for e in asked}  # type: ignore[union-attr]
    assert places == {k.name: str(k.shard % 3) for k in keys}


async def test_a_lost_call_is_tried_again_under_the_same_key() -> None:
    host = Host(lose=2)
    assert await Router(host, Where()).ask(study_key("t", "1"), Envelope(Accept("o"), ADA)) == {"n": 0}
    keys = {e.idem for _, asked in host.calls for e in asked}
    assert len(host.calls) == 3
    assert len(keys) == 1
    assert keys != {None}


async def test_a_call_that_hangs_is_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_S", 0.05)
    host = Host(hang=1)
    assert await Router(host, Where()).ask(study_key("t", "1"), Envelope(Accept("o"), ADA, "mine")) == {"n": 0}
    assert [e.idem for _, asked in host.calls for e in asked] == ["mine", "mine"]


async def test_a_host_that_stays_away_is_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AWAY_S", 0.2)
    with pytest.raises(Retry):
        await Router(Host(lose=1000), Where()).ask(study_key("t", "1"), Envelope(SetPresence("busy"), ADA))


async def test_no_command_outlives_its_deadline() -> None:
    with pytest.raises((Expired, Retry)):
        await Router(Host(lose=1000), Where()).ask(
            study_key("t", "1"), Envelope(Accept("o"), ADA, deadline=time.time() + 0.1)
        )
    with pytest.raises(Expired):
        await Router(Host(), Where()).ask(study_key("t", "1"), Envelope(Accept("o"), ADA, deadline=time.time() - 1))


async def test_refusals_come_back_as_what_they_are() -> None:
    with pytest.raises(WrongStatus, match="no"):
        await Router(Host(refuse=WrongStatus("no")), Where()).ask(study_key("t", "1"), Envelope(Accept("o")))


async def test_too_much_at_once_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUEUED", 5)
    router = Router(Host(), Where())
    asks = [router.ask(study_key("t", "1"), Envelope(Accept(str(n)))) for n in range(20)]
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(r, Overloaded) for r in results) > 0
    assert sum(isinstance(r, dict) for r in results) >= 5


async def test_who_is_not_where_the_placement_said_is_looked_for_again() -> None:
    where = Where(wrong=2)
    assert await Router(Host(), where).ask(study_key("t", "1"), Envelope(Accept("o"), ADA)) == {"n": 0}
    assert where.doubts == 2


async def test_a_host_that_does_not_hold_the_entity_any_more_is_asked_no_second_time_in_vain() -> None:
    class Moving(Host):
        async def call(self, host: str, asked: Sequence[tuple[Key, Envelope]]) -> list[Any]:
            self.calls.append((host, [e for _, e in asked]))
            return [Misplaced() if host == "0" else {"at": host} for _ in asked]

    class Changed(Where):
        def owner(self, key: Key) -> str | None:
            return "1" if self.doubts else "0"

    host = Moving()
    assert await Router(host, Changed()).ask(study_key("t", "1"), Envelope(Accept("o"), ADA)) == {"at": "1"}
    assert [at for at, _ in host.calls] == ["0", "1"]
    assert len({e.idem for _, asked in host.calls for e in asked}) == 1


async def test_a_slow_answer_holds_up_no_other_of_its_call() -> None:
    class Slow(Host):
        async def call(self, host: str, asked: Sequence[tuple[Key, Envelope]]) -> list[Any]:
            self.calls.append((host, [e for _, e in asked]))
            first = len(self.calls) == 1
            return [Unfinished() if first and key.name == "slow" else {"n": key.name} for key, _ in asked]

    host = Slow()
    router = Router(host, Where())
    answers = await asyncio.gather(
        *(router.ask(study_key("t", n), Envelope(Accept(n), ADA)) for n in ("slow", "quick"))
    )
    assert answers == [{"n": "slow"}, {"n": "quick"}]
    assert len(host.calls) == 2
