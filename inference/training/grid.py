"""The lattice a generated head lives on, and smooth random fields over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Field: TypeAlias = "NDArray[np.float32]"
Mask: TypeAlias = "NDArray[np.bool_]"


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True as often as ``probability`` says."""
    return bool(rng.random() < probability)


@dataclass(frozen=True, slots=True)
class Grid:
    """Axial slices from the feet to the head; arrays over it are (z, y, x), lengths in mm, axes L P S."""

    slices: int = 28
    size: int = 128
    slice_mm: float = 5.0
    view_mm: float = 224.0

    @property
    def pixel_mm(self) -> float:
        """Distance of two pixels."""
        return self.view_mm / self.size

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances along z, y, x."""
        return self.slice_mm, self.pixel_mm, self.pixel_mm

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an array over the grid."""
        return self.slices, self.size, self.size

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return self.slice_mm * self.pixel_mm**2 / 1000

    def axes(self) -> tuple[Field, Field, Field]:
        """Return z, y, x of the voxel centres about the middle of the grid, shaped to broadcast."""
        lines = [
            ((np.arange(n) - (n - 1) / 2) * step).astype(np.float32)
            for n, step in zip(self.shape, self.spacing_mm, strict=True)
        ]
        return lines[0][:, None, None], lines[1][None, :, None], lines[2][None, None, :]

    def noise(self, rng: np.random.Generator, scale_mm: float) -> Field:
        """Return Gaussian noise of unit variance that varies over about ``scale_mm``.

        Knots of white noise one scale apart are spread by a Gaussian along each axis in turn, which
        costs a small matrix product instead of a wide filter over the whole volume.
        """
        spreads = []
        for n, step in zip(self.shape, self.spacing_mm, strict=True):
            knot_mm = max(scale_mm, step / 2)
            knots = np.arange(-2, n * step / knot_mm + 3) * knot_mm
            away = (np.arange(n)[:, None] * step - knots[None, :]) / knot_mm
            spreads.append(np.exp(-0.5 * away**2).astype(np.float32))
        field = rng.standard_normal([spread.shape[1] for spread in spreads]).astype(np.float32)
        for axis, spread in enumerate(spreads):
            field = np.moveaxis(np.tensordot(spread, field, axes=(1, axis)), 0, axis)
        field -= field.mean()
        return np.ascontiguousarray(field / max(float(field.std()), 1e-6))
