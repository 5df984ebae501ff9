"""Why you, why not her, and what would change it: made from the very numbers that decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from actors.domain.assignment.case import Choice
from actors.domain.assignment.table import ineligible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from actors.domain.assignment.case import Waiting
    from actors.domain.assignment.table import Table

_SHOWN = 5  # runners-up, and of those who may not
_WEIGHTS = {"minutes": "speed"}  # points whose weight has another name
_SENTENCES = {
    "surplus": "has read more than her share",
    "switch": "reads another kind now",
    "interrupt": "is reading",
    "late": "would finish after it is due",
    "patient": "has no other study of this patient",
    "prior": "did not read the prior",
    "asked": "was asked before",
    "turn": "had a study more lately",
    "rvu": "has more RVU",
}
_EVEN = 1e-3  # points: less is the lot's


class Numbers(NamedTuple):
    """The points that decided: (names, readers), and their sum with the lot."""

    names: tuple[str, ...]
    points: NDArray[np.float64]
    total: NDArray[np.float64]


def explained(table: Table, i: int, j: int, numbers: Numbers, position: tuple[int, int]) -> Choice:
    """Return the choice of reader ``j`` for study ``i`` with its reasons; nothing has been given yet."""
    waiting, chosen, total = table.pool[i], table.readers[j], numbers.total
    over_cap = bool(table.load[j] >= table.capacity[j])
    able = np.flatnonzero(table.may[i])
    others = [k for k in able[np.argsort(total[able], kind="stable")[: _SHOWN + 1]].tolist() if k != j][:_SHOWN]
    behind = [_behind(table, waiting, numbers, j, k) for k in others]
    weigh = table.rules.balance
    own = numbers.points[:, j].tolist()
    together = "patient" in numbers.names and numbers.points[numbers.names.index("patient"), j] < 0
    why, why_her = _why(table, waiting, j, over_cap=over_cap, together=bool(together))
    body: dict[str, Any] = {
        "radiologist_id": chosen.radiologist_id,
        "why": why,
        "why_her": why_her,
        "factors": [
            *_facts(waiting, table, j),
            *(
                {"name": name, "points": round(p, 3), "weight": getattr(weigh, _WEIGHTS.get(name, name), None)}
                for name, p in zip(numbers.names, own, strict=True)
                if p
            ),
        ],
        "you": _hers(table, waiting, i, j, numbers),
        "points": round(float(total[j]), 3),
        "position": position[0],
        "of": position[1],
        "runners_up": [
            {
                "radiologist_id": table.readers[k].radiologist_id,
                "name": table.readers[k].name,
                "why_not": why_not,
                "points": round(float(total[k]), 3),
            }
            for k, why_not in zip(others, behind, strict=True)
        ]
        + _refused(table, i),
        "would_change": _change(table, numbers, j, others, behind),
    }
    return Choice(waiting.study_uid, chosen.radiologist_id, waiting.step, over_cap, why, body)


def _why(table: Table, waiting: Waiting, j: int, *, over_cap: bool, together: bool) -> tuple[str, str]:
    """Return the reasons as told to her, and as told of her; ``together`` with another study of the patient."""
    chosen, wants, parts = table.readers[j], waiting.demand, []
    if waiting.second:
        parts.append((waiting.second,) * 2)
    if chosen.radiologist_id == waiting.preferred:
        parts.append(("you supervise the resident", "supervises the resident"))
    if wants.specialty and wants.specialty in chosen.subspecialties:
        parts.append((f"you read {wants.specialty}", f"reads {wants.specialty}"))
    if wants.jurisdiction:
        parts.append((f"licensed in {wants.jurisdiction}",) * 2)
    if together or (waiting.patient_id and waiting.patient_id in chosen.patients):
        parts.append(("you have this patient's other study", "has this patient's other study"))
    if chosen.radiologist_id in waiting.priors_by:
        parts.append(("you read the prior", "read the prior"))
    if waiting.sooner_than in table.column:
        before = table.readers[table.column[waiting.sooner_than]]
        parts.append((f"sooner than with {before.name or before.radiologist_id}",) * 2)
    held = f"{table.load[j]} of {table.capacity[j]} studies" + (", one more for a STAT" if over_cap else "")
    parts.append((held, held))
    if not math.isinf(waiting.due_at):
        parts.append((f"due in {_length(waiting.due_at - table.now)}",) * 2)
    to_her, of_her = (", ".join(part[side] for part in parts) for side in (0, 1))
    return f"{to_her[0].upper()}{to_her[1:]}.", f"{of_her[0].upper()}{of_her[1:]}."


def _hers(table: Table, waiting: Waiting, i: int, j: int, numbers: Numbers) -> dict[str, Any]:
    """Return her minutes: for this study, in hand, left of what she reads now, to spare, and beyond her share."""
    minutes, now_min = float(table.by_kind[table.kind[i], j]), float(table.current[j])
    ahead, weight = float(table.ahead[j]), table.rules.balance.surplus
    done_at = table.now + 60 * (minutes + (now_min if table.stat[i] else ahead))
    share = (
        numbers.points[numbers.names.index("surplus"), j] / weight if "surplus" in numbers.names and weight else None
    )
    return {
        "kind": waiting.kind,
        "minutes": round(minutes, 1),
        "ahead_min": round(ahead, 1),
        "now_min": round(now_min, 1),
        "spare_min": None if math.isinf(waiting.due_at) else round((waiting.due_at - done_at) / 60, 1),
        "share_min": None if share is None else round(float(share), 1),
    }


def _facts(waiting: Waiting, table: Table, j: int) -> list[dict[str, Any]]:
    return [
        {"name": "specialty", "value": waiting.demand.specialty or "any"},
        {"name": "studies", "value": int(table.load[j])},
        {"name": "capacity", "value": int(table.capacity[j])},
        {"name": "priority", "value": waiting.priority.value},
        {"name": "acuity", "value": waiting.acuity.value},
        *([{"name": "taken_from", "value": waiting.sooner_than}] if waiting.sooner_than else []),
    ]


def _refused(table: Table, i: int) -> list[dict[str, Any]]:
    """Return some of those who may not, with the rule that forbids it: those present first."""
    waiting, refused = table.pool[i], ~table.may[i]
    if waiting.blind:
        refused = refused & np.array([r.radiologist_id not in waiting.barred for r in table.readers], bool)
    first = [*np.flatnonzero(refused & table.present)[:_SHOWN], *np.flatnonzero(refused & ~table.present)[:_SHOWN]]
    return [
        {
            "radiologist_id": table.readers[k].radiologist_id,
            "name": table.readers[k].name,
            "why_not": _rule(table, waiting, i, k),
        }
        for k in map(int, first[:_SHOWN])
    ]


def _rule(table: Table, waiting: Waiting, i: int, k: int) -> str:
    minutes = float(table.by_kind[table.kind[i], k])
    reason = ineligible(waiting, table.standing(k), table.rules, table.now, minutes)
    first = table.column.get(waiting.preferred)
    if reason is None and first is not None and table.may[i, first]:
        return "is asked after who supervises the resident"
    return reason or "has no room left"


def _behind(table: Table, waiting: Waiting, numbers: Numbers, j: int, k: int) -> str:
    """Return what speaks most for the chosen against this one."""
    against = numbers.points[:, k] - numbers.points[:, j]
    most = int(np.argmax(against))
    if against[most] <= _EVEN:
        return "is next"
    match numbers.names[most]:
        case "minutes":
            return f"needs {against[most] / table.rules.balance.speed:.0f} min more for it"
        case "load" | "over_cap":
            return f"has {table.load[k]} of {table.capacity[k]}"
        case "stat":
            return f"has {table.stats[k]:.0f} STAT in hand"
        case "skill":
            return f"is not a {waiting.demand.specialty} specialist"
        case name:
            return _SENTENCES[name]


def _change(table: Table, numbers: Numbers, j: int, others: list[int], behind: list[str]) -> str:
    if not others:
        return "Nobody else may have it now; it would wait for the next who may."
    k = others[0]
    other, gap = table.readers[k], float(numbers.total[k] - numbers.total[j])
    a_study = table.rules.balance.load / max(int(table.capacity[k]), 1)
    if table.rules.choose == "least_cost" and _EVEN < gap <= a_study * int(table.load[k]):
        fewer = math.ceil(gap / a_study)
        return f"With {fewer} {'study' if fewer == 1 else 'studies'} fewer it would go to {other.name}."
    if behind[0] == "is next":
        return f"{other.name} was as good a choice; the lot decided."
    return f"It would go to {other.name}, {max(gap, 0.0):.0f} points behind, but she {behind[0]}."


def _length(seconds: float) -> str:
    """Return a time left as people read it: "30 min", "23 h 59 min"."""
    minutes = max(0, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004
