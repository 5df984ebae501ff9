"""Measure the reference model on heads it was not trained on; prints one JSON object.

    python -m inference.training.evaluate --first-seed 40000 --heads 240
    python -m inference.training.evaluate --first-seed 50000 --heads 120 --real DIRECTORY_OF_A_CT_SERIES

Training uses seeds below 10,000; choices were made on seeds up to 39,999, so those count as seen. Take
fresh ones, once. ``--real`` puts simulated bleeds into variations of one real head instead.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.training import bleed, real, scanner
from inference.training.bleed import FREQUENCY, Bleed
from inference.triage.hyperdense import VOXEL_ML, measure, model_input
from inference.triage.model import REFERENCE, HeadCtModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from inference.triage.hyperdense import Volume


def auc(bleeding: NDArray[np.float64], clean: NDArray[np.float64]) -> float:
    """Return the probability that a bleeding head scores above a clean one, ties half."""
    above = bleeding[:, None] > clean[None]
    return float(above.mean() + 0.5 * (bleeding[:, None] == clean[None]).mean())


def generated(seed: int) -> tuple[Volume, Bleed | None, float]:
    """Return a generated head, how it bleeds and how much; every other one does."""
    hu, blood, kind = scanner.study(seed, bleeds=seed % 2 == 0)
    return hu.astype(np.float32), kind, float(blood.sum() * VOXEL_ML)


def on_real(seed: int, head: Volume) -> tuple[Volume, Bleed | None, float]:
    """Return a variation of a real head, every other one with a simulated bleed."""
    rng = np.random.default_rng(seed)
    hu = real.varied(rng, head)
    if seed % 2:
        return real.grain(rng, hu), None, 0.0
    stage = real.stage(hu)
    kind = Bleed(rng.choice(list(Bleed), p=FREQUENCY))
    blood = bleed.add(rng, stage, kind)
    return real.grain(rng, stage.hu), kind, float(blood.sum() * VOXEL_ML)


def _share(hits: Sequence[bool]) -> float | None:
    return round(float(np.mean(hits)), 3) if len(hits) else None


def table(model: HeadCtModel, heads: Sequence[tuple[Volume, Bleed | None, float]]) -> dict[str, Any]:
    """Return AUC of the model and of its parts, and what the operating point finds and flags in vain."""
    rows, likely = [], model.manifest.operating_point.probability
    for hu, kind, ml in heads:
        found = measure(hu)
        network = float((model.probability(model_input(found)) > likely).sum() * VOXEL_ML)
        rows.append((kind, ml, model.suspected_ml(found), network, found.bright_ml))
    above = model.manifest.operating_point.suspected_ml
    bleeding, clean = [row for row in rows if row[0]], [row for row in rows if not row[0]]
    hits = [(kind, ml, suspected > above) for kind, ml, suspected, *_ in bleeding]
    scores = {
        name: round(auc(np.array([row[at] for row in bleeding]), np.array([row[at] for row in clean])), 3)
        for name, at in (("suspected", 2), ("network_unmasked", 3), ("classical", 4))
    }
    by_size = {"below 5 mL": (0.0, 5.0), "5 to 15 mL": (5.0, 15.0), "15 mL and more": (15.0, np.inf)}
    return {
        "heads": len(rows),
        "bleeding": len(bleeding),
        "operating_point_ml": above,
        "auc": scores,
        "sensitivity": _share([hit for *_, hit in hits]),
        "specificity": _share([suspected <= above for _, _, suspected, *_ in clean]),
        "sensitivity_by_kind": {
            kind.value: [_share([hit for k, _, hit in hits if k is kind]), sum(k is kind for k, *_ in hits)]
            for kind in Bleed
        },
        "sensitivity_by_size": {
            name: [_share([hit for _, ml, hit in hits if low <= ml < high]), sum(low <= ml < high for _, ml, _ in hits)]
            for name, (low, high) in by_size.items()
        },
        "clean_ml": {
            name: round(float(np.quantile([suspected for _, _, suspected, *_ in clean], part)), 2)
            for name, part in (("median", 0.5), ("p95", 0.95), ("max", 1.0))
        },
    }


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=REFERENCE)
    parser.add_argument("--first-seed", type=int, default=40_000)
    parser.add_argument("--heads", type=int, default=240)
    parser.add_argument("--real", type=Path)
    args = parser.parse_args()
    model = HeadCtModel(args.model)
    seeds = range(args.first_seed, args.first_seed + args.heads)
    untouched = real.load(args.real) if args.real else None
    heads = [generated(seed) if untouched is None else on_real(seed, untouched) for seed in seeds]
    answer = table(model, heads)
    if untouched is not None:
        answer["untouched_ml"] = round(model.suspected_ml(measure(untouched)), 2)
    sys.stdout.write(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
