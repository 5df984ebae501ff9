"""The seams through which the production classes are driven: their clock, their ids, and a log that says nothing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import actors.mailbox
import actors.radiologist.actor
import actors.study.actor
import actors.study.lookup
import actors.tenant.actor
from tests.chaos.model.night import Night

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.chaos.model.store import Rules

_LOGS = (actors.mailbox, actors.radiologist.actor, actors.study.actor, actors.tenant.actor)
_IDS = tuple(
    f"actors.{place}.uuid7" for place in ("study.lookup", "tenant.actor", "tenant.persons", "tenant.experience")
)
_CLOCKS = (
    "actors.mailbox.time", "actors.mailbox.monotonic", "actors.study.actor.monotonic", "actors.tenant.muster.monotonic",
)  # fmt: skip


class _Silent:
    """A log and a meter that nobody reads."""

    def __getattr__(self, _name: str) -> Any:
        return self

    def __getitem__(self, _name: str) -> Any:
        return self

    def __call__(self, *_a: object, **_k: object) -> Any:
        return self


class _InTurn:
    """What ``asyncio.gather`` does, without a loop: one after the other."""

    async def gather(self, *work: Any, return_exceptions: bool) -> list[Any]:
        assert return_exceptions
        done: list[Any] = []
        try:
            for one in work:
                try:
                    done.append(await one)
                except Exception as exc:  # noqa: BLE001 - it is returned
                    done.append(exc)
        finally:
            for one in work[len(done) :]:
                one.close()
        return done


class _Clock:
    """The clock of the night that is being lived."""

    night: Night | None = None

    def __call__(self) -> float:
        return self.night.store.now.timestamp() if self.night else 0.0


@contextmanager
def driven() -> Iterator[_Clock]:
    """Let the actors take time and ids from the model."""
    clock, ids = _Clock(), count()
    with ExitStack() as stack:
        for module in _LOGS:
            stack.enter_context(patch.object(module, "log", _Silent()))
            stack.enter_context(patch.object(module, "meters", _Silent()))
        stack.enter_context(patch("actors.tenant.notices.asyncio", _InTurn()))
        for place in _CLOCKS:
            stack.enter_context(patch(place, clock))
        for place in _IDS:
            stack.enter_context(patch(place, lambda: f"id-{next(ids)}"))
        yield clock


def live(seeds: Iterable[int], rules: Rules | None = None, *, most_wrong: int = 10) -> tuple[int, int, list[str]]:
    """Live a night for each seed, until too many go wrong; return how many, their events, and what was wrong."""
    nights = events = 0
    wrong: list[str] = []
    with driven() as clock:
        for seed in seeds:
            clock.night = night = Night(seed, rules)
            nights += 1
            try:
                night.run()
            except Exception as exc:  # noqa: BLE001 - told with the seed that shows it again
                wrong.append(f"seed {seed}: {type(exc).__name__} {exc}")
            events += len(night.store.journal)
            if len(wrong) >= most_wrong:
                break
    return nights, events, wrong
