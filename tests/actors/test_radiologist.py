"""Connecting means online, unless she chose otherwise; who misses an offer is away."""

from __future__ import annotations

import pytest

from actors.domain.commands import ObservePresence, SetPresence
from actors.domain.errors import BadPayload
from actors.radiologist.actor import Attendance, attend
from actors.told import Missed

SEEN, GONE = ObservePresence(connected=True), ObservePresence(connected=False)


def after(*commands: object) -> str:
    attendance = Attendance()
    for command in commands:
        attendance = attend(attendance, command)
    return attendance.state


@pytest.mark.parametrize(
    ("commands", "state"),
    [
        ((), "off"),
        ((SEEN,), "online"),
        ((SEEN, GONE), "away"),
        ((SEEN, GONE, SEEN), "online"),
        ((SEEN, SetPresence("busy"), SEEN), "busy"),
        ((SEEN, SetPresence("busy"), GONE, SEEN), "online"),
        ((SEEN, SetPresence("off"), GONE), "off"),
        ((SEEN, SetPresence("reading")), "online"),
        ((SEEN, Missed("1")), "away"),
        ((SEEN, Missed("1"), SEEN), "away"),
        ((SEEN, Missed("1"), SetPresence("online")), "online"),
        ((SEEN, SetPresence("busy"), Missed("1")), "busy"),
        ((GONE,), "off"),
    ],
)
def test_presence_follows_choice_and_connection(commands: tuple[object, ...], state: str) -> None:
    assert after(*commands) == state


def test_no_other_presence_exists() -> None:
    with pytest.raises(BadPayload):
        attend(Attendance(), SetPresence("asleep"))
