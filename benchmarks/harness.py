"""What benchmarks share: rows with their targets, a table for people, one JSON object in the last line for machines."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # a bare checkout runs, installed or not


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. A missed target sets ``ok`` to false and changes nothing else; no target: ``ok``."""

    metric: str
    value: float | None
    unit: str
    target: float | None
    better: Literal["lower", "higher"]

    @property
    def ok(self) -> bool:
        """Whether it was measured and holds its target."""
        if self.value is None or self.target is None:
            return self.value is not None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    def as_json(self) -> dict[str, Any]:
        """Return it as the last line carries it."""
        value = None if self.value is None else round(self.value, 3)
        return {
            "metric": self.metric, "value": value, "unit": self.unit, "target": self.target, "better": self.better,
            "ok": self.ok,
        }  # fmt: skip


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that a share of them does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def main(name: str, measure: Callable[..., Iterable[Row]], parts: Sequence[str] = ()) -> None:
    """Measure and print; exits 0 whenever it could measure. Of what has ``parts`` some may be asked for: they add up."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    if parts:
        parser.add_argument("--part", action="append", choices=parts, help="only this one; may be given again")
    given = parser.parse_args()
    as_json = given.json
    rows = list(measure(*([given.part or list(parts)] if parts else [])))
    if not as_json:
        for row in rows:
            value = "-" if row.value is None else f"{row.value:,.1f}"
            target = "" if row.target is None else f"{'≤' if row.better == 'lower' else '≥'} {row.target:,.0f}"
            print(f"{row.metric:<24} {value:>12} {row.unit:<8} {target:<12} {'' if row.ok else 'MISSED'}")
        return
    print(json.dumps({"name": name, "rows": [row.as_json() for row in rows]}))
