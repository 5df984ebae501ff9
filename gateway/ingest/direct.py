"""Group commit for threads: who finds nobody committing does it herself, for all that wait; no other thread is woken.

One thread at a time speaks over the connection, the one that leads. With a single sender an image is committed without
changing threads; with several, those that come while a group is under way form the next.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.ingest.committer import GROUP, committed, grown, outcome
from gateway.ingest.refusal import StorageAway
from storage.line import at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ingest.committer import Answer
    from storage.ingest import Arrival, Outcome
    from storage.line import Line

_PATIENCE_S = 40.0


def _closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class _Waiting:
    """An image that waits; released without an answer, its thread is to lead."""

    arrival: Arrival
    answer: Answer | None = None
    told: threading.Lock = field(default_factory=_closed)


class DirectCommitter:
    """Commits what threads bring, up to 64 images at once.

    Args:
        line: as rr_ingest, not yet open; it is this committer's alone.
        announce: told the shards whose inbox has grown, after each commit; from any thread.
    """

    def __init__(self, line: Line, announce: Callable[[set[int]], None]) -> None:
        self._line, self._announce = line, announce
        self._lock, self._running = threading.Lock(), threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._led = False

    def open(self) -> None:
        """Connect; raises Away when the database is."""
        at_once(self._line.connection())

    def commit(self, arrival: Arrival) -> Outcome:
        """Commit and wait.

        Raises:
            Refused: with the status to answer.
        """
        mine = _Waiting(arrival)
        with self._lock:
            self._waiting.append(mine)
            lead, self._led = not self._led, True
        if not lead:
            self._wait(mine)
        if mine.answer is None:
            self._lead()
        if mine.answer is None:
            raise StorageAway("the database does not answer")
        return outcome(mine.answer)

    def close(self) -> None:
        """Give the connection back; nobody commits any more."""
        with self._running:
            at_once(self._line.close())

    def _wait(self, mine: _Waiting) -> None:
        if mine.told.acquire(timeout=_PATIENCE_S):
            return
        with self._lock:
            if mine in self._waiting and self._waiting[0] is not mine:
                self._waiting.remove(mine)
                raise StorageAway("the database does not answer")
        mine.told.acquire()  # it is being committed, or its thread is next: that has a bound

    def _lead(self) -> None:
        """Commit what waits, this thread's image first, and let the next in line lead."""
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        try:
            with self._running:
                answers = at_once(committed(self._line, [each.arrival for each in group]))
            if shards := grown(answers):
                self._announce(shards)
            for each, answer in zip(group, answers, strict=True):
                each.answer = answer
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._led = following is not None
            for each in group:
                if each.answer is None:
                    each.answer = StorageAway("the database does not answer")
                each.told.release()
            if following is not None:
                following.told.release()
