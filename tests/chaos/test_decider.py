"""The decider in each of its states, and each message it can be told: one row a message."""

from __future__ import annotations

from typing import Any

import pytest

from actors.domain import commands as c
from actors.domain.errors import ReadingRoomError
from actors.domain.identity import tenant_key
from actors.domain.words import Role
from actors.tenant.actor import TenantActor
from actors.told import FORWARD, Changed, ReaderChanged, Spent, Tick
from tests.chaos.good import SIGNED, Told
from tests.chaos.model.clockwork import driven
from tests.chaos.model.night import MAX, Principal
from tests.chaos.model.store import TENANT

KEY = tenant_key(TENANT)
ADA = Principal("r0", TENANT, Role.RADIOLOGIST)

MESSAGES: dict[str, Any] = {
    "a study changed": lambda n: c.Envelope(Changed(n.store.study(SIGNED))),  # type: ignore[arg-type]
    "a reader changed": lambda _: c.Envelope(ReaderChanged("r0", "online", 1)),  # type: ignore[arg-type]
    "a grant is spent": lambda _: c.Envelope(Spent(SIGNED, "x")),  # type: ignore[arg-type]
    "tick": lambda _: c.Envelope(Tick()),  # type: ignore[arg-type]
    "next case": lambda _: c.Envelope(c.NextCase(), ADA, "i1"),
    "assign": lambda n: c.Envelope(
        c.AssignStudy(SIGNED, "r0", n.store.study(SIGNED).step, "x", override=True), MAX, "i2"
    ),
    "assign to a stranger": lambda _: c.Envelope(c.AssignStudy(SIGNED, "nobody", 1, "x"), MAX, "i3"),
    "midnight": lambda n: c.Envelope(c.FireTimer("midnight", 0, n.store.now)),
    "accept": lambda _: c.Envelope(c.Accept("x"), ADA, "i4"),
}
# what comes of it: the epochs taken, then the answer, a refusal or who is asked next
ROWS: dict[str, dict[str, str]] = {
    "a study changed": {"asleep": "+1 {}", "deciding": "+0 {}", "deposed": "+1 {}", "long deposed": "+1 {}"},
    "a reader changed": {"asleep": "+1 {}", "deciding": "+0 {}", "deposed": "+1 {}", "long deposed": "+1 {}"},
    "a grant is spent": {"asleep": "+1 {}", "deciding": "+0 {}", "deposed": "+1 {}", "long deposed": "+1 {}"},
    "tick": {"asleep": "+1 {}", "deciding": "+0 {}", "deposed": "+0 {}", "long deposed": "+1 {}"},
    "next case": {"asleep": "+1 study", "deciding": "+0 study", "deposed": "+1 study", "long deposed": "+1 study"},
    "assign": {"asleep": "+1 study", "deciding": "+0 study", "deposed": "+1 study", "long deposed": "+1 study"},
    "assign to a stranger": {
        "asleep": "+1 not_found", "deciding": "+0 not_found", "deposed": "+1 not_found", "long deposed": "+1 not_found",
    },
    "midnight": {"asleep": "+0 {}", "deciding": "+0 {}", "deposed": "+0 {}", "long deposed": "+0 {}"},
    "accept": {
        "asleep": "+1 bad_payload", "deciding": "+0 bad_payload", "deposed": "+1 bad_payload",
        "long deposed": "+1 bad_payload",
    },
}  # fmt: skip
STATES = ("asleep", "deciding", "deposed", "long deposed")


def run(coroutine: Any) -> Any:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def decider(night: Told, state: str) -> TenantActor:
    """A decider in one of its states, over a group with one study that waits."""
    for person in night.store.people.values():
        person.state = "busy"  # nobody is offered anything, who asks is given it
    night.arrive(SIGNED)
    night.deliver(night.net.pop(0), 0)
    night.net.clear()
    actor = TenantActor(KEY, night.hosts[0])
    if state != "asleep":
        run(actor.handle(c.Envelope(Tick())))  # type: ignore[arg-type]
    if "deposed" in state:
        night.store._bump(TENANT)
        run(actor.handle(c.Envelope(Tick())))  # type: ignore[arg-type]
    if state == "long deposed":
        night.store.later(11)
    night.store.set_cap("r0", 2)
    return actor


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("message", MESSAGES)
def test_a_decider_takes_each_message_as_its_state_says(message: str, state: str) -> None:
    with driven() as clock:
        night = clock.night = Told()
        actor = decider(night, state)
        before = night.store.epoch
        try:
            answer = run(actor.handle(MESSAGES[message](night)))
            said = answer[FORWARD][0].kind if FORWARD in answer else str(answer)
        except ReadingRoomError as refusal:
            said = refusal.code
        night.hosts[0].die()  # what it began beside its mailbox
        assert f"+{night.store.epoch - before} {said}" == ROWS[message][state]


def test_every_pair_has_its_row() -> None:
    assert set(ROWS) == set(MESSAGES)
    assert all(set(row) == set(STATES) for row in ROWS.values())
