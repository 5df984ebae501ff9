"""One message at a time; a stale copy neither writes nor refuses; one entity's fault is its caller's alone."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from actors import cells
from actors.domain.commands import Accept, Envelope, StartReading
from actors.domain.errors import BadPayload, Expired, Failed, Overloaded, Retry, WrongStatus
from actors.domain.identity import Principal, study_key
from actors.domain.words import Role
from actors.mailbox import Mailbox, digest
from actors.told import Later
from storage.commit import Away, Deposed, Fenced, Late, Lost, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain.identity import Key

KEY = study_key("t", "1")
ADA = Principal("ada", "t", Role.RADIOLOGIST)


class Entity:
    """Answers as told; ``fresh`` says whether its memory is as new as the journal."""

    def __init__(self, *script: Exception | dict[str, Any], fresh: bool = True) -> None:
        self.script, self.fresh, self.forgot = list(script), fresh, 0
        self.log: list[str] = []

    async def handle(self, envelope: Envelope) -> dict[str, Any]:
        name = getattr(envelope.command, "offer_id", "")
        self.log.append(f"{name} in")
        await asyncio.sleep(0)
        self.log.append(f"{name} out")
        step = self.script.pop(0) if self.script else {"version": 1}
        if isinstance(step, Exception):
            raise step
        return step

    async def current(self) -> bool:
        return self.fresh

    def forget(self) -> None:
        self.forgot += 1
        self.fresh = True


class Answers:
    def __init__(self, found: Callable[[], tuple[bytes, dict[str, Any]] | None] = lambda: None) -> None:
        self.found = found
        self.aside: list[tuple[Key, Envelope, Exception]] = []

    async def set_aside(self, key: Key, envelope: Envelope, exc: Exception) -> None:
        self.aside.append((key, envelope, exc))

    async def find(self, _tenant_id: str, _user_id: str, _idem: str) -> tuple[bytes, dict[str, Any]] | None:
        return self.found()


def accept(offer_id: str = "o1", **more: Any) -> Envelope:
    return Envelope(Accept(offer_id), ADA, "i1", **more)


async def test_messages_do_not_interleave_and_keep_their_order() -> None:
    entity = Entity()
    box = Mailbox(KEY, entity, Answers())
    await asyncio.gather(*(box.ask(accept(n)) for n in "abc"))
    assert entity.log == ["a in", "a out", "b in", "b out", "c in", "c out"]


async def test_a_command_past_its_deadline_is_not_tried() -> None:
    entity = Entity()
    with pytest.raises(Expired):
        await Mailbox(KEY, entity, Answers()).ask(accept(deadline=time.time() - 1))
    assert entity.log == []


async def test_a_stale_owner_forgets_and_decides_again() -> None:
    entity = Entity(Fenced(), {"version": 7})
    assert await Mailbox(KEY, entity, Answers()).ask(accept()) == {"version": 7}
    assert entity.forgot == 1


async def test_an_unknown_outcome_is_looked_up_by_its_key() -> None:
    entity = Entity(Lost())
    answers = Answers(lambda: (digest(accept()), {"version": 3}))
    assert await Mailbox(KEY, entity, answers).ask(accept()) == {"version": 3}


async def test_the_key_of_another_command_is_a_mistake() -> None:
    answers = Answers(lambda: (digest(Envelope(StartReading())), {}))
    with pytest.raises(BadPayload) as caught:
        await Mailbox(KEY, Entity(Fenced()), answers).ask(accept())
    assert caught.value.fields == {"field": "idem"}


async def test_a_refusal_of_a_stale_copy_is_decided_again() -> None:
    entity = Entity(WrongStatus(), {"version": 2}, fresh=False)
    assert await Mailbox(KEY, entity, Answers()).ask(accept()) == {"version": 2}


async def test_a_refusal_of_the_owner_is_sent() -> None:
    entity = Entity(WrongStatus())
    with pytest.raises(WrongStatus):
        await Mailbox(KEY, entity, Answers()).ask(accept())
    assert entity.forgot == 0


@pytest.mark.parametrize("fault", [Away(), Deposed(), OSError(), Refused("40001 SerializationError")])
async def test_a_fault_is_its_callers_and_the_next_is_served(fault: Exception) -> None:
    entity = Entity(fault)
    box = Mailbox(KEY, entity, Answers())
    with pytest.raises(Retry):
        await box.ask(accept())
    assert await box.ask(accept()) == {"version": 1}
    assert entity.forgot == 1


@pytest.mark.parametrize("fault", [ZeroDivisionError(), Refused("23514 CheckViolationError"), KeyError("x")])
async def test_a_message_that_fails_also_on_fresh_memory_is_set_aside_and_the_next_is_served(fault: Exception) -> None:
    entity, office = Entity(fault, fault), Answers()
    box = Mailbox(KEY, entity, office)
    poison = asyncio.create_task(box.ask(accept("poison")))
    behind = asyncio.create_task(box.ask(accept("behind")))
    with pytest.raises(Failed):
        await poison
    assert await behind == {"version": 1}
    assert [(key, told.command) for key, told, _ in office.aside] == [(KEY, Accept("poison"))]
    assert entity.forgot == 2


async def test_one_that_fails_on_stale_memory_only_is_answered() -> None:
    entity, office = Entity(ZeroDivisionError(), {"version": 4}), Answers()
    assert await Mailbox(KEY, entity, office).ask(accept()) == {"version": 4}
    assert office.aside == []


async def test_who_is_fenced_again_and_again_is_told_to_retry() -> None:
    with pytest.raises(Retry):
        await Mailbox(KEY, Entity(*[Fenced()] * 9), Answers()).ask(accept())


async def test_images_that_are_put_off_are_not_a_fault() -> None:
    entity = Entity(Later(0.5))
    with pytest.raises(Later):
        await Mailbox(KEY, entity, Answers()).ask(accept())
    assert entity.forgot == 0


async def test_a_waiting_mailbox_is_not_idle() -> None:
    box = Mailbox(KEY, Entity(), Answers())
    asked = asyncio.create_task(box.ask(accept()))
    await asyncio.sleep(0)
    assert box.idle_s == 0
    await asked
    await asyncio.sleep(0.01)
    assert box.idle_s > 0


async def test_a_command_whose_deadline_passed_while_it_was_decided_is_refused_as_too_late() -> None:
    entity = Entity(Late())
    with pytest.raises(Expired):
        await Mailbox(KEY, entity, Answers()).ask(accept())
    assert entity.forgot == 1


async def test_too_many_messages_of_one_entity_are_refused_and_the_others_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cells, "_EACH", 3)
    held = cells.Cells(lambda key: Mailbox(key, Entity(), Answers()))
    asked = [held.ask(KEY, Envelope(Accept(n), ADA, n)) for n in "abc"]
    with pytest.raises(Overloaded):
        held.ask(KEY, Envelope(Accept("d"), ADA, "d"))
    other = held.ask(study_key("t", "2"), accept())
    assert await asyncio.gather(*asked, other) == [{"version": 1}] * 4
    await held.ask(KEY, accept("e"))


async def test_a_shard_is_settled_once_its_last_message_is_done() -> None:
    held = cells.Cells(lambda key: Mailbox(key, Entity(), Answers()))
    asked = [held.ask(KEY, accept(n)) for n in "abc"]
    assert not await held.settle(lambda key: key == KEY, 0)
    assert await held.settle(lambda key: key != KEY, 0)
    assert await held.settle(lambda key: key == KEY, 5)
    assert all(task.done() for task in asked)
    held.drop(lambda key: key == KEY)
    assert len(held) == 0


async def test_a_message_that_is_asked_again_meanwhile_is_taken_once() -> None:
    entity = Entity()
    held = cells.Cells(lambda key: Mailbox(key, entity, Answers()))
    asked = [held.ask(KEY, accept()) for _ in range(5)]
    other = held.ask(KEY, Envelope(Accept("o2"), ADA, "i1"))  # the same key for another command: not the same message
    assert await asyncio.gather(*asked) == [{"version": 1}] * 5
    await other
    assert entity.log == ["o1 in", "o1 out", "o2 in", "o2 out"]
    await held.ask(KEY, accept())
    assert len(entity.log) == 6
