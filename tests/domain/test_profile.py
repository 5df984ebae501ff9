"""A profile says what is wrong with it; what it leaves out does not bind; terms end with their day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actors.domain.assignment.case import Waiting
from actors.domain.assignment.rules import Rules
from actors.domain.assignment.table import ineligible
from actors.domain.errors import BadPayload
from actors.domain.profile import Profile, Term, profile
from actors.domain.roster import Kind, Shift, Span
from actors.domain.staff import Member, reader, spans
from actors.domain.words import Presence, Role

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
H = timedelta(hours=1)
UTC_ZONE, ONLINE = ZoneInfo("UTC"), Presence.ONLINE
WHOLE = {
    "licences": [{"jurisdiction": "us-me", "valid_from": "2024-01-01", "valid_to": "2026-12-31"},
                 {"jurisdiction": "NO", "valid_from": None, "valid_to": None}],
    "privileges": [{"site": "harbor", "valid_from": None, "valid_to": "2026-06-30"}],
    "subspecialties": {"Neuro": 3, "chest": 1},
    "modalities": {"CT": 2, "mr": 3},
    "capacity": 4,
    "conflicts": [{"about": "site", "of": "hill"}, {"about": "patient", "of": "p9"},
                  {"about": "referring_physician", "of": "pam"}],
}  # fmt: skip


def test_a_profile_is_what_its_document_says_and_says_it_again() -> None:
    made = profile(WHOLE)
    assert profile(made.body()) == made
    assert made.licences[0] == Term("US-ME", date(2024, 1, 1), date(2026, 12, 31))
    assert (dict(made.subspecialties), dict(made.modalities)) == ({"chest": 1, "neuro": 3}, {"CT": 2, "MR": 3})
    assert profile({}) == Profile()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"colour": 1}, "colour"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": True}, "capacity"),
        ({"licences": "US-ME"}, "licences"),
        ({"licences": [{}]}, "licences[0].jurisdiction"),
        ({"licences": [{"jurisdiction": "New York"}]}, "licences[0].jurisdiction"),
        ({"licences": [{"jurisdiction": "NO", "valid_from": "soon"}]}, "licences[0].valid_from"),
        ({"licences": [{"jurisdiction": "NO", "valid_from": "2026-02-01", "valid_to": "2026-01-01"}]},
         "licences[0].valid_to"),
        ({"privileges": [{"site": " "}]}, "privileges[0].site"),
        ({"subspecialties": ["neuro"]}, "subspecialties"),
        ({"subspecialties": {"neuro": 4}}, "subspecialties.neuro"),
        ({"modalities": {"C T": 2}}, "modalities.C T"),
        ({"conflicts": [{"about": "weather", "of": "x"}]}, "conflicts[0].about"),
        ({"conflicts": [{"about": "site", "of": ""}]}, "conflicts[0].of"),
    ],
)  # fmt: skip
def test_a_wrong_profile_names_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadPayload) as refused:
        profile(body)
    assert refused.value.fields["field"] == field


def test_a_licence_ends_with_its_last_day_where_the_group_is() -> None:
    where = ZoneInfo("America/New_York")
    terms = [Term("US-ME", date(2026, 5, 1), date(2026, 5, 1))]
    begins = datetime(2026, 5, 1, 4, tzinfo=UTC)
    [held] = spans(terms, where)["US-ME"]
    assert [held.holds((begins + d).timestamp()) for d in (-H, 0 * H, 23 * H, 24 * H)] == [False, True, True, False]


@pytest.mark.parametrize(
    "study", [{"site_id": "hill"}, {"referring": "pam"}, {"patient_id": "p9"}], ids=["site", "physician", "patient"]
)
def test_a_conflict_of_interest_forbids_a_study(study: dict[str, str]) -> None:
    ada = reader(Member("ada", "Ada", Role.RADIOLOGIST, Presence.ONLINE, profile(WHOLE)), 5, UTC_ZONE, NOW, ONLINE)
    usual = {"site_id": "harbor", "referring": "eve", "patient_id": "p1"}
    why = [ineligible(Waiting("1.2", **fields), ada, Rules(), NOW.timestamp(), 5) for fields in (usual, usual | study)]
    assert why == [None, "has a conflict of interest"]


def test_a_break_is_said_to_be_one() -> None:
    day = Shift(NOW - H, NOW + 2 * H, breaks=(Span(NOW, NOW + H),))
    ada = Member("ada", "Ada", Role.RADIOLOGIST, Presence.ONLINE, shifts=[day])
    case = Waiting("1.2")
    said = [
        ineligible(case, reader(ada, 5, UTC_ZONE, at, ONLINE), Rules(), at.timestamp(), 5)
        for at in (NOW - H / 2, NOW, NOW + H, NOW + 2 * H)
    ]
    assert said == [None, "is on a break", None, "is not on shift"]


def test_a_member_is_a_reader_with_her_hours_and_what_holds_now() -> None:
    day = Shift(NOW - H, NOW + H)
    ada = Member("ada", "Ada", Role.RADIOLOGIST, Presence.ONLINE, profile(WHOLE), [day])
    made = reader(ada, 5, ZoneInfo("UTC"), NOW, Presence.READING)
    assert (made.capacity, made.presence, made.shifts) == (
        4,
        Presence.READING,
        ((NOW.timestamp(), (NOW + H).timestamp()),),
    )
    assert reader(ada, 5, ZoneInfo("UTC"), NOW + H, Presence.ONLINE).shifts == ()
    sam = Member("sam", "Sam", Role.RESIDENT, Presence.OFF, shifts=[Shift(NOW, NOW + H, Kind.ON_CALL)])
    assert reader(sam, 5, ZoneInfo("UTC"), NOW, Presence.OFF).may_sign_final is False
    assert sam.standing(NOW).on_call


def test_what_the_feed_tells_changes_with_capacity_name_and_shift() -> None:
    day = Shift(NOW - H, NOW + H)
    ada = Member("ada", "Ada", Role.RADIOLOGIST, Presence.ONLINE, shifts=[day])
    told = ada.shown(5, NOW)
    assert told == ada.shown(5, NOW + H / 2)
    off = Member("ada", "Ada", Role.RADIOLOGIST, Presence.ONLINE, shifts=[day], absences=[Span(NOW, NOW + H)])
    news = [ada.shown(6, NOW), ada.shown(5, NOW + H), off.shown(5, NOW)]
    assert told not in news
    assert len(set(news)) == 2  # a shift that is over and an absence look alike


def test_a_term_to_the_end_of_the_calendar_never_ends() -> None:
    for name in ("Asia/Tokyo", "America/New_York"):
        assert Term("US-ME", date.min, date.max).span(ZoneInfo(name)) == (None, None)
