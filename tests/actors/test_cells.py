"""Entities in memory: bounded, and those go first that had no message for longest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors import cells
from actors.cells import Cells
from actors.domain.commands import Envelope, PauseClock
from actors.domain.identity import study_key, tenant_key
from actors.mailbox import Mailbox

if TYPE_CHECKING:
    import pytest

    from actors.domain.identity import Key


class _Entity:
    """Answers when it may."""

    def __init__(self, key: Key, gate: asyncio.Event | None = None) -> None:
        self._key, self._gate = key, gate

    async def handle(self, _: Envelope) -> dict[str, Any]:
        if self._gate is not None:
            await self._gate.wait()
        return {}

    async def current(self) -> bool:
        return True

    def forget(self) -> None:
        """Nothing is kept."""


class _Office:
    async def find(self, *_: str) -> None:
        return None

    async def set_aside(self, *_: object) -> None:
        """Nothing fails here."""


def _cells(made: list[str], gates: dict[str, asyncio.Event]) -> Cells:
    def make(key: Key) -> Mailbox:
        made.append(key.name)
        return Mailbox(key, _Entity(key, gates.get(key.name)), _Office())

    return Cells(make)


async def test_the_longest_idle_entity_makes_room_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_RESIDENT", 3)
    made: list[str] = []
    held = _cells(made, {})
    for name in ("a", "b", "c", "a", "d", "a", "b"):
        await held.ask(study_key("t", name), Envelope(PauseClock(1, "")))
    assert len(held) == 3
    assert made == ["a", "b", "c", "d", "b"]


async def test_who_has_a_message_and_who_decides_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_RESIDENT", 2)
    gates, made = {"busy": asyncio.Event()}, list[str]()
    held = _cells(made, gates)
    waiting = held.ask(study_key("t", "busy"), Envelope(PauseClock(1, "")))
    for key in (tenant_key("t"), study_key("t", "x"), study_key("t", "y"), tenant_key("t")):
        await held.ask(key, Envelope(PauseClock(1, "")))
    gates["busy"].set()
    await waiting
    await held.ask(study_key("t", "busy"), Envelope(PauseClock(1, "")))
    assert made == ["busy", "t", "x", "y"]
