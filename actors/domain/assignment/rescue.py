"""What is taken from a reader who has not begun it: a STAT once somebody is free, anything that would be late with her.

A STAT is given out at once, to somebody who is still reading if nobody is free; this corrects it when a reader
becomes free before she does. A move is worth it only when the study is done sooner.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from actors.domain.assignment.engine import decide
from actors.domain.assignment.minutes import Minutes
from actors.domain.words import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.assignment.case import Choice, Reader, Waiting
    from actors.domain.assignment.rules import Rules

_MINUTE = 60.0


class Held(NamedTuple):
    """A study in hand, not begun.

    Args:
        before_min: expected minutes until its reader begins it.
    """

    waiting: Waiting
    radiologist_id: str
    before_min: float


def rescues(  # noqa: PLR0913, PLR0917 - as ``decide``
    held: Sequence[Held],
    readers: Sequence[Reader],
    rules: Rules,
    now: float,
    seed: int = 0,
    minutes: Minutes | None = None,
) -> list[Choice]:
    """Return who is given what others hold, one study each to readers with empty hands; empty when nothing is worth it.

    Args:
        held: what has been given out and not begun, in any order.
        readers: everybody; only those who have nothing in hand are asked.
        rules: the assignment part of the policy.
        now: Unix seconds.
        seed: decides between equals.
        minutes: what was learned of reading times; without it the policy's own.
    """
    free = [r for r in readers if r.load == 0]
    if not rules.rescue or not free:
        return []
    known = minutes or Minutes(rules)

    def done_at(waiting: Waiting, radiologist_id: str, before_min: float) -> float:
        return now + (before_min + known.expected(radiologist_id, waiting.kind)) * _MINUTE

    standing = {h.waiting.study_uid: done_at(*h) for h in held}
    pool = [
        replace(w, excluded=w.excluded | {who})
        for w, who, _ in held
        if w.priority is Priority.STAT or standing[w.study_uid] > w.due_at - rules.rescue_lead_s
    ]
    given: dict[str, Choice] = {}
    for choice in decide(pool, free, rules, now, seed, known):
        waiting = next(w for w in pool if w.study_uid == choice.study_uid)
        sooner = done_at(waiting, choice.radiologist_id, 0.0)
        if choice.radiologist_id in given or sooner >= standing[choice.study_uid]:
            continue
        if waiting.priority is Priority.STAT or sooner <= waiting.due_at:
            given[choice.radiologist_id] = choice
    return list(given.values())
