"""The classical measure sees a clear bleed, keeps inside the skull, and forgives a rim under the bone."""

from __future__ import annotations

import numpy as np
import pytest

from inference.training import anatomy, scanner
from inference.training.bleed import Bleed, add
from inference.training.grid import Grid
from inference.triage.hyperdense import VOXEL_ML, measure, model_input


def _pair(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one head scanned without and with 30 mL of blood, and where the blood is."""
    scans = []
    for bleeds in (False, True):
        rng = np.random.default_rng(seed)
        head = anatomy.head(rng, Grid())
        blood = np.zeros(head.grid.shape, bool)
        if bleeds:
            blood = add(np.random.default_rng(seed), head, Bleed.INTRAPARENCHYMAL, ml=30)
        scans.append((scanner.acquire(np.random.default_rng(seed), head).astype(np.float32), blood))
    return scans[0][0], *scans[1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thirty_millilitres_of_blood_are_measured_as_about_thirty(seed: int) -> None:
    clean, bleeding, blood = _pair(seed)
    more_ml = measure(bleeding).bright_ml - measure(clean).bright_ml
    assert 0.6 < more_ml / (blood.sum() * VOXEL_ML) < 1.4


@pytest.mark.parametrize("seed", range(5, 11))
def test_the_inside_of_the_skull_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = anatomy.head(rng, Grid())
    found = measure(scanner.acquire(rng, head).astype(np.float32))
    upper = head.brain & (head.z > -10) & (head.depth > 4)  # where skull bases do not matter
    assert found.intracranial[upper].mean() > 0.9
    assert found.intracranial[head.depth < -3].mean() < 0.01
    assert 700 < found.intracranial_ml < 2000


def test_a_bright_rim_all_around_is_no_bleed() -> None:
    clean, _, _ = _pair(4)
    found = measure(clean)
    depth_mm = np.zeros(clean.shape, np.float32)
    depth_mm[found.intracranial] = 1
    rim = found.intracranial & ~np.pad(found.intracranial, ((0, 0), (3, 3), (3, 3)))[:, 6:, 6:]
    assert measure(clean + 8 * rim.astype(np.float32)).bright_ml < found.bright_ml + 4


def test_the_network_sees_nothing_outside_the_skull() -> None:
    clean, _, _ = _pair(2)
    found = measure(clean)
    seen = model_input(found)
    assert seen.dtype == np.float32
    assert not seen[:, 0].any()
    assert (seen != 0).sum() < 1.4 * found.intracranial.sum()


@pytest.mark.parametrize("hu", [-1000.0, 0.0, 40.0, 1000.0])
def test_a_uniform_block_has_no_inside(hu: float) -> None:
    found = measure(np.full((16, 128, 128), hu, np.float32))
    assert found.intracranial_ml == found.bright_ml == 0
