"""What a scanner makes of a head: blur, cupping, a bright rim under the bone, streaks at the skull base, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from inference.training import anatomy, bleed
from inference.training.bleed import FREQUENCY, Bleed
from inference.training.grid import Grid, chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.training.anatomy import Head
    from inference.training.grid import Mask


def acquire(rng: np.random.Generator, head: Head) -> NDArray[np.int16]:
    """Return the head as scanned, in HU."""
    x, y, z = head.x, head.y, head.z
    sharp_mm = rng.uniform(0.6, 1.3, 2)
    hu = np.clip(head.hu, -1000, 2000)
    hu = ndimage.gaussian_filter(hu, [0.35, *(sharp_mm / head.grid.pixel_mm)])
    hu += rng.uniform(0, 5) * ((x**2 + y**2) / 5000 - 0.5)  # cupping: beam hardening of the skull
    rim = rng.uniform(0, 10) * (1 + np.clip(z - 30, 0, 40) / 40)  # and more of it near the vertex
    hu += np.where(head.depth > 0, rim * np.exp(-np.clip(head.depth, 0, 60) / rng.uniform(2, 7)), 0)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 9)
    low = np.clip((-z - 20) / 20, 0, 1)
    hu += rng.uniform(0, 8) * np.sin((y * np.cos(angle) + x * np.sin(angle)) / period) * low  # streaks
    grain = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), [0, 0.6, 0.6])
    hu += grain / grain.std() * np.exp(rng.uniform(np.log(0.8), np.log(5.5)))
    return np.clip(np.round(hu + rng.normal(0, 1.5)), -1024, 3071).astype(np.int16)


def study(
    seed: int, *, bleeds: bool, kind: Bleed | None = None, grid: Grid | None = None
) -> tuple[NDArray[np.int16], Mask, Bleed | None]:
    """Return a scanned head, where it bleeds, and how; the same seed gives the same study."""
    rng = np.random.default_rng(seed)
    head = anatomy.head(rng, grid or Grid())
    blood = np.zeros(head.grid.shape, bool)
    kind = (kind or rng.choice(list(Bleed), p=FREQUENCY)) if bleeds else None
    if kind is not None:
        blood = bleed.add(rng, head, Bleed(kind))
    hu = acquire(rng, head)
    if chance(rng, 0.5):
        hu, blood = np.ascontiguousarray(hu[:, :, ::-1]), np.ascontiguousarray(blood[:, :, ::-1])
    return hu, blood, kind and Bleed(kind)
