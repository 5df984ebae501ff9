"""Train the reference head-CT network on generated heads and export it.

    nice python -m inference.training.train --out inference/triage/models/reference_head_ct/model.onnx

Needs ``torch==2.13.0`` (CPU is enough), ``onnx``, ``numpy`` and ``scipy``; nothing of the server. With the
defaults it takes about a quarter of an hour on two cores. Seeds 0... are for training; evaluation uses others.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from inference.training.network import Net
from inference.training.scanner import study
from inference.triage.hyperdense import measure, model_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_BLOOD_PIXELS = 8
_WITH_BLOOD, _ANY = 8, 12  # slices in a batch
_RATE = 2e-3


def example(seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return what the network sees of a generated head, and where it bleeds (every other one does)."""
    hu, blood, _ = study(seed, bleeds=seed % 2 == 0)
    return model_input(measure(hu.astype(np.float32))), blood


def batch(
    rng: np.random.Generator, volumes: NDArray[np.float16], blood: NDArray[np.bool_], bleeding: NDArray[np.int64]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return slices with their neighbours, varied in side, contrast, level and grain, and their blood."""
    slices = volumes.shape[1]
    chosen = [tuple(bleeding[rng.integers(len(bleeding))]) for _ in range(_WITH_BLOOD)]
    chosen += [(rng.integers(len(volumes)), rng.integers(slices)) for _ in range(_ANY)]
    seen, truth = [], []
    for head, index in chosen:
        hu = volumes[head, np.clip([index - 1, index, index + 1], 0, slices - 1)].astype(np.float32)
        mask = blood[head, index]
        for axis, odds in ((2, 0.5), (1, 0.1)):
            if rng.random() < odds:
                hu, mask = np.flip(hu, axis), np.flip(mask, axis - 1)
        inside = hu != 0
        hu = hu * rng.uniform(0.94, 1.06) + rng.normal(0, 2) + rng.standard_normal(hu.shape) * rng.uniform(0, 2.5)
        seen.append((hu * inside).astype(np.float32))
        truth.append(mask[None].astype(np.float32))
    return torch.from_numpy(np.stack(seen)), functional.avg_pool2d(torch.from_numpy(np.stack(truth)), 2)


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return weighted cross entropy plus one minus soft Dice."""
    p = logits.sigmoid()
    dice = (2 * (p * truth).sum() + 1) / ((p + truth).sum() + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=torch.tensor(3.0))
    return entropy + 1 - dice


def train(volumes: NDArray[np.float16], blood: NDArray[np.bool_], steps: int) -> Net:
    """Return a network trained on the heads."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = Net()
    optimiser = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=1e-3)
    bleeding = np.argwhere(blood.sum((2, 3)) > _LEAST_BLOOD_PIXELS)
    begun = time.monotonic()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * max(0.02, 0.5 * (1 + np.cos(np.pi * step / steps)))
        seen, truth = batch(rng, volumes, blood, bleeding)
        loss = loss_of(net(seen), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            sys.stderr.write(f"step {step} loss {loss.item():.3f} {time.monotonic() - begun:.0f} s\n")
    net.eval()
    return net


def main() -> None:
    """Generate, train, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=900)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with ProcessPoolExecutor(args.threads) as pool:
        made = list(pool.map(example, range(args.heads), chunksize=8))
    volumes = np.stack([hu.astype(np.float16) for hu, _ in made])
    net = train(volumes, np.stack([blood for _, blood in made]), args.steps)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        net,
        (torch.zeros(2, 3, 128, 128),),
        str(args.out),
        input_names=["hu"],
        output_names=["logit"],
        dynamic_axes={"hu": {0: "n"}, "logit": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )
    sys.stderr.write(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
