"""Why you, why not her, and what would change it: made from the very numbers that decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from actors.domain.assignment.case import Choice
from actors.domain.assignment.table import ineligible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from actors.domain.assignment.case import Reader, Waiting
    from actors.domain.assignment.table import Table

_SHOWN = 5  # runners-up, and of those who may not
_EVEN = 1e-3  # points: less is the lot's


def explained(  # noqa: PLR0913, PLR0917 - a decision and what it was made of
    table: Table,
    i: int,
    j: int,
    points: dict[str, NDArray[np.float64]],
    total: NDArray[np.float64],
    rows: Sequence[int],
) -> Choice:
    """Return the choice of reader ``j`` for study ``i`` with its reasons; nothing has been given yet."""
    waiting, chosen = table.pool[i], table.readers[j]
    over_cap = bool(table.load[j] >= table.capacity[j])
    may = table.may[i]
    others = [int(k) for k in np.argsort(np.where(may, total, np.inf), kind="stable")[: int(may.sum())] if k != j]
    why = _why(table, waiting, chosen, j, over_cap=over_cap)
    body = {
        "why": why,
        "factors": _factors(waiting, table, j)
        + [
            {"name": name, "value": round(float(p[j]), 3), "weight": _weight(table, name)}
            for name, p in sorted(points.items())
        ],
        "points": round(float(total[j]), 3),
        "position": rows.index(i) + 1 if i in rows else 1,
        "of": len(rows),
        "runners_up": [
            {
                "radiologist_id": table.readers[k].radiologist_id,
                "name": table.readers[k].name,
                "why_not": _behind(table, waiting, points, j, k),
                "points": round(float(total[k]), 3),
            }
            for k in others[:_SHOWN]
        ]
        + _refused(table, i),
        "would_change": _change(table, waiting, points, total, j, others),
    }
    return Choice(waiting.study_uid, chosen.radiologist_id, waiting.step, over_cap, why, body)


def _why(table: Table, waiting: Waiting, chosen: Reader, j: int, *, over_cap: bool) -> str:
    wants, parts = waiting.demand, []
    if wants.specialty and wants.specialty in chosen.subspecialties:
        parts.append(f"you read {wants.specialty}")
    if wants.jurisdiction:
        parts.append(f"licensed in {wants.jurisdiction}")
    if waiting.patient_id and waiting.patient_id in chosen.patients:
        parts.append("you have this patient's other study")
    if chosen.radiologist_id in waiting.priors_by:
        parts.append("you read the prior")
    held = f"{table.load[j]} of {table.capacity[j]} studies"
    parts.append(held + (", one more for a STAT" if over_cap else ""))
    if not math.isinf(waiting.due_at):
        parts.append(f"due in {max(0, round((waiting.due_at - table.now) / 60))} min")
    why = ", ".join(parts)
    return why[0].upper() + why[1:] + "."


def _factors(waiting: Waiting, table: Table, j: int) -> list[dict[str, Any]]:
    return [
        {"name": "specialty", "value": waiting.demand.specialty or "any"},
        {"name": "studies", "value": int(table.load[j])},
        {"name": "capacity", "value": int(table.capacity[j])},
        {"name": "priority", "value": waiting.priority.value},
        {"name": "acuity", "value": waiting.acuity.value},
    ]


def _weight(table: Table, name: str) -> float | None:
    weight: float | None = getattr(table.rules.balance, {"minutes": "speed"}.get(name, name), None)
    return weight


def _refused(table: Table, i: int) -> list[dict[str, Any]]:
    """Return some of those who may not, with the rule that forbids it: those present first."""
    waiting = table.pool[i]
    refused = np.flatnonzero(~table.may[i])
    first = sorted(refused, key=lambda k: (not table.present[k], k))[:_SHOWN]
    return [
        {
            "radiologist_id": table.readers[k].radiologist_id,
            "name": table.readers[k].name,
            "why_not": _rule(table, waiting, int(i), int(k)),
        }
        for k in first
    ]


def _rule(table: Table, waiting: Waiting, i: int, k: int) -> str:
    minutes = float(table.by_kind[table.kind[i], k])
    return ineligible(waiting, table.standing(k), table.rules, table.now, minutes) or "has no room left"


def _behind(table: Table, waiting: Waiting, points: dict[str, NDArray[np.float64]], j: int, k: int) -> str:
    """Return what speaks most for the chosen against this one."""
    against = {name: float(p[k] - p[j]) for name, p in points.items()}
    name = max(against, key=lambda n: (against[n], n))
    if against[name] <= _EVEN:
        return "is next"
    load, capacity = int(table.load[k]), int(table.capacity[k])
    wanted = waiting.demand.specialty
    return {
        "minutes": f"needs {against[name] / max(table.rules.balance.speed, 1e-9):.0f} min more for it",
        "load": f"has {load} of {capacity}",
        "over_cap": f"has {load} of {capacity}",
        "surplus": "has read more than her share",
        "stat": f"has {table.stats[k]:.0f} STAT in hand",
        "switch": "reads another kind now",
        "interrupt": "is reading",
        "late": "would finish after it is due",
        "skill": f"is not a {wanted} specialist" if wanted else "has less skill",
        "patient": "has no other study of this patient",
        "prior": "did not read the prior",
        "asked": "was asked before",
        "turn": "had a study more lately",
        "rvu": "has more RVU",
    }[name]


def _change(  # noqa: PLR0913, PLR0917 - as ``explained``
    table: Table,
    waiting: Waiting,
    points: dict[str, NDArray[np.float64]],
    total: NDArray[np.float64],
    j: int,
    others: list[int],
) -> str:
    if not others:
        return "Nobody else may have it now; it would wait for the next who may."
    k = others[0]
    other, gap = table.readers[k], float(total[k] - total[j])
    a_study = table.rules.balance.load / max(int(table.capacity[k]), 1)
    if "load" in points and table.rules.choose == "least_cost" and 0 < gap <= a_study * int(table.load[k]):
        fewer = math.ceil(gap / a_study)
        return f"With {fewer} {'study' if fewer == 1 else 'studies'} fewer it would go to {other.name}."
    reason = _behind(table, waiting, points, j, k)
    if reason == "is next":
        return f"{other.name} was as good a choice; the lot decided."
    return f"It would go to {other.name}, {max(gap, 0.0):.0f} points behind, but she {reason}."
