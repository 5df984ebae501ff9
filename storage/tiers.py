"""Two shelves as one: where files come to, and the colder one where those of studies closed long ago may lie.

A file's name says on which it is, so whoever reads a row knows where to read. A copy gets a name of its own, never
used before or after: whatever was asked of an old name, however late, does nothing to the new file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.shelves import Shelf

COLD = ".cold/"  # no group's name begins with a point
_IMAGE = ".dcm"


def is_cold(name: str) -> bool:
    """Whether a file of this name lies on the cold shelf."""
    return name.startswith(COLD)


def home(name: str) -> str:
    """Return the directory of a file's study on the hot shelf, where its key lies whatever became of its files."""
    return name.removeprefix(COLD).rpartition("/")[0]


def copy_name(name: str, move_id: str, *, cold: bool) -> str:
    """Return the name of a file's copy that a move makes on one of the shelves."""
    directory, _, file = name.removeprefix(COLD).rpartition("/")
    return f"{COLD if cold else ''}{directory}/{file.removesuffix(_IMAGE).partition('-')[0]}-{move_id}{_IMAGE}"


def move_of(name: str) -> str:
    """Return the move that made a copy of this name, empty when none did."""
    return name.rpartition("/")[2].removesuffix(_IMAGE).partition("-")[2]


class Tiers:
    """A shelf whose names lead to one of two.

    Args:
        hot: where files come to.
        cold: the other; without it names that lead there raise OSError.
    """

    def __init__(self, hot: Shelf, cold: Shelf | None) -> None:
        self._hot, self._cold = hot, cold

    @property
    def tops(self) -> tuple[str, ...]:
        """What names begin with, shelf by shelf."""
        return ("", COLD) if self._cold is not None else ("",)

    def _at(self, name: str) -> tuple[Shelf, str]:
        if not is_cold(name):
            return self._hot, name
        if self._cold is None:
            raise OSError(
                "this file lies on the cold shelf, and READINGROOM_OBJECTS_COLD_URL does not say where that is"
            )
        return self._cold, name.removeprefix(COLD)

    def settle(self, temporary: Path, name: str) -> None:
        shelf, name = self._at(name)
        shelf.settle(temporary, name)

    def take(self, name: str, source: BinaryIO) -> None:
        shelf, name = self._at(name)
        shelf.take(name, source)

    def open(self, name: str) -> BinaryIO:
        shelf, name = self._at(name)
        return shelf.open(name)

    def create(self, name: str, data: bytes) -> None:
        shelf, name = self._at(name)
        shelf.create(name, data)

    def read(self, name: str) -> bytes:
        shelf, name = self._at(name)
        return shelf.read(name)

    def remove(self, name: str) -> None:
        shelf, name = self._at(name)
        shelf.remove(name)

    def listed(self, directory: str) -> Iterator[tuple[str, float]]:
        shelf, below = self._at(directory)
        top = COLD if is_cold(directory) else ""
        return ((top + name, at) for name, at in shelf.listed(below))

    def written_at(self, name: str) -> float:
        shelf, name = self._at(name)
        return shelf.written_at(name)

    def rename(self, name: str, to: str) -> None:
        shelf, name = self._at(name)
        shelf.rename(name, self._at(to)[1])

    def give_back(self, aside: str, name: str) -> None:
        shelf, aside = self._at(aside)
        shelf.give_back(aside, self._at(name)[1])
