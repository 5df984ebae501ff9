"""One real head as a stage for simulated bleeds: read leniently, varied, and given back as a Head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmread
from scipy import ndimage

from inference.training.anatomy import Head
from inference.training.grid import Grid, chance
from inference.triage.hyperdense import SPACING_MM, measure
from inference.triage.preprocess import SIZE, Scan, to_lattice

if TYPE_CHECKING:
    from pathlib import Path

    from inference.triage.hyperdense import Volume

_FLUID_HU = 17


def load(directory: Path) -> Volume:
    """Return a CT series on the lattice, tilted or unevenly spaced as it may be; triage itself would refuse it."""
    slices = sorted(
        (dcmread(path) for path in directory.iterdir() if path.is_file()),
        key=lambda ds: float(ds.ImagePositionPatient[2]),
    )
    z = np.asarray([float(ds.ImagePositionPatient[2]) for ds in slices])
    hu = np.stack(
        [ds.pixel_array.astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices]
    )
    wanted = np.interp(np.arange(z[0], z[-1], 2.5), z, np.arange(len(z)))
    below = np.clip(wanted.astype(int), 0, len(z) - 2)
    part = (wanted - below)[:, None, None].astype(np.float32)
    even = hu[below] * (1 - part) + hu[below + 1] * part
    down_mm, across_mm = (float(mm) for mm in slices[0].PixelSpacing)
    return to_lattice(Scan(np.ascontiguousarray(even, np.float32), (2.5, down_mm, across_mm)))


def varied(rng: np.random.Generator, hu: Volume) -> Volume:
    """Return the head turned, scaled, moved, mirrored and a little brighter or darker."""
    turn, scale = np.deg2rad(rng.normal(0, 5)), rng.uniform(0.94, 1.06)
    matrix = np.eye(3)
    matrix[1:, 1:] = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    middle = (np.asarray(hu.shape) - 1) / 2
    offset = middle - matrix @ (middle + [0, *rng.normal(0, 2, 2)])  # noqa: RUF005
    moved: Volume = ndimage.affine_transform(hu, matrix, offset, order=1, cval=-1000.0)
    if chance(rng, 0.5):
        moved = moved[:, :, ::-1]
    return np.ascontiguousarray(moved + rng.normal(0, 1.5), np.float32)


def stage(hu: Volume) -> Head:
    """Return a real head with what the simulated bleeds ask of one: depth, ventricles, sulci."""
    found = measure(hu)
    brain = found.intracranial
    depth = ndimage.distance_transform_edt(brain, SPACING_MM) - ndimage.distance_transform_edt(~brain, SPACING_MM)
    smooth = ndimage.gaussian_filter(hu, [0, 0.7, 0.7])
    fluid = brain & (smooth < _FLUID_HU)
    deep = depth > 22  # noqa: PLR2004 - mm
    grid = Grid(slices=len(hu), size=SIZE)
    z, y, x = np.broadcast_arrays(*grid.axes())
    x, y, z = ((axis - axis[brain].mean()).astype(np.float32) for axis in (x, y, z))
    return Head(grid, hu.copy(), brain, depth.astype(np.float32), fluid & deep, fluid & ~deep, x, y, z)


def grain(rng: np.random.Generator, hu: Volume) -> Volume:
    """Return the volume with noise of its own."""
    noise = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), [0, 0.6, 0.6])
    return np.asarray(hu + noise / noise.std() * rng.uniform(0, 2), np.float32)
