"""The header read before: the next one of the series is the same but for a few elements, and only those are read again.

What is the same byte for byte, from the beginning of an element to the end of one, is the same as DICOM JSON, unless the
character set or the pixels' sign differ (PS3.5 6.1, 7.1): then the whole header is read.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from gateway.ingest.text import DEFAULT
from gateway.ingest.walk import DECIDING, SIGNED, Odd, Walker, tag_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.ingest.dicom_json import DataSet

_BLOCK = 16  # elements compared at once
_MOST = 1 << 15  # bytes that are remembered
_TRIES = 8  # remembering takes as long as reading twice: not for those who send one of each kind


class _Run(NamedTuple):
    """Elements that stand together: their bytes, and what they say."""

    raw: bytes
    tag: int  # of the first
    says: DataSet


class Trail:
    """Reads headers one after the other; for one thread."""

    def __init__(self) -> None:
        self._explicit = True
        self._runs: list[_Run] = []  # of single elements, by tag
        self._blocks: list[_Run] = []  # of several, the same again
        self._codecs, self._signed = DEFAULT, False
        self._vain = 0  # headers remembered since one was followed

    def walk(self, data: bytes, *, explicit: bool) -> tuple[DataSet, tuple[int, int] | None]:
        """Return the header as DICOM JSON, and offset and length of the pixel data if they begin within these bytes.

        Raises:
            Odd: something here is for pydicom to judge.
        """
        if self._runs and explicit == self._explicit:
            walker = Walker(data, explicit=explicit)
            with suppress(Odd):
                found = self._follow(data, walker) | walker.walk()
                self._vain = 0
                return found, walker.pixels
        marks: list[int] = []
        walker = Walker(data, explicit=explicit)
        found = walker.walk(marks)
        if self._vain < _TRIES:
            self._vain += 1
            self._remember(data, marks, found, walker)
            self._explicit = explicit
        else:
            self._runs = []
        return found, walker.pixels

    def _follow(self, data: bytes, walker: Walker) -> DataSet:
        """Return what is read along the header before; the walker stands where that ends.

        Raises:
            Odd: the header has to be read as a whole.
        """
        out: DataSet = {}
        runs, at, number, other, last = self._runs, 0, 0, 0, 0
        walker.scope.codecs = self._codecs
        while number < len(runs):
            many = number % _BLOCK == 0
            raw, _, says = self._blocks[number // _BLOCK] if many else runs[number]
            if many and data[at : at + len(raw)] != raw:
                many, (raw, _, says) = False, runs[number]
            if data[at : at + len(raw)] == raw:
                out |= says
                at, number = at + len(raw), number + (_BLOCK if many else 1)
                continue
            tag = tag_at(data, at)
            if tag <= (last := max(last, runs[number - 1].tag if number else 0)):
                raise Odd("not in order")
            walker.at, walker.scope.signed = at, self._signed and tag > SIGNED
            element, at, other, last = walker.step(), walker.at, other + 1, tag
            if element is not None:
                out[f"{tag:08X}"] = element
            deciding = tag in DECIDING
            while number < len(runs) and runs[number].tag <= tag:
                deciding |= runs[number].tag in DECIDING
                number += 1
            if deciding or 2 * other > len(runs):
                raise Odd("little is the same")
        walker.at, walker.scope.signed = at, self._signed
        return out

    def _remember(self, data: bytes, marks: list[int], found: DataSet, walker: Walker) -> None:
        """Take this header for the next to follow, if it has pixels and its elements are in order."""
        self._runs, self._blocks = [], []
        if walker.pixels is None or marks[-1] > _MOST:
            return
        for start, stop in pairwise(marks):
            tag = tag_at(data, start)
            if self._runs and tag <= self._runs[-1].tag:
                self._runs = []
                return
            name = f"{tag:08X}"
            self._runs.append(_Run(data[start:stop], tag, {name: found[name]} if name in found else {}))
        for some in _batched(self._runs):
            says = {name: element for run in some for name, element in run.says.items()}
            self._blocks.append(_Run(b"".join(run.raw for run in some), some[0].tag, says))
        self._codecs, self._signed = walker.scope.codecs, walker.scope.signed


def _batched(runs: list[_Run]) -> Iterator[list[_Run]]:
    return (runs[at : at + _BLOCK] for at in range(0, len(runs), _BLOCK))
