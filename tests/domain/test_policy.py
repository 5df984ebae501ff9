"""A policy says what is wrong with it; what it leaves out keeps its default."""

from __future__ import annotations

from typing import Any

import pytest

from actors.domain.errors import BadPayload
from actors.domain.permissions import GRANTS, may
from actors.domain.policy import Policy, policy
from actors.domain.words import Priority, Role


def test_defaults_are_those_of_a_tenant_without_a_policy() -> None:
    assert policy({}) == Policy()
    assert Policy().sla[Priority.STAT].due_s == 1800
    assert policy(Policy().body()) == Policy()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"colour": 1}, "colour"),
        ({"offer_open_s": {"STAT": 0}}, "offer_open_s.STAT"),
        ({"offer_open_s": {"SOON": 1}}, "offer_open_s"),
        ({"sla": {"STAT": 5}}, "sla.STAT"),
        ({"sla": {"STAT": {"due_s": 5, "warn_s": 6}}}, "sla.STAT.warn_s"),
        ({"capacity": 0}, "capacity"),
        ({"assignment": {"colour": 1}}, "assignment.colour"),
        ({"assignment": {"batch_s": 0}}, "assignment.batch_s"),
        ({"assignment": {"order": "astrology"}}, "assignment.order"),
        ({"assignment": {"cost": {"weight": {"STAT": -1, "URGENT": 1, "ROUTINE": 1}}}}, "assignment.cost.weight.STAT"),
        ({"assignment": []}, "assignment"),
        ({"capacity": True}, "capacity"),
    ],
)
def test_a_wrong_policy_names_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadPayload) as refused:
        policy(body)
    assert refused.value.fields["field"] == field


def test_nobody_is_granted_what_is_not_in_the_table() -> None:
    assert not any(may(role, "make_coffee") for role in Role)
    assert not any(may(Role.OPERATOR, call) for call in GRANTS if call != "metrics")
    assert not may(Role.ADMIN, "accept")
    assert not may(Role.ADMIN, "sign")
