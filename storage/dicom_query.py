"""Searches for studies, series and instances, put together from fixed pieces; every value is a parameter.

Row-level security lets an index be used only for comparisons that leak nothing, so what is searched often
is compared with ``=``, ``<`` and ``>=`` on plain columns; patterns only filter what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage import name_words
from storage.alike import OTHER, WHOLE
from storage.dicom import SEEN, sight
from storage.looking import GATE, SCOPE
from storage.pool import scope_of
from storage.wildcards import like, prefix, wild

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.domain.identity import Principal
    from storage.looking import Looking
    from storage.pool import Connection

PATIENT, STUDY, SERIES, INSTANCE = "patient", "study", "series", "instance"


@dataclass(frozen=True, slots=True)
class Match:
    """One condition; ``kind`` is any | text | name | fuzzy | number | range, ``values`` words or a range's two ends."""

    path: tuple[str, ...]  # tags, leading into sequences
    kind: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, at which level, and which page of it."""

    level: str
    study_uid: str | None
    series_uid: str | None
    matches: tuple[Match, ...]
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Found:
    """One result: headers as DICOM JSON text, and the columns that outrank them."""

    study_uid: str
    study: str
    series_uid: str
    modality: str
    series: str | None
    sop_uid: str
    sop_class: str
    instance: str | None
    series_images: int
    name: str
    mrn: str
    issuer: str
    birth_date: str  # ISO or ""
    sex: str
    accession_number: str
    study_date: str
    study_time: str
    modalities: list[str]
    related_series: int
    related_images: int


@dataclass(frozen=True, slots=True)
class FoundPatient:
    """A patient of studies in view, and how much there is of her."""

    name: str
    mrn: str
    issuer: str
    birth_date: str  # ISO or ""
    sex: str
    studies: int
    series: int
    images: int


_NUMERAL = r"^[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?$"
_MODALITIES, _MODALITY, _CLASSES = "00080061", "00080060", "00080062"
_ISSUER = (
    "coalesce(nullif(p.issuer, ''), (SELECT w.issuer FROM rr.site w WHERE w.tenant_id = $1 AND w.site_id = d.site_id))"
)
_PATIENT = {
    "00100010": "p.name_key",
    "00100020": "p.mrn",
    "00100030": "replace(p.birth_date, '-', '')",
    "00100040": "p.sex",
}
# What the stored headers of studies and series hold beside the patient's (see rr.study_header, rr.series_header).
_OF_STUDIES = frozenset({
    "00080020", "00080030", "00080050", "00080051", "00080060", "00080061", "00080062", "00080080", "00080090", "00080096",
    "00081030", "00081032", "00081048", "00081060", "00081080", "00081110", "0020000D", "00200010",
    "00321032", "00321033", "00321060", "00321064", "00324000", "00380010", "00401003", "00401012",
})  # fmt: skip
_OF_SERIES_HEADERS = frozenset({
    "00080021", "00080031", "00080060", "00080070", "00080080", "0008103E", "0008103F", "00081010", "00081040", "00081050",
    "00081070", "00081090", "00081111", "00180015", "00181000", "00181020", "00181030", "00185100", "0020000E", "00200011",
    "00200052", "00200060", "00201040", "00400244", "00400245", "00400253", "00400254", "00400260", "00400275",
})  # fmt: skip
_NAME = "00100010"
_NAMING = frozenset({"00100010", "00100020"})  # name few patients
_STUDY = {
    "0020000D": "d.study_uid",
    "00080020": "d.study_date",
    "00080030": "d.study_time",
    "00080050": "d.accession_number",
    "00100021": _ISSUER,
}
_SERIES = {"0020000E": "s.series_uid", _MODALITY: "s.modality"}
_INSTANCE = {"00080018": "i.sop_uid", "00080016": "i.sop_class"}
_COLUMNS = {
    PATIENT: _PATIENT | _STUDY,
    STUDY: _PATIENT | _STUDY,
    SERIES: _PATIENT | _STUDY | _SERIES,
    INSTANCE: _PATIENT | _STUDY | _SERIES | _INSTANCE,
}
_HEADER = {STUDY: "d.header", SERIES: "(d.header || s.header)", INSTANCE: f"({WHOLE})"}

# Who the study belongs to as its row says, once there is one; else as its images say. To policies every table
# looks small, so the planner would compare all with all: OFFSET 0 makes it look up one by one. CASE, as the
# planner knows that it leaks nothing, which it does not of coalesce.
_FROM = {
    STUDY: """rr.dicom_study d
  LEFT JOIN LATERAL (
       SELECT t.patient_id FROM rr.study t WHERE t.tenant_id = $1 AND t.study_uid = d.study_uid OFFSET 0) r ON true
  CROSS JOIN LATERAL (
       SELECT q.patient_id, q.issuer, q.mrn, q.name, q.name_key, q.birth_date, q.sex FROM rr.patient q
        WHERE q.tenant_id = $1 AND q.patient_id = CASE WHEN r.patient_id IS NULL THEN d.patient_id ELSE r.patient_id END
        OFFSET 0) p"""
}
_FROM[SERIES] = _FROM[STUDY] + "\n  JOIN rr.series s ON s.tenant_id = d.tenant_id AND s.study_uid = d.study_uid"
_FROM[INSTANCE] = _FROM[SERIES] + (
    "\n  JOIN rr.instance i ON i.tenant_id = s.tenant_id AND i.study_uid = s.study_uid AND i.series_uid = s.series_uid"
    + OTHER
)
_ORDER = {STUDY: "d.study_date DESC, d.study_time DESC, d.study_uid"}
_ORDER[SERIES] = _ORDER[STUDY] + ", s.header #> '{00200011,Value,0}', s.series_uid"
_ORDER[INSTANCE] = _ORDER[SERIES] + ", i.header #> '{00200013,Value,0}', i.sop_uid"

_SERIES_COLUMNS = {
    STUDY: "'' AS series_uid, '' AS modality, NULL AS series, 0 AS series_images",
    SERIES: "s.series_uid, s.modality, s.header::text AS series, s.images AS series_images",
}
_SERIES_COLUMNS[INSTANCE] = _SERIES_COLUMNS[SERIES]
_INSTANCE_COLUMNS = dict.fromkeys((STUDY, SERIES), "'' AS sop_uid, '' AS sop_class, NULL AS instance")
_INSTANCE_COLUMNS[INSTANCE] = f"i.sop_uid, i.sop_class, ({WHOLE})::text AS instance"

# The page is cut first, then its studies are counted.
_SEARCH = """
WITH page AS (
SELECT d.study_uid, d.header::text AS study, {series}, {instance}, p.name, p.mrn, {issuer} AS issuer,
       p.birth_date, p.sex, d.accession_number, d.study_date, d.study_time,
       row_number() OVER (ORDER BY {order}) AS n
  FROM {tables}
 WHERE true {gate} {seen} {conditions}
 ORDER BY {order} LIMIT $4 OFFSET $5)
SELECT page.study_uid, study, series_uid, modality, series, sop_uid, sop_class, instance, series_images, name, mrn,
       issuer, birth_date, sex, accession_number, study_date, study_time,
       coalesce(c.modalities, '{{}}') AS modalities, c.related_series, c.related_images
  FROM page CROSS JOIN LATERAL (
       SELECT array_agg(DISTINCT m.modality) FILTER (WHERE m.modality <> '') AS modalities, count(*) AS related_series,
              coalesce(sum(m.images), 0) AS related_images
         FROM rr.series m WHERE m.tenant_id = $1 AND m.study_uid = page.study_uid) c
 ORDER BY n
"""

_LOOK = """
{scope}
SELECT found.* FROM scope CROSS JOIN LATERAL ({search} OFFSET 0) found
"""

_SEARCH_PATIENTS = """
SELECT p.name, p.mrn, {issuer} AS issuer, p.birth_date, p.sex, count(*) AS studies,
       coalesce(sum((SELECT count(*) FROM rr.series m WHERE m.tenant_id = $1 AND m.study_uid = d.study_uid)), 0)::bigint,
       coalesce(sum(d.images), 0)
  FROM {tables}
 WHERE true {seen} {conditions}
 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 LIMIT $4 OFFSET $5
"""

# Studies of the patients looked for, by either way to them; as an array, they are looked up one by one, too.
_OF_PATIENTS = """
   AND d.study_uid = ANY (ARRAY(
       SELECT x.study_uid FROM rr.patient p CROSS JOIN LATERAL (
              SELECT y.study_uid FROM rr.dicom_study y WHERE y.tenant_id = $1 AND y.patient_id = p.patient_id
              UNION
              SELECT y.study_uid FROM rr.study y WHERE y.tenant_id = $1 AND y.patient_id = p.patient_id OFFSET 0) x
        WHERE p.tenant_id = $1 {conditions}))
"""
_OF_SERIES = """
   AND EXISTS (SELECT 1 FROM rr.series m WHERE m.tenant_id = $1 AND m.study_uid = d.study_uid {condition} OFFSET 0)
"""
_OF_INSTANCES = """
   AND EXISTS (SELECT 1 FROM rr.instance m WHERE m.tenant_id = $1 AND m.study_uid = d.study_uid {condition} OFFSET 0)
"""
_IN_HEADER = """
   AND EXISTS (SELECT 1 FROM jsonb_path_query({header}, ${path}::text::jsonpath) AS x(y)
                WHERE {condition})
"""
# A name in all its scripts, whatever a header holds in its place.
_SCRIPTS = (
    "(SELECT string_agg(v, '=') FROM jsonb_each_text(CASE jsonb_typeof(y) WHEN 'object' THEN y ELSE '{}' END) z(k, v))"
)


class Statement:
    """Parameters of a statement, numbered after those it begins with, and conditions on them (PS3.4 C.2.2.2)."""

    def __init__(self, first: tuple[Any, ...]) -> None:
        self.args: list[Any] = list(first)

    def put(self, value: Any) -> str:
        """Return the placeholder of a value."""
        self.args.append(value)
        return f"${len(self.args)}"

    def where(self, column: str, match: Match) -> Iterator[str]:
        """Yield the conditions on a column."""
        values = match.values
        match match.kind:
            case "any":
                yield self._one_of(column, values)
            case "number":
                yield (
                    f"\n   AND CASE WHEN {column} ~ '{_NUMERAL}'"
                    f" THEN ({column})::numeric = {self.put(values[0])}::text::numeric END"
                )
            case "range":
                yield f"\n   AND {column} >= {self.put(values[0] or '!')}"
                if values[1]:
                    yield f"\n   AND {column} <= {self.put(values[1])}"
            case "name":
                yield from self._name(column, values[0])
            case "fuzzy":
                yield from name_words.of_text(column, values, self.put)
            case _:
                yield from self._text(column, values)

    def _one_of(self, column: str, values: tuple[str, ...]) -> str:
        """Return the condition; of one value as such, as plans take an array for many."""
        if len(values) == 1:
            return f"\n   AND {column} = {self.put(values[0])}::text"
        return f"\n   AND {column} = ANY({self.put(list(values))}::text[])"

    def _text(self, column: str, values: tuple[str, ...]) -> Iterator[str]:
        if not any(wild(value) for value in values):
            yield self._one_of(column, values)
            return
        if len(values) == 1 and (start := prefix(values[0])):
            yield f"\n   AND {column} >= {self.put(start)} AND {column} < {self.put(start + chr(0x10FFFF))}"
        yield f"\n   AND {column} LIKE ANY({self.put([like(value) for value in values])}::text[])"

    def _name(self, column: str, value: str) -> Iterator[str]:
        """Names match without regard to case; a name of several scripts matches by any of them (PS3.5 6.2.1)."""
        value = value.upper().rstrip("^ ")
        start = prefix(value)
        if start and value.isascii():
            yield f"\n   AND {column} >= {self.put(start)} AND {column} < {self.put(start + chr(0x10FFFF))}"
        whole = like(value)
        forms = [whole, f"{whole}=%", f"%={whole}", f"%={whole}=%", f"{whole}^%" if not wild(value) else whole]
        yield f"\n   AND {column} LIKE ANY({self.put(forms)}::text[])"


class _Search(Statement):
    """Conditions of one search and where they lead."""

    def __init__(self, level: str, first: tuple[Any, ...]) -> None:
        super().__init__(first)
        self._level, self._patients = STUDY if level == PATIENT else level, level == PATIENT
        self.conditions: list[str] = []
        self._patient: list[str] = []

    def add(self, match: Match) -> None:
        """Add a condition."""
        tag, level = match.path[0], self._level
        if len(match.path) > 1:
            self.conditions.append(self._header(match))
        elif tag in (_MODALITIES, _MODALITY) and (level == STUDY or tag == _MODALITIES):
            self.conditions.append(_OF_SERIES.format(condition="".join(self.where("m.modality", match))))
        elif tag == _CLASSES:
            self.conditions.append(_OF_INSTANCES.format(condition="".join(self.where("m.sop_class", match))))
        elif tag == _NAME and match.kind == "fuzzy":
            self.conditions += name_words.of_patient("p.patient_id", match.values, self.put)
            self._patient.append(name_words.patients("p.patient_id", match.values, self.put))
        elif tag in _COLUMNS[level]:
            made = list(self.where(_COLUMNS[level][tag], match))
            self.conditions += made
            if tag in _NAMING:
                self._patient += made
        else:
            self.conditions.append(self._header(match))

    def sql(self, gate: str = "") -> str:
        """Return the whole statement; ``gate`` is one more condition."""
        conditions = "".join(self.conditions)
        if self._patient:
            conditions += _OF_PATIENTS.format(conditions="".join(self._patient))
        level = self._level
        if self._patients:
            return _SEARCH_PATIENTS.format(issuer=_ISSUER, tables=_FROM[STUDY], seen=SEEN, conditions=conditions)
        return _SEARCH.format(
            series=_SERIES_COLUMNS[level], instance=_INSTANCE_COLUMNS[level], issuer=_ISSUER, order=_ORDER[level],
            tables=_FROM[level], seen=SEEN, conditions=conditions, gate=gate,
        )  # fmt: skip

    def _header(self, match: Match) -> str:
        path = "$" + ".Value[*]".join(f'."{tag}"' for tag in match.path) + ".Value[*]"
        text = "y #>> '{}'"
        if match.kind == "fuzzy":
            text = _SCRIPTS
        if match.kind == "name":
            path += ".*"
            text = f"upper({text})"
        at = self.put(path)[1:]
        made = "".join(self.where(text, match)).strip().removeprefix("AND ")
        return _IN_HEADER.format(header=_HEADER[self._level], path=at, condition=made)


async def find_patients(conn: Connection, who: Principal, search: Search) -> tuple[list[FoundPatient], bool]:
    """Return a page of the patients of studies in view, by name, and whether there are more."""
    sql, args = statement(who, search)
    rows = [FoundPatient(*row) for row in await conn.fetch(sql, *args)]
    return rows[: search.limit], len(rows) > search.limit


def searchable(tag: str, level: str) -> bool:
    """Whether results of a level have the attribute, so that it can be matched there (PS3.4 C.2.2.1.3)."""
    if int(tag[:4], 16) & 1 or level == INSTANCE:
        return level == INSTANCE and not int(tag[:4], 16) & 1
    study = tag.startswith("0010") or tag in _COLUMNS[level] or tag in _OF_STUDIES
    return study or (level == SERIES and tag in _OF_SERIES_HEADERS)


def statement(who: Principal, search: Search) -> tuple[str, list[Any]]:
    """Return the SQL of a search and its arguments; one result more than asked tells that there are more."""
    made = _made(who, search)
    return made.sql(), made.args


def look(who: Principal, search: Search) -> tuple[str, list[Any]]:
    """Return :func:`statement` of studies, series or instances as one that says itself whose tenants it sees."""
    made = _made(who, search)
    scope = SCOPE.format(*(made.put(text) for text in scope_of(who)))
    return _LOOK.format(scope=scope, search=made.sql(GATE)), made.args


def _made(who: Principal, search: Search) -> _Search:
    made = _Search(search.level, (*sight(who), search.limit + 1, search.offset))
    if search.study_uid is not None:
        made.add(Match(("0020000D",), "any", (search.study_uid,)))
    if search.series_uid is not None:
        made.add(Match(("0020000E",), "any", (search.series_uid,)))
    for match in search.matches:
        made.add(match)
    return made


async def find(conn: Connection, who: Principal, search: Search) -> tuple[list[Found], bool]:
    """Return a page of what is in view, newest studies first, and whether there is more."""
    sql, args = statement(who, search)
    return _page(await conn.fetch(sql, *args), search)


async def found(looking: Looking, who: Principal, search: Search) -> tuple[list[Found], bool]:
    """Return :func:`find` in one round trip."""
    sql, args = look(who, search)
    return _page(await looking.fetch(sql, *args), search)


def _page(rows: list[Any], search: Search) -> tuple[list[Found], bool]:
    return [Found(*row) for row in rows[: search.limit]], len(rows) > search.limit
