"""What a decision was made of, kept so that it can be made again: the same bytes in, the same choices out."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from actors.domain.assignment.case import Choice, Reader, Waiting  # noqa: TC001 - msgspec reads the annotations
from actors.domain.assignment.engine import decide, next_for
from actors.domain.assignment.minutes import Minutes
from actors.domain.assignment.rules import Rules  # noqa: TC001 - the same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Record(msgspec.Struct, frozen=True):
    """The inputs of one call of the policy.

    ``minutes`` holds what was expected then, by kind and in the order of the readers' ids; ``asking`` is set when a
    reader asked for work: then ``readers`` is she alone. ``version`` is the tenant's policy.
    """

    now: float
    seed: int
    version: int
    rules: Rules
    pool: list[Waiting]
    readers: list[Reader]
    minutes: dict[str, list[float]]
    asking: bool = False

    def pack(self) -> bytes:
        """Return it as it is stored: MessagePack (deterministic), deflated."""
        return zlib.compress(msgspec.msgpack.encode(self, order="deterministic"), 1)


class _Then(Minutes):
    """Reading minutes as they were expected then."""

    def __init__(self, record: Record) -> None:
        super().__init__(record.rules)
        self._then = record.minutes

    def matrix(self, kinds: Sequence[str], radiologist_ids: Sequence[str]) -> NDArray[np.float64]:
        """Return the recorded minutes, (kinds, readers)."""
        return np.array([self._then[kind] for kind in kinds], float).reshape(len(kinds), len(radiologist_ids))


def record(  # noqa: PLR0913, PLR0917 - what a decision is made of
    pool: Sequence[Waiting],
    readers: Sequence[Reader],
    rules: Rules,
    now: float,
    seed: int,
    minutes: Minutes,
    *,
    version: int = 0,
    asking: bool = False,
) -> Record:
    """Return the record of a call of :func:`decide`, or of :func:`next_for` when somebody was asking."""
    kinds = sorted({w.kind for w in pool})
    grid = minutes.matrix(kinds, sorted(r.radiologist_id for r in readers))
    known = dict(zip(kinds, grid.tolist(), strict=True))
    return Record(now, seed, version, rules, list(pool), list(readers), known, asking)


def unpack(packed: bytes) -> Record:
    """Return a stored record."""
    return msgspec.msgpack.decode(zlib.decompress(packed), type=Record)


def replay(kept: Record) -> list[Choice]:
    """Return the choices that the recorded inputs lead to, explanations and all."""
    minutes = _Then(kept)
    if kept.asking:
        choice = next_for(kept.pool, kept.readers[0], kept.rules, kept.now, kept.seed, minutes)
        return [] if choice is None else [choice]
    return decide(kept.pool, kept.readers, kept.rules, kept.now, kept.seed, minutes)
