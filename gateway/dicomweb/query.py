"""QIDO-RS query strings (PS3.18 8.3.4, 10.6.1; matching as in PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR, tag_for_keyword

from gateway.dicomweb.problem import BadRequest
from storage import name_words
from storage.dicom_query import Match, Search

if TYPE_CHECKING:
    from multidict import MultiMapping

MOST = 1000  # results of one answer; `limit` may ask for fewer
_FAR = 10_000_000
_WORDS = 16  # of a name under fuzzymatching
_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_UNSEARCHABLE = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN", "AT"})
_IGNORED = frozenset({"accept", "charset"})
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_UID = re.compile(r"[0-9.]{1,64}")
_DT = re.compile(r"\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-]\d{4})?")


@dataclass(frozen=True, slots=True)
class Query:
    """A query string, read."""

    search: Search
    include: frozenset[str] = field(default_factory=frozenset)  # tags
    everything: bool = False  # includefield=all


def attribute(name: str) -> tuple[str, ...]:
    """Return the path of tags that a keyword or hexadecimal tag stands for; dots lead into sequences.

    Raises:
        BadRequest: no such attribute.
    """
    return tuple(_tag(part, name) for part in name.split("."))


def _tag(text: str, name: str) -> str:
    if re.fullmatch(r"[0-9A-Fa-f]{8}", text):
        return text.upper()
    tag = tag_for_keyword(text) if text.isascii() and text.isalnum() else None
    if tag is None:
        raise BadRequest(f"There is no attribute or parameter {name!r}.", name)
    return f"{tag:08X}"


def vr_of(tag: str) -> str:
    """Return the value representation of a tag, UN when unknown."""
    try:
        return dictionary_VR(int(tag, 16))[:2]
    except KeyError:
        return "UN" if int(tag[:4], 16) & 1 == 0 else "LO"


def parse(
    given: MultiMapping[str], level: str, *, study_uid: str | None = None, series_uid: str | None = None
) -> Query:
    """Return what a query string asks for.

    Raises:
        BadRequest: an unknown attribute, or a value that its attribute cannot have.
    """
    matches: list[Match] = []
    include: set[str] = set()
    limit, offset, everything, fuzzy = MOST, 0, False, False
    for name, text in given.items():
        match name:
            case "limit":
                limit = min(_number(name, text), MOST)
            case "offset":
                offset = _number(name, text)
            case "fuzzymatching" | "emptyvaluematching" | "multiplevaluematching":
                fuzzy |= _boolean(name, text) and name == "fuzzymatching"
            case "includefield":
                fields = [part.strip() for part in text.split(",") if part.strip()]
                everything |= "all" in fields
                include |= {attribute(part)[0] for part in fields if part != "all"}
            case _ if name not in _IGNORED:
                matches += conditions(name, text)
    if fuzzy:
        matches = [alike for match in matches for alike in _fuzzy(match)]
    search = Search(level, study_uid, series_uid, tuple(matches), limit, offset)
    return Query(search, frozenset(include), everything)


def _fuzzy(match: Match) -> list[Match]:
    """Return what a condition is under ``fuzzymatching=true``: of names their words, all else literal (8.3.4.2)."""
    if match.kind != "name":
        return [match]
    asked = name_words.words(match.values[0])
    if len(asked) > _WORDS:
        raise BadRequest(f"fuzzymatching: a name of more than {_WORDS} words; ask for fewer.", "fuzzymatching")
    return [Match(match.path, "fuzzy", asked)] if asked else []


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9):  # noqa: PLR2004
        raise BadRequest(f"{name}: expected a number that is not negative.", name)
    return min(int(text), _FAR)


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise BadRequest(f"{name}: expected true or false.", name)
    return text.lower() == "true"


def conditions(name: str, text: str) -> list[Match]:
    """Return the condition a parameter sets; an empty value or ``*`` matches everything (PS3.4 C.2.2.2.3).

    Raises:
        BadRequest: an unknown attribute, or a value that it cannot have.
    """
    path = attribute(name)
    vr = vr_of(path[-1])
    text = text.strip()
    if vr in _UNSEARCHABLE:
        raise BadRequest(f"{name}: cannot be searched by.", name)
    if not text.isprintable() or len(text) > 4096:  # noqa: PLR2004
        raise BadRequest(f"{name}: holds control characters, or too much.", name)
    if text in ("", "*", '""'):
        return []
    if vr == "UI":
        return [Match(path, "any", _uids(name, text))]
    if vr in ("DA", "TM", "DT"):
        return [_range(name, path, vr, text)]
    if vr == "PN":
        return [Match(path, "name", (text,))]
    if vr in _NUMBERS:
        return [Match(path, "number", (_decimal(name, text),))]
    if vr == "CS":
        text = text.replace(",", "\\")  # no code string holds a comma; several are a list
    return [Match(path, "text", tuple(part.strip() for part in text.split("\\") if part.strip()) or (text,))]


def _uids(name: str, text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in re.split(r"[,\\]", text) if part.strip())
    if not found or not all(_UID.fullmatch(uid) for uid in found):
        raise BadRequest(f"{name}: expected UIDs.", name)
    return found


def _decimal(name: str, text: str) -> str:
    if not re.fullmatch(r"[+-]?\d{1,18}(\.\d{0,18})?", text):
        raise BadRequest(f"{name}: expected a number.", name)
    return text


def _range(name: str, path: tuple[str, ...], vr: str, text: str) -> Match:
    """Return a range (PS3.4 C.2.2.2.5); one value is the range of what it leaves open, so 10 means 10:00 to 11:00."""
    form = {"DA": _DATE, "TM": _TIME, "DT": _DT}[vr]
    low, dash, high = text.partition("-")
    if vr == "DT" and dash and form.fullmatch(text):
        low, dash, high = text, "", ""
    if not (low or high) or any(part and not form.fullmatch(part) for part in (low.strip(), high.strip())):
        raise BadRequest(
            f"{name}: expected a value or a range such as {'20260101-20260131' if vr == 'DA' else '0800-'}.", name
        )
    low, high = low.strip(), high.strip() if dash else low.strip()
    return Match(path, "range", (low, high + "~" if high else ""))  # ~ sorts after every digit
