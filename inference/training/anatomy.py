# ruff: noqa: PLR2004 - the millimetres and HU of an anatomy are its data
"""A generated head without a bleed: skull, brain, ventricles, and whatever else is bright and harmless."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference.training.grid import Field, Grid, Mask, chance

_AIR_HU = -1000.0
_FLOOR_Y_MM = (-70.0, -25.0, -10.0, 12.0, 30.0)  # forehead to occiput: the three steps of the skull base
_FLOOR_Z_MM = (-26.0, -32.0, -44.0, -48.0, -66.0)


@dataclass(slots=True)
class Head:
    """A head in HU with what later steps ask of it; ``depth`` is mm below the inner table, x y z its own axes."""

    grid: Grid
    hu: Field
    brain: Mask
    depth: Field
    ventricles: Mask
    sulci: Mask
    x: Field
    y: Field
    z: Field

    def ball(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Mask:
        """Return the ellipsoid at ``centre`` (x, y, z) with half axes ``radii``, in mm."""
        (cx, cy, cz), (rx, ry, rz) = centre, radii
        inside: Mask = ((self.x - cx) / rx) ** 2 + ((self.y - cy) / ry) ** 2 + ((self.z - cz) / rz) ** 2 < 1
        return inside

    def fill(self, where: Mask, hu: float) -> None:
        """Set the brain voxels of ``where``."""
        self.hu[where & self.brain] = hu


def _axes(rng: np.random.Generator, grid: Grid) -> tuple[Field, Field, Field]:
    """Return x, y, z of a head that lies a little turned, nodded and off centre."""
    z0, y0, x0 = grid.axes()
    z, y, x = z0 + rng.normal(4, 5), y0 - rng.normal(-3, 3), x0 - rng.normal(0, 3)
    turn, nod = rng.normal(0, np.deg2rad([6, 7]))
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    y, z = y * np.cos(nod) - z * np.sin(nod), y * np.sin(nod) + z * np.cos(nod)
    flat = np.broadcast_arrays(x, y, z)
    return tuple(np.ascontiguousarray(axis, np.float32) for axis in flat)  # type: ignore[return-value]


def _skull(rng: np.random.Generator, grid: Grid) -> Head:
    """Return scalp, bone and an empty cranium of one grey."""
    x, y, z = _axes(rng, grid)
    half = rng.normal((67, 84, 72), (4, 5, 3))
    radius = np.sqrt((x / half[0]) ** 2 + (y / half[1]) ** 2 + (z / half[2]) ** 2) * (1 + 0.025 * grid.noise(rng, 45))
    depth = ((1 - radius) * 0.9 * min(half[0], half[1])).astype(np.float32)
    bone_mm, scalp_mm = rng.uniform(4, 9), rng.uniform(4, 9)
    floor = np.interp(y, _FLOOR_Y_MM, _FLOOR_Z_MM).astype(np.float32) + 1.5 * grid.noise(rng, 18)
    hu = np.full(grid.shape, _AIR_HU, np.float32)
    fat = (grid.noise(rng, 9) > rng.uniform(-0.3, 0.8)) | (depth < -(bone_mm + 0.55 * scalp_mm))
    skin = depth > -(bone_mm + scalp_mm)
    hu[skin] = np.where(fat, rng.uniform(-100, -50), rng.uniform(35, 60))[skin]
    above = z > floor - bone_mm
    table = (depth <= 0) & (depth > -bone_mm) & above
    hu[table] = rng.uniform(900, 1400)
    hu[table & (depth < -bone_mm * 0.35) & (depth > -bone_mm * 0.65)] = rng.uniform(350, 850)  # diploe
    hu[(depth > 0) & above & (z <= floor)] = rng.uniform(500, 1000)
    return Head(
        grid, hu, (depth > 0) & (z > floor), depth, np.zeros(grid.shape, bool), np.zeros(grid.shape, bool), x, y, z
    )


def _face(rng: np.random.Generator, head: Head) -> None:
    """Draw orbits, sinuses, mastoid cells and the petrous ridges."""
    below = ~head.brain & (head.depth > -3)
    for side in (-1, 1):
        at = side * rng.normal(31, 2)
        orbit = head.ball((at, -58, -42), (19, 24, 17)) & below
        head.hu[orbit] = rng.uniform(-100, -70)
        head.hu[head.ball((at, -67, -42), (12.5, 12.5, 12.5)) & orbit] = rng.uniform(5, 20)
        head.hu[head.ball((at * 0.9, -44, -43), (2.5, 16, 3)) & orbit] = rng.uniform(25, 40)
        if chance(rng, 0.85):
            head.hu[head.ball((side * 55, 26, -50), (10, 13, 11)) & ~head.brain & (head.depth > -9)] = rng.uniform(
                -800, 300
            )
        ridge = head.ball((side * 36, 12, -42), (24, 8, rng.uniform(7, 13)))
        head.hu[ridge & (head.depth > 0)] = rng.uniform(700, 1300)
        head.brain &= ~ridge
    head.hu[head.ball((0, -60, -46), (11, 22, 13)) & below] = rng.uniform(-950, -500)
    if chance(rng, 0.7):  # a frontal sinus, between plates of bone
        wide = rng.uniform(8, 22)
        near = head.ball((rng.normal(0, 4), -84, -18), (wide + 3, 12, 15)) & (head.depth < 0) & (head.depth > -9)
        head.hu[near] = rng.uniform(500, 1000)
        inner = head.ball((rng.normal(0, 4), -84, -18), (wide, 9, 12)) & (head.depth < -2) & (head.depth > -7)
        head.hu[inner] = rng.uniform(-950, -300)
    if chance(rng, 0.6):
        rest = (head.y > 25) & (head.depth < -19) & (head.depth > -19 - rng.uniform(2, 5))
        head.hu[rest] = rng.uniform(-250, 250)


def _tissue(rng: np.random.Generator, head: Head) -> float:
    """Draw grey and white matter, sulci and ventricles; return the grey's HU."""
    grid, depth = head.grid, head.depth
    grey, white = rng.normal((37, 29), 1.8)
    csf, atrophy, wide = rng.uniform(3, 12), rng.uniform(0, 1), rng.uniform(0.55, 1.5)
    head.hu[head.brain] = white
    folds = grid.noise(rng, 9)
    cortex = (depth < rng.uniform(4, 7) + 2 * grid.noise(rng, 10)) | (grid.noise(rng, 14) > 1.3)
    head.fill(cortex | (head.z < -38), grey - rng.uniform(0, 2))
    for side in (-1, 1):
        head.fill(head.ball((side * 22, 0, 0), (10, 16, 14)), grey + 1)  # deep nuclei
    head.sulci = head.brain & (depth < rng.uniform(8, 22)) & (np.abs(folds) < 0.05 + 0.16 * atrophy)
    head.hu[head.sulci] = csf + 8
    head.fill(depth < 0.3 + 2.2 * atrophy, csf + 6)
    size = wide * (0.8 + 0.5 * atrophy)
    for side in (-1, 1):
        body = head.ball((side * (9 + 3 * size), -3, 12), (5 * size, 32 * size**0.5, 10 * size))
        horn = head.ball((side * (17 + 6 * size), 32, 4), (5 * size, 14, 9 * size))
        head.ventricles |= body | horn
    head.ventricles |= head.ball((0, 3, -3), (2 * size, 14, 9)) | head.ball((0, 32, -36), (5 * size, 5 * size, 8))
    head.ventricles &= head.brain
    head.hu[head.ventricles] = csf
    cistern = head.ball((0, -8, -26), (14, 9, 7)) | head.ball((0, 22, -12), (15, 4, 6))
    head.fill(cistern, csf + 6)
    return float(grey)


def _membranes(rng: np.random.Generator, head: Head, grey: float) -> None:
    """Draw falx, tentorium, venous sinuses and the basilar artery: bright, thin and harmless."""
    x, y, z, depth = head.x, head.y, head.z, head.depth
    midline = np.abs(x + 1.5 * head.grid.noise(rng, 40)) < rng.uniform(0.7, 1.8)
    falx = midline & ((z > 8) | (np.abs(y) > 40)) & (depth < 45) & (z > -25)
    head.fill(falx, rng.uniform(42, 64))
    if chance(rng, 0.85):
        sagittal = (depth < rng.uniform(4, 7)) & (np.abs(x) < rng.uniform(3, 6)) & (y > 20) & (z > -25)
        head.fill(sagittal, rng.uniform(45, 68))
    if chance(rng, 0.7):
        transverse = (depth < 6) & (x * rng.choice([-1, 1]) > 8) & (y > 25) & (np.abs(z + 26) < 5)
        head.fill(transverse, rng.uniform(45, 66))
    sheet = np.abs(z + 22 - 0.8 * (y - 22) + 0.35 * np.abs(x)) < rng.uniform(0.8, 2)
    head.fill(sheet & (y > 8) & (z < 12) & (np.abs(x) > 5), max(grey, rng.uniform(40, 62)))
    if chance(rng, 0.4):
        head.fill(head.ball((0, -12, -24), (1.8, 1.8, 9)), rng.uniform(42, 62))


def _lumps(rng: np.random.Generator, head: Head) -> None:
    """Draw calcifications and, now and then, an old infarct."""
    calcium = rng.uniform(80, 300)
    if chance(rng, 0.6):
        head.fill(head.ball((rng.normal(0, 1.5), 20, -2), (rng.uniform(2, 4),) * 3), calcium)  # pineal
    if chance(rng, 0.5):
        for side in (-1, 1):
            head.fill(head.ball((side * 20, 30, 5), (rng.uniform(2, 5),) * 3), calcium)  # choroid plexus
    if chance(rng, 0.15):
        for side in (-1, 1):
            head.fill(head.ball((side * 20, -4, 0), (rng.uniform(2, 5),) * 3), rng.uniform(55, 130))  # pallidum
    at = (rng.uniform(-40, 40), rng.uniform(-50, 50), rng.uniform(-10, 40))
    if chance(rng, 0.12):
        head.fill(head.ball(at, (rng.uniform(3, 8),) * 3), rng.uniform(120, 400))  # calcified meningioma
    elif chance(rng, 0.15):
        head.fill(head.ball(at, (rng.uniform(8, 25), rng.uniform(8, 25), rng.uniform(8, 20))), rng.uniform(8, 22))


def head(rng: np.random.Generator, grid: Grid) -> Head:
    """Return a head without a bleed."""
    made = _skull(rng, grid)
    _face(rng, made)
    grey = _tissue(rng, made)
    _membranes(rng, made, grey)
    _lumps(rng, made)
    return made
