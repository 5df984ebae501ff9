"""A policy comes into force by steps; two policies differ where their values do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import WrongStatus
from actors.domain.trial import MOVES, Mode, differences, move

ALLOWED = {
    Mode.DRAFT: {Mode.SHADOW, Mode.BY_DAY, Mode.LIVE},
    Mode.SHADOW: {Mode.DRAFT, Mode.BY_DAY, Mode.LIVE},
    Mode.BY_DAY: {Mode.DRAFT, Mode.SHADOW, Mode.LIVE},
    Mode.LIVE: {Mode.LIVE},
}


@pytest.mark.parametrize("now", list(Mode))
@pytest.mark.parametrize("to", list(Mode))
@pytest.mark.parametrize("in_force", [True, False])
def test_a_version_goes_only_where_it_may(now: Mode, to: Mode, in_force: bool) -> None:  # noqa: FBT001
    allowed = to in ALLOWED[now]
    if allowed:
        move(3, now, to, in_force=in_force)
    else:
        with pytest.raises(WrongStatus) as refused:
            move(3, now, to, in_force=in_force)
        assert refused.value.fields["field"] == "mode"
        assert ("another version live" in str(refused.value)) == (now is Mode.LIVE and in_force)
    assert set(MOVES) == set(Mode)


def test_differences_name_the_value_by_its_path() -> None:
    before = {"capacity": 5, "sla": {"STAT": {"due_s": 1800.0}}, "gone": [1]}
    after = {"capacity": 6, "sla": {"STAT": {"due_s": 900.0}}, "new": True}
    assert differences(before, after) == [
        {"path": "capacity", "before": 5, "after": 6},
        {"path": "gone", "before": [1], "after": None},
        {"path": "new", "before": None, "after": True},
        {"path": "sla.STAT.due_s", "before": 1800.0, "after": 900.0},
    ]


values = st.recursive(
    st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(values, values)
def test_what_is_alike_differs_in_nothing_and_the_way_back_is_the_reverse(before: Any, after: Any) -> None:
    assert differences(before, before) == []
    there, back = differences(before, after), differences(after, before)
    assert [(d["path"], d["after"], d["before"]) for d in back] == [(d["path"], d["before"], d["after"]) for d in there]
    assert bool(there) == (before != after)
