"""Readers and shifts as spreadsheets (RFC 4180): every row that is wrong says where, what, and what would be right.

A sheet is taken whole or not at all. A column that is not there leaves its part as it is; an empty cell empties it.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload
from actors.domain.profile import USUAL, profile
from actors.domain.roster import Kind, Shift, Span, shift, zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from zoneinfo import ZoneInfo

ROWS_MOST = 10_000
_MOMENT = timedelta(microseconds=1)
READER_COLUMNS = ("email", "licences", "privileges", "subspecialties", "modalities", "capacity", "conflicts")
SHIFT_COLUMNS = ("email", "starts", "ends", "kind", "breaks", "time_zone")
_FORMS = {
    "licences": "US-ME; US-NH 2024-01-01..2026-12-31",
    "privileges": "harbor; hill 2024-01-01..",
    "subspecialties": "neuro=3; chest",
    "modalities": "CT=3; MR",
    "capacity": "5",
    "conflicts": "site=hill; patient=0199",
    "starts": "2026-03-07 22:00",
    "ends": "06:00 or 2026-03-08 06:00",
    "kind": "duty or on_call",
    "breaks": "02:00-02:30; 04:00-04:15",
    "time_zone": "Europe/Oslo",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong in a sheet; ``line`` counts from 1 with the heading."""

    line: int
    column: str
    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a sheet as they were read: (line, cells by column), and what is wrong with its form."""

    rows: tuple[tuple[int, dict[str, str]], ...]
    wrong: tuple[Wrong, ...] = ()


def read(text: str, columns: tuple[str, ...], needed: tuple[str, ...]) -> Sheet:
    """Return the rows of a sheet, or what is wrong with its form."""
    try:
        lines = list(_lines(text))
    except csv.Error as exc:
        return Sheet((), (Wrong(1, "", f"This is not CSV: {exc}.", "Save it as CSV with commas, in UTF-8."),))
    if not lines:
        return Sheet((), (Wrong(1, "", "The sheet is empty.", f"Begin with a line: {','.join(columns)}"),))
    head_line, cells = lines[0]
    head = [c.strip().lower() for c in cells]
    known = ", ".join(columns)
    wrong = [
        Wrong(head_line, c, f"There is no column {c!r}.", f"Columns are {known}.") for c in head if c not in columns
    ]
    wrong += [Wrong(head_line, c, f"The column {c} is missing.", f"Add {c}.") for c in needed if c not in head]
    wrong += [
        Wrong(head_line, c, f"The column {c} is there twice.", "Keep one.") for c in set(head) if head.count(c) > 1
    ]
    if len(lines) - 1 > ROWS_MOST:
        wrong.append(Wrong(ROWS_MOST + 2, "", "The sheet is too long.", f"Send at most {ROWS_MOST} rows at a time."))
    if wrong:
        return Sheet((), tuple(wrong))
    rows = []
    for line, row in lines[1:]:
        if len(row) != len(head):
            what = f"The row has {len(row)} cells, the heading {len(head)}."
            wrong.append(Wrong(line, "", what, "Quote a cell that holds a comma."))
        else:
            rows.append((line, dict(zip(head, (c.strip() for c in row), strict=True))))
    return Sheet(tuple(rows), tuple(wrong))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    for row in reader:
        if any(c.strip() for c in row):
            yield reader.line_num, row


class _Rows:
    """Walks the rows of a sheet and gathers what is wrong with them."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet, self.wrong = sheet, list(sheet.wrong)

    def each(self, take: Callable[[int, dict[str, str]], None]) -> None:
        """Hand each row to a function; what it refuses is kept with the row's line."""
        for line, row in self.sheet.rows:
            self.keep(line, partial(take, line, row))

    def keep(self, line: int, work: Callable[[], Any]) -> Any:
        """Return what the work returns; what it refuses is kept with the line, and None returned."""
        try:
            return work()
        except BadPayload as exc:
            column = str(exc.fields.get("field", "")).partition("[")[0].partition(".")[0]
            cure = exc.fields.get("cure") or (f"Write it like {_FORMS[column]}." if column in _FORMS else "")
            self.wrong.append(Wrong(line, column, str(exc), str(cure)))
            return None


def _refuse(column: str, what: str, cure: str = "") -> BadPayload:
    return BadPayload(what, {"field": column, "cure": cure})


def _entries(cell: str) -> list[str]:
    return [one.strip() for one in cell.split(";") if one.strip()]


def _term(name: str, entry: str) -> dict[str, Any]:
    of, _, days = entry.rpartition(" ") if ".." in entry else (entry, "", "")
    begins, _, ends = days.partition("..")
    return {name: of.strip(), "valid_from": begins or None, "valid_to": ends or None}


def _skills(column: str, cell: str) -> dict[str, int]:
    skills = {}
    for entry in _entries(cell):
        name, _, level = entry.partition("=")
        if level and not (level.strip().isascii() and level.strip().isdigit()):
            raise _refuse(column, f"{entry!r}: expected a skill from 1 to 3.")
        skills[name.strip()] = int(level) if level else USUAL
    return skills


def _part(column: str, cell: str) -> Any:
    match column:
        case "licences":
            return [_term("jurisdiction", e) for e in _entries(cell)]
        case "privileges":
            return [_term("site", e) for e in _entries(cell)]
        case "conflicts":
            pairs = (e.partition("=") for e in _entries(cell))
            return [{"about": about.strip(), "of": of.strip()} for about, _, of in pairs]
        case "capacity":
            if cell and not (cell.isascii() and cell.isdigit()):
                raise _refuse(column, f"{cell!r} is not a whole number.", "Write it like 5, or leave it empty.")
            return int(cell) if cell else None
        case _:
            return _skills(column, cell)


def _cell(column: str, text: str) -> tuple[str, Any]:
    part = _part(column, text)
    profile({column: part})
    return column, part


def _who(row: dict[str, str], known: Mapping[str, Any]) -> str:
    email = row.get("email", "").lower()
    if email not in known:
        raise _refuse("email", f"No reader of this group has the address {email!r}.", "Add her first, or correct it.")
    return email


def readers(
    text: str, known: Mapping[str, Mapping[str, Any]]
) -> tuple[list[tuple[int, str, dict[str, Any]]], list[Wrong]]:
    """Return (line, address, whole document) of each row, and what is wrong; ``known`` has the documents as they are."""
    rows = _Rows(read(text, READER_COLUMNS, ("email",)))
    made: list[tuple[int, str, dict[str, Any]]] = []
    first: dict[str, int] = {}

    def take(line: int, row: dict[str, str]) -> None:
        email = _who(row, known)
        if email in first:
            raise _refuse("email", f"She stands in line {first[email]} already.", "Keep one of the two rows.")
        first[email] = line
        cells = [partial(_cell, column, text) for column, text in row.items() if column != "email"]
        parts = [rows.keep(line, cell) for cell in cells]  # every wrong cell of the row is told
        if None not in parts:
            made.append((line, email, profile(dict(known[email]) | dict(parts)).body()))

    rows.each(take)
    return made, rows.wrong


def _instant(column: str, text: str, where: ZoneInfo) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or not 1970 < at.year < 9000:  # noqa: PLR2004 - what a calendar holds
        raise _refuse(column, f"{text!r} is not a date and time.")
    return (at if at.tzinfo is not None else at.replace(tzinfo=where)).astimezone(UTC)


def _clock(column: str, text: str) -> time:
    try:
        return time.fromisoformat(text.strip())
    except ValueError:
        raise _refuse(column, f"{text!r} is not a time of day.") from None


def _after(column: str, text: str, begin: datetime, where: ZoneInfo) -> datetime:
    """Return the first instant after another at which the clocks of a place show a time of day."""
    at, day = _clock(column, text), begin.astimezone(where).date()
    found = datetime.combine(day, at, where).astimezone(UTC)
    return found if found > begin else datetime.combine(day + timedelta(days=1), at, where).astimezone(UTC)


def _shift(row: dict[str, str], where: ZoneInfo) -> Shift:
    if row.get("time_zone"):
        where = zone(row["time_zone"])
    starts_at = _instant("starts", row["starts"], where)
    short = ":" in row["ends"] and "-" not in row["ends"] and "T" not in row["ends"].upper()
    ends_at = _after("ends", row["ends"], starts_at, where) if short else _instant("ends", row["ends"], where)
    kind = row.get("kind") or Kind.DUTY
    if kind not in set(Kind):
        raise _refuse("kind", f"{kind!r} is no kind of shift.")
    spans = []
    for entry in _entries(row.get("breaks", "")):
        begins, dash, ends = entry.partition("-")
        if not dash:
            raise _refuse("breaks", f"{entry!r} is not a break.")
        begin = _after("breaks", begins, starts_at - _MOMENT, where)
        span = Span(begin, _after("breaks", ends, begin - _MOMENT, where))
        if span.starts_at < span.ends_at:  # a clock change may leave nothing of it
            spans.append(span)
    try:
        return shift(starts_at, ends_at, Kind(kind), spans)
    except BadPayload as exc:
        column = "ends" if exc.fields["field"] == "ends_at" else "breaks"
        raise _refuse(column, str(exc)) from None


def shifts(text: str, known: Mapping[str, str], where: ZoneInfo) -> tuple[list[tuple[int, str, Shift]], list[Wrong]]:
    """Return (line, user id, shift) of each row, and what is wrong; ``known`` has the user id of each address."""
    rows = _Rows(read(text, SHIFT_COLUMNS, ("email", "starts", "ends")))
    made: list[tuple[int, str, Shift]] = []
    rows.each(lambda line, row: made.append((line, known[_who(row, known)], _shift(row, where))))
    return made, rows.wrong
