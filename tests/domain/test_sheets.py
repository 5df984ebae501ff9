"""A sheet is read whole or says where, what and how to cure it; nothing that somebody may upload breaks it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.domain import sheets
from actors.domain.profile import Profile, profile
from actors.domain.roster import Kind, Span
from actors.domain.sheets import READER_COLUMNS, ROWS_MOST, SHIFT_COLUMNS

OSLO = ZoneInfo("Europe/Oslo")
ADA = {"ada@x.org": Profile(capacity=4).body()}
IDS = {"ada@x.org": "ada"}


def where(wrong: list[sheets.Wrong]) -> list[tuple[int, str]]:
    return [(w.line, w.column) for w in wrong]


def test_what_a_column_does_not_say_stays_and_an_empty_cell_empties() -> None:
    made, wrong = sheets.readers("\ufeffEmail, licences\nADA@x.org,US-ME; NO ..2026-12-31\n\n", ADA)
    assert wrong == []
    [(line, email, body)] = made
    assert (line, email, body["capacity"]) == (2, "ada@x.org", 4)
    assert [(t["jurisdiction"], t["valid_to"]) for t in body["licences"]] == [("US-ME", None), ("NO", "2026-12-31")]
    [(_, _, emptied)], _ = sheets.readers("email,capacity\nada@x.org,\n", ADA)
    assert emptied["capacity"] is None


def test_every_part_of_a_reader_has_a_column() -> None:
    row = 'ada@x.org,US-ME,harbor 2024-01-01..,neuro=3; chest,CT=3,7,"site=hill; patient=p9"'
    [(_, _, body)], wrong = sheets.readers(f"{','.join(READER_COLUMNS)}\n{row}", ADA)
    assert wrong == []
    made = profile(body)
    assert (made.subspecialties, made.capacity, len(made.conflicts)) == ({"chest": 2, "neuro": 3}, 7, 2)
    assert made.privileges[0].of == "harbor"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [(1, "")]),
        ("name\nx", [(1, "name"), (1, "email")]),
        ("email,email\nada@x.org,ada@x.org", [(1, "email")]),
        ('email\n"x', [(1, "")]),
        ("email,capacity\nada@x.org", [(2, "")]),
        ("email,capacity\nada@x.org,many\neve@x.org,3", [(2, "capacity"), (3, "email")]),
        ("email,modalities,conflicts\nada@x.org,CT=x,moon=1", [(2, "modalities"), (2, "conflicts")]),
        ("email\nada@x.org\nADA@x.org", [(3, "email")]),
        ("email\n" + "ada@x.org\n" * (ROWS_MOST + 1), [(ROWS_MOST + 2, "")]),
    ],
)
def test_a_wrong_sheet_says_where(text: str, places: list[tuple[int, str]]) -> None:
    _, wrong = sheets.readers(text, ADA)
    assert where(wrong) == places
    assert all(w.what and w.cure for w in wrong)


def test_a_night_ends_on_the_next_day_and_its_breaks_follow() -> None:
    text = "email,starts,ends,kind,breaks\nada@x.org,2027-03-27 22:00,06:00,,23:00-23:15; 02:15-02:45; 04:00-04:30"
    [(_, who, shift)], wrong = sheets.shifts(text, IDS, OSLO)
    assert (wrong, who, shift.kind) == ([], "ada", Kind.DUTY)
    assert (shift.starts_at, shift.ends_at - shift.starts_at) == (
        datetime(2027, 3, 27, 21, tzinfo=UTC), timedelta(hours=7))  # fmt: skip  # the clocks go forward
    first = datetime(2027, 3, 27, 22, tzinfo=UTC)
    assert [b.starts_at for b in shift.breaks] == [first, first + 3.25 * timedelta(hours=1), first + timedelta(hours=4)]


def test_a_break_that_the_clocks_take_away_is_not_there() -> None:
    text = "email,starts,ends,breaks\nada@x.org,2027-03-27 22:00,06:00,02:30-03:30"
    [(_, _, shift)], wrong = sheets.shifts(text, IDS, OSLO)
    assert (shift.breaks, wrong) == ((), [])
    [(_, _, usual)], _ = sheets.shifts(text.replace("-27 ", "-26 "), IDS, OSLO)
    assert usual.breaks == (Span(datetime(2027, 3, 27, 1, 30, tzinfo=UTC), datetime(2027, 3, 27, 2, 30, tzinfo=UTC)),)


def test_wrong_shifts_say_where() -> None:
    rows = {
        "eve@x.org,2027-03-27 22:00,06:00,,,": "email", "ada@x.org,soon,06:00,,,": "starts",
        "ada@x.org,2027-03-27 22:00,late,,,": "ends", "ada@x.org,2027-03-27 22:00,6:99,,,": "ends",
        "ada@x.org,2027-03-27 22:00,06:00,party,,": "kind", "ada@x.org,2027-03-27 22:00,06:00,,noon,": "breaks",
        "ada@x.org,2027-03-27 22:00,06:00,,x-y,": "breaks", "ada@x.org,2027-03-27 22:00,06:00,,07:00-08:00,": "breaks",
        "ada@x.org,2027-03-27 22:00,06:00,,,Mars": "time_zone",
        "ada@x.org,2027-03-27T22:00Z,2027-03-27T21:00Z,,,": "ends",
    }  # fmt: skip
    _, wrong = sheets.shifts("\n".join([",".join(SHIFT_COLUMNS), *rows]), IDS, OSLO)
    assert where(wrong) == [(n + 2, column) for n, column in enumerate(rows.values())]
    assert all(w.what and w.cure for w in wrong)


cells = st.sampled_from(
    ["", "ada@x.org", "2027-03-27 22:00", "06:00", "CT=2", "x;y=;=", "a..b ..", "0001-01-01", "\u0661"]
)
texts = (
    st.text(max_size=80)
    | st.lists(st.lists(cells, min_size=1, max_size=6).map(",".join), max_size=4).map(
        lambda rows: "\n".join(["email,starts,ends,kind,breaks,time_zone", *rows])
    )
    | st.lists(st.lists(cells, min_size=1, max_size=7).map(",".join), max_size=4).map(
        lambda rows: "\n".join([",".join(READER_COLUMNS), *rows])
    )
)


@given(texts)
@example("email,starts,ends\nada@x.org,0001-01-01 00:00,06:00")
@example("email,starts,ends\nada@x.org,9999-12-31 23:00,22:00")
def test_no_text_breaks_it_and_every_error_has_a_place_and_a_cure(text: str) -> None:
    for made, wrong in (sheets.readers(text, ADA), sheets.shifts(text, IDS, OSLO)):
        assert all(w.line >= 1 and w.what and w.cure for w in wrong)
        assert wrong or len(made) <= len(text.splitlines())
