"""Simulated acute bleeds of five kinds, put into a generated head or a real one."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from inference.training.grid import chance

if TYPE_CHECKING:
    from inference.training.anatomy import Head
    from inference.training.grid import Field, Mask

_TRIES = 16


class Bleed(StrEnum):
    """Where the blood is."""

    INTRAPARENCHYMAL = "intraparenchymal"
    SUBDURAL = "subdural"
    EPIDURAL = "epidural"
    SUBARACHNOID = "subarachnoid"
    INTRAVENTRICULAR = "intraventricular"


FREQUENCY = (0.30, 0.28, 0.14, 0.18, 0.10)


def _somewhere(rng: np.random.Generator, head: Head, where: Mask) -> tuple[Field, Field, Field]:
    """Return x, y, z about a random voxel of ``where``, or of the brain where that is empty."""
    spots = np.argwhere(where if where.any() else head.brain)
    spot = tuple(spots[rng.integers(len(spots))])
    return head.x - head.x[spot], head.y - head.y[spot], head.z - head.z[spot]


def _intraparenchymal(rng: np.random.Generator, head: Head, ml: float | None) -> Mask:
    x, y, z = _somewhere(rng, head, head.brain & (head.depth > (18 if ml else 8)) & ~head.ventricles)
    volume_ml = ml or float(np.exp(rng.uniform(0, np.log(45))))
    radius = (volume_ml * 1000 * 3 / 4 / np.pi) ** (1 / 3)
    stretch = np.exp(rng.normal(0, 0.2, 3))
    sx, sy, sz = stretch / stretch.prod() ** (1 / 3)
    away = np.sqrt((x / sx) ** 2 + (y / sy) ** 2 + (z / sz) ** 2) * (1 + 0.15 * head.grid.noise(rng, 8))
    blood: Mask = (away < radius) & head.brain
    head.hu[(away < radius + rng.uniform(2, 8)) & head.brain & ~blood] -= rng.uniform(4, 10)  # oedema
    return blood


def _along_the_skull(rng: np.random.Generator, head: Head, kind: Bleed) -> Mask:
    toward = rng.standard_normal(3)
    toward[2] = toward[2] * 0.5 + 0.3
    toward /= np.linalg.norm(toward)
    length = np.sqrt(head.x**2 + head.y**2 + head.z**2) + 1e-3
    cosine = (head.x * toward[0] + head.y * toward[1] + head.z * toward[2]) / length
    if kind is Bleed.SUBDURAL:  # a crescent that keeps to one side
        thick = rng.uniform(4, 14) * np.sqrt(np.clip((cosine - rng.uniform(0, 0.45)) / 0.35, 0, 1))
        thick = np.where(np.sign(head.x) == np.sign(toward[0]), thick, 0)
    else:  # a lens
        edge = rng.uniform(0.75, 0.88)
        thick = rng.uniform(8, 25) * np.clip((cosine - edge) / (1 - edge), 0, 1)
    blood: Mask = head.brain & (head.depth < thick)
    return blood


def _subarachnoid(rng: np.random.Generator, head: Head) -> Mask:
    x, y, z = _somewhere(rng, head, head.sulci)
    near = np.sqrt(x**2 + y**2 + z**2) < rng.uniform(18, 45)
    folds = (np.abs(head.grid.noise(rng, 8)) < 0.12) & (head.depth < 18)  # noqa: PLR2004 - share of folds, mm
    blood: Mask = near & (head.sulci | folds | (head.depth < 1.5)) & head.brain & ~head.ventricles  # noqa: PLR2004 - mm
    return blood


def _intraventricular(rng: np.random.Generator, head: Head) -> Mask:
    y = head.y[head.ventricles]
    level = np.percentile(y, rng.uniform(35, 80)) if y.size else 0  # blood sinks to the back
    blood = head.ventricles & (head.y > level)
    if chance(rng, 0.67):
        blood &= np.sign(head.x) == rng.choice([-1, 1])
    return blood


def _draw(rng: np.random.Generator, head: Head, kind: Bleed, ml: float | None) -> Mask:
    match kind:
        case Bleed.INTRAPARENCHYMAL:
            return _intraparenchymal(rng, head, ml)
        case Bleed.SUBDURAL | Bleed.EPIDURAL:
            return _along_the_skull(rng, head, kind)
        case Bleed.SUBARACHNOID:
            return _subarachnoid(rng, head)
        case Bleed.INTRAVENTRICULAR:
            return _intraventricular(rng, head)


def add(  # noqa: PLR0913 - each may be left out
    rng: np.random.Generator,
    head: Head,
    kind: Bleed,
    *,
    least_ml: float = 0.6,
    ml: float | None = None,
    hu: tuple[float, float] | None = None,
) -> Mask:
    """Put a bleed of at least ``least_ml`` into the head, in place, and return where it is.

    ``ml`` fixes the volume of an intraparenchymal one, ``hu`` the range its brightness is drawn from.
    Where a head has no room for the kind (slits of ventricles), the largest of several tries stands.
    """
    best, before = np.zeros(head.grid.shape, bool), head.hu.copy()
    after = before
    for _ in range(_TRIES):
        head.hu = before.copy()
        blood = _draw(rng, head, kind, ml)
        if blood.sum() >= best.sum():
            best, after = blood, head.hu
        if best.sum() * head.grid.voxel_ml >= least_ml:
            break
    low, high = hu or {Bleed.SUBARACHNOID: (48, 64), Bleed.SUBDURAL: (52, 75)}.get(kind, (55, 78))
    millimetres = (1.75, 1.2, 1.2)
    sigma = [mm / step for mm, step in zip(millimetres, head.grid.spacing_mm, strict=True)]
    soft = ndimage.gaussian_filter(best.astype(np.float32), sigma)
    texture = rng.uniform(low, high) + 3 * head.grid.noise(rng, 6)
    head.hu = after * (1 - soft) + texture * soft
    return best
