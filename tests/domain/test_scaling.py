"""More hosts are asked for at once; fewer after it was calm, and not fewer than the calm had at its height."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.scaling import CALM_S, STUDIES_A_HOST, WAITING_A_HOST, Wish, needed, wish


@pytest.mark.parametrize(
    ("studies", "waiting", "hosts", "need"),
    [
        (0, 0, 1, 1),
        (0, 0, 4, 1),
        (STUDIES_A_HOST, 0, 1, 1),
        (STUDIES_A_HOST + 1, 0, 1, 2),
        (5 * STUDIES_A_HOST, 0, 2, 5),
        (0, WAITING_A_HOST, 1, 1),
        (0, WAITING_A_HOST + 1, 1, 2),
        (0, 2 * WAITING_A_HOST, 2, 1),
        (0, 2 * WAITING_A_HOST + 1, 2, 3),
    ],
)
def test_studies_and_a_queue_ask_for_hosts(studies: int, waiting: int, hosts: int, need: int) -> None:
    assert needed(studies, waiting, hosts) == need


def test_more_are_asked_for_at_once_and_fewer_after_it_was_calm() -> None:
    asked = wish(Wish(), 4, 10.0)
    assert asked == Wish(4, 10.0)
    for at in (20.0, 10.0 + CALM_S - 1):
        asked = wish(asked, 2 if at == 20.0 else 1, at)
        assert asked.hosts == 4
    asked = wish(asked, 1, 10.0 + CALM_S)
    assert asked.hosts == 2  # the most that the calm needed
    assert wish(asked, 1, 10.0 + 2 * CALM_S).hosts == 1


def test_a_load_that_comes_and_goes_changes_nothing() -> None:
    asked = wish(Wish(), 3, 0.0)
    for n in range(100):
        asked = wish(asked, 3 if n % 5 == 0 else 1, n * CALM_S / 6)
        assert asked.hosts == 3


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0.1, 2 * CALM_S)), max_size=60))
def test_never_fewer_than_needed_and_never_more_than_the_most_that_was(steps: list[tuple[int, float]]) -> None:
    asked, at, most = Wish(), 0.0, 1
    for need, later in steps:
        at, most = at + later, max(most, need)
        asked = wish(asked, need, at)
        assert need <= asked.hosts <= most
