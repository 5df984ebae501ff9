"""Group commit of threads: each is answered, latecomers form the next group, and no failure leaves anybody waiting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ingest import committer
from gateway.ingest.direct import DirectCommitter
from gateway.ingest.refusal import StorageAway
from storage.ingest import Away, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SENDERS = 16


class _Line:
    """Stands for the connection."""

    async def connection(self) -> Any:
        return self

    async def release(self) -> None:
        return

    async def close(self) -> None:
        return


class _Rows:
    """Stands for the database's function; the first group waits until it may go on, so that others gather."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.under_way, self.go_on = threading.Event(), threading.Event()
        self.fails: set[int] = set()  # numbers of groups

    async def store_images(self, _conn: Any, arrivals: Sequence[Any]) -> list[Outcome]:
        self.groups.append([*arrivals])
        if len(self.groups) == 1:
            self.under_way.set()
            assert self.go_on.wait(20)
        if len(self.groups) in self.fails:
            raise Away("gone")
        return [Outcome(number, "stored", f"1.2.{arrival}", arrival) for number, arrival in enumerate(arrivals)]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> _Rows:
    made = _Rows()
    monkeypatch.setattr(committer, "store_images", made.store_images)
    return made


@pytest.fixture
def direct() -> Iterator[tuple[DirectCommitter, set[int]]]:
    told: set[int] = set()
    made = DirectCommitter(_Line(), told.update)  # type: ignore[arg-type]
    yield made, told
    made.close()


def _send(made: DirectCommitter, rows: _Rows) -> list[Any]:
    """Let one thread lead and the rest come while it does; return what each heard."""

    def one(number: int) -> Any:
        try:
            return made.commit(number)  # type: ignore[arg-type]
        except StorageAway as exc:
            return exc

    with ThreadPoolExecutor(SENDERS) as pool:
        first = pool.submit(one, 0)
        assert rows.under_way.wait(20)
        rest = [pool.submit(one, number) for number in range(1, SENDERS)]
        while len(made._waiting) < SENDERS - 1:
            threading.Event().wait(0.001)
        rows.go_on.set()
        return [each.result(20) for each in (first, *rest)]


def test_those_that_come_meanwhile_form_the_next_group(direct: tuple[DirectCommitter, set[int]], rows: _Rows) -> None:
    made, told = direct
    heard = _send(made, rows)
    assert [each.study_uid for each in heard] == [f"1.2.{number}" for number in range(SENDERS)]
    assert [len(group) for group in rows.groups] == [1, SENDERS - 1]
    assert told == set(range(SENDERS))


def test_a_group_that_fails_is_answered_and_the_next_one_is_led(
    direct: tuple[DirectCommitter, set[int]], rows: _Rows
) -> None:
    rows.fails = {1}
    made, told = direct
    heard = _send(made, rows)
    assert isinstance(heard[0], StorageAway)
    assert [each.study_uid for each in heard[1:]] == [f"1.2.{number}" for number in range(1, SENDERS)]
    assert told == set(range(1, SENDERS))


def test_one_thread_after_the_other_leads(direct: tuple[DirectCommitter, set[int]], rows: _Rows) -> None:
    rows.go_on.set()
    made, _ = direct
    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(made.commit, range(400)))  # type: ignore[arg-type]
    assert [each.shard for each in heard] == list(range(400))
    assert sorted(number for group in rows.groups for number in group) == list(range(400))
