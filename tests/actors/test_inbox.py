"""Images are told of once they are stored; a study hears of many at once, and what it puts off stays in the inbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors import inbox as module
from actors.domain.commands import Envelope, ImagesArrived, Patient
from actors.domain.errors import Failed, Retry, WrongStatus
from actors.inbox import Inbox, fold
from actors.told import Later
from storage.inbox import Entry, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import pytest

    from actors.domain.identity import Key

PATIENT = Patient("p", "X^Y", "1", "i", "", "")


def entry(n: int, uid: str = "1", **body: Any) -> Entry:
    return Entry(n, "t", uid, {"kind": "images", "site_id": "s", "patient_id": "p", **body})


def test_the_newest_word_counts_and_one_quiet_sender_is_enough() -> None:
    folded = fold(
        [entry(1, modality="CT", body_part="HEAD"), entry(2, modality="", kind="quiet", body_part="NECK")],
        7,
        9,
        PATIENT,
    )
    assert (folded.modality, folded.body_part, folded.quiet, folded.apart) == ("CT", "NECK", True, False)
    assert (folded.received, folded.inbox_ids) == (7, (1, 2))
    assert folded.expected == 9


class Rows:
    def __init__(self, *entries: Entry) -> None:
        self.entries, self.told = list(entries), list[ImagesArrived]()
        self.script: list[Exception] = []
        self.poison = set[int]()
        self.parked: list[tuple[tuple[int, ...], int]] = []
        self.inbox = Inbox(self, self.ask)

    async def waiting(self, held: Collection[tuple[str, str]]) -> list[Entry]:
        return [e for e in self.entries if (e.tenant_id, e.study_uid) not in held]

    async def stored(self, studies: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
        return {s: Stored(3, None, PATIENT) for s in studies if s[1] != "lost"}

    async def park(self, _key: Key, inbox_ids: Sequence[int], _exc: Exception, tries: int) -> None:
        self.parked.append((tuple(inbox_ids), tries))
        self.entries = [e for e in self.entries if e.inbox_id not in inbox_ids]

    async def ask(self, _key: Key, envelope: Envelope) -> None:
        command = envelope.command
        assert isinstance(command, ImagesArrived)
        if self.script:
            raise self.script.pop(0)
        if self.poison & set(command.inbox_ids):
            raise Failed
        self.told.append(command)
        self.entries = [e for e in self.entries if e.inbox_id not in command.inbox_ids]

    async def run(self, seconds: float) -> list[tuple[int, ...]]:
        self.inbox.start()
        self.inbox.wake()
        await asyncio.sleep(seconds)
        await self.inbox.stop()
        return [t.inbox_ids for t in self.told]


async def test_a_study_hears_once_of_all_that_waits() -> None:
    assert sorted(await Rows(entry(1), entry(2), entry(3, "2")).run(0.05)) == [(1, 2), (3,)]


async def test_what_is_put_off_is_told_later_together_with_the_rest() -> None:
    rows = Rows(entry(1))
    rows.script = [Later(0.05)]
    rows.inbox.start()
    rows.inbox.wake()
    await asyncio.sleep(0.02)
    rows.entries.append(entry(2))
    assert await rows.run(0.1) == [(1, 2)]


async def test_a_part_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.02)
    rows = Rows(entry(1))
    rows.script = [Retry(), Retry()]
    assert await rows.run(0.2) == [(1,)]


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.01)


async def test_a_bad_entry_is_parked_after_three_tries_and_all_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.02)
    rows = Rows(*(entry(n) for n in range(1, 6)), entry(9, "2"))
    rows.poison = {3}
    rows.inbox.start()
    rows.inbox.wake()
    await until(lambda: not rows.entries)
    await rows.inbox.stop()
    assert rows.parked == [((3,), 3)]
    assert sorted(i for told in rows.told for i in told.inbox_ids) == [1, 2, 4, 5, 9]
    assert rows.told[0].inbox_ids == (9,)  # who has no bad entry does not wait


async def test_images_that_are_refused_or_not_there_are_parked_and_stop_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.02)
    rows = Rows(entry(1), entry(2, "2"), entry(3, "lost"))
    rows.script = [WrongStatus() for _ in range(3)]
    rows.entries.pop(1)
    rows.inbox.start()
    rows.inbox.wake()
    await until(lambda: len(rows.parked) == 2)
    rows.entries.append(entry(2, "2"))
    rows.inbox.wake()
    await until(lambda: rows.told)
    await rows.inbox.stop()
    assert sorted(rows.parked) == [((1,), 3), ((3,), 3)]


async def test_without_a_nudge_the_sweep_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SWEEP_S", 0.05)
    rows = Rows(entry(1))
    rows.inbox.start()
    await asyncio.sleep(0.15)
    await rows.inbox.stop()
    assert len(rows.told) == 1
