"""Fuzzy matching of names: every word asked for begins a word of the name, without case or accents (PS3.18 8.3.4.2).

How a name is folded and split stands in the database (``rr.fold_name``, ``rr.name_words``), so that what is stored
and what is asked are folded alike; here a question is cut into words and each becomes a condition.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from storage.wildcards import like, prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BETWEEN = re.compile(r"[\s^,=-]+")
_OF_WHOM = "\n   AND EXISTS (SELECT 1 FROM rr.patient_word w WHERE w.tenant_id = $1 AND w.patient_id = {id} AND {hit} OFFSET 0)"
_WHO = "SELECT w.patient_id FROM rr.patient_word w WHERE w.tenant_id = $1 AND {hit}"
_IN_TEXT = "\n   AND EXISTS (SELECT 1 FROM rr.name_words({text}) w(word) WHERE {hit})"


def words(text: str) -> tuple[str, ...]:
    """Return the different words of a question; a wildcard at the end of a word says nothing more and is left out."""
    parts = _BETWEEN.split(unicodedata.normalize("NFKD", text))
    return tuple(dict.fromkeys(word for part in parts if (word := part.rstrip("*"))))


def _hit(word: str, put: Callable[[str], str]) -> str:
    """Return the condition that ``w.word`` begins as a word of the question says."""
    start = prefix(word)
    low = f"left(rr.fold_name({put(start)}::text), 64)"
    hit = f"w.word >= {low} AND w.word < {low} || chr(1114111)"
    if start == word:
        return hit
    return f"{hit} AND w.word LIKE rr.fold_name({put(like(word) + '%')}::text)"


def of_patient(column: str, asked: Sequence[str], put: Callable[[str], str]) -> Iterator[str]:
    """Yield the conditions that a patient, given by the column of her id, is called so."""
    for word in asked:
        yield _OF_WHOM.format(id=column, hit=_hit(word, put))


def patients(column: str, asked: Sequence[str], put: Callable[[str], str]) -> str:
    """Return the same as one condition that an index answers: the ids are gathered first."""
    found = " INTERSECT ".join(_WHO.format(hit=_hit(word, put)) for word in asked)
    return f"\n   AND {column} = ANY (ARRAY({found}))"


def of_text(text: str, asked: Sequence[str], put: Callable[[str], str]) -> Iterator[str]:
    """Yield the conditions on a name that no index knows."""
    for word in asked:
        yield _IN_TEXT.format(text=text, hit=_hit(word, put))
