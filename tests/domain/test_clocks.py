"""Clock rules are data: they say what is wrong with them, and come back as they were given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.domain.clocks import Rung, rungs_at
from actors.domain.errors import BadPayload
from actors.domain.policy import policy
from actors.domain.words import Priority

OFFICE: dict[str, Any] = {
    "time_zone": "Europe/Berlin",
    "hours": {"mon": ["08:00-12:00", "13:00-24:00"], "tue": ["00:00-06:00"]},
    "holidays": ["2026-12-25"],
}
RULES: dict[str, Any] = {
    "calendars": {"office": OFFICE},
    "calendar": {"ROUTINE": "office"},
    "pause": {"reasons": ["waiting for priors"], "most_s": 3600.0},
    "escalation": {
        "STAT": [
            {"share": 0.5, "tell": ["reader"], "priority": None},
            {"before_due_s": 300.0, "tell": ["reader", "on_call"], "priority": None},
            {"after_due_s": 0.0, "tell": ["managers"], "priority": "STAT"},
        ]
    },
}


def test_rules_come_back_as_they_were_given() -> None:
    assert policy({"clock": RULES}).clock.body() == RULES
    assert policy(policy({"clock": RULES}).body()) == policy({"clock": RULES})
    assert policy({"clock": RULES}).clock.hours(Priority.STAT) is None
    assert policy({"clock": RULES}).clock.hours(Priority.ROUTINE) is not None


def office(**changed: Any) -> dict[str, Any]:
    return {"calendars": {"office": OFFICE | changed}}


@pytest.mark.parametrize(
    ("clock", "field"),
    [
        (5, "clock"),
        ({"zone": "x"}, "clock.zone"),
        ({"calendars": {str(i): OFFICE for i in range(51)}}, "clock.calendars"),
        (office(time_zone="Berlin"), "clock.calendars.office.time_zone"),
        (office(time_zone="../etc"), "clock.calendars.office.time_zone"),
        (office(time_zone=None), "clock.calendars.office.time_zone"),
        (office(hours={"mo": []}), "clock.calendars.office.hours.mo"),
        (office(hours={"mon": ["8-12"]}), "clock.calendars.office.hours.mon.0"),
        (office(hours={"mon": ["22:00-06:00"]}), "clock.calendars.office.hours.mon.0"),
        (office(hours={"mon": ["08:00-12:00", "11:00-13:00"]}), "clock.calendars.office.hours.mon"),
        (office(hours={"mon": "all"}), "clock.calendars.office.hours.mon"),
        (office(hours={"mon": ["08:00-08:30"]}), "clock.calendars.office.hours"),
        (office(holidays=["Christmas"]), "clock.calendars.office.holidays.0"),
        ({"calendar": {"ROUTINE": "office"}}, "clock.calendar.ROUTINE"),
        ({"calendar": {"SOON": "office"}}, "clock.calendar"),
        ({"pause": {"reasons": [" "]}}, "clock.pause.reasons.0"),
        ({"pause": {"most_s": 0}}, "clock.pause.most_s"),
        ({"escalation": {"STAT": [{"tell": ["reader"]}]}}, "clock.escalation.STAT.0"),
        ({"escalation": {"STAT": [{"share": 1, "after_due_s": 1}]}}, "clock.escalation.STAT.0"),
        ({"escalation": {"STAT": [{"share": 1.5, "tell": ["reader"]}]}}, "clock.escalation.STAT.0.share"),
        ({"escalation": {"STAT": [{"after_due_s": -1, "tell": []}]}}, "clock.escalation.STAT.0.after_due_s"),
        ({"escalation": {"STAT": [{"after_due_s": 1, "tell": ["all"]}]}}, "clock.escalation.STAT.0.tell"),
        ({"escalation": {"STAT": [{"after_due_s": 1, "priority": "NOW"}]}}, "clock.escalation.STAT.0.priority"),
        ({"escalation": {"STAT": [{"after_due_s": 1}]}}, "clock.escalation.STAT.0"),
        ({"pause": {"reasons": [5]}}, "clock.pause.reasons.0"),
    ],
)
def test_a_wrong_rule_names_the_field(clock: object, field: str) -> None:
    with pytest.raises(BadPayload) as refused:
        policy({"clock": clock})
    assert refused.value.fields["field"] == field


def test_a_ladder_is_climbed_in_the_order_of_time() -> None:
    due_at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    late, half = Rung(after_due_s=60, tell=("managers",)), Rung(share=0.5, tell=("reader",))
    soon = Rung(before_due_s=9999, tell=("reader",))  # longer than the whole time: at the start
    minute = timedelta(minutes=1)
    assert rungs_at((late, half, soon), None, 1800, due_at) == [
        (due_at - 30 * minute, soon), (due_at - 15 * minute, half), (due_at + minute, late),
    ]  # fmt: skip


def test_the_page_of_clocks_shows_rules_that_hold() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clocks.md").read_text()
    shown = json.loads(page.partition("```json")[2].partition("```")[0])
    rules = policy(shown).clock
    assert [rung.tell for rung in rules.escalation[Priority.STAT]][-1] == ("on_call", "managers")
    assert rules.hours(Priority.ROUTINE) is not None
    assert rules.pause.most_s == 7200
