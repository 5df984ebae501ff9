"""The classical measure: what is brighter than brain and darker than bone, inside the skull.

It runs on the model's lattice (slices 5.0 mm apart, pixels of 1.75 mm), needs numpy and scipy only,
and also says where the model may look, so that faces and neck raise no alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

Mask: TypeAlias = "NDArray[np.bool_]"
Volume: TypeAlias = "NDArray[np.float32]"

SPACING_MM = (5.0, 1.75, 1.75)
VOXEL_ML = SPACING_MM[0] * SPACING_MM[1] * SPACING_MM[2] / 1000
PIXEL_CM2 = SPACING_MM[1] * SPACING_MM[2] / 100

_BONE_HU, _NO_BLOOD_HU, _FAT_HU = 220, 115, -25  # acute blood stays below 100 HU
_BRAIN_HU = (15, 58)
_ABOVE_BRAIN_HU, _BELOW_CALCIUM_HU = 12, 100
_NARROW = 0.7  # of the largest slice
_LEAST_PIECE_CM2, _LEAST_SLICE_CM2 = 4.0, 40.0  # below: skull base slivers and the vertex
_RINGS_MM = (4.0, 8.0, 14.0, 22.0)
_LEAST_RING_PIXELS = 40
_DISC = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 2)


@dataclass(frozen=True, slots=True)
class Hyperdense:
    """Where the skull's inside is, where it may be judged, where it is bright; and how much.

    ``flat`` is the volume without the brightening that bone casts on its neighbourhood.
    """

    intracranial: Mask
    judged: Mask
    bright: Mask
    flat: Volume
    brain_hu: float

    @property
    def intracranial_ml(self) -> float:
        """Volume inside the skull, as far as the slices show it."""
        return float(self.intracranial.sum() * VOXEL_ML)

    @property
    def bright_ml(self) -> float:
        """Volume of bright tissue away from bone that is thick enough not to be a membrane."""
        return float(ndimage.binary_opening(self.bright, np.ones((1, 5, 5), bool)).sum() * VOXEL_ML)


def measure(hu: Volume) -> Hyperdense:
    """Measure a volume on the lattice, in HU."""
    inside = intracranial(hu)
    flat, brain_hu = _flattened(hu, inside)
    judged = _judged(hu, inside)
    smooth = ndimage.gaussian_filter(flat, [0, 0.9, 0.9])
    band = judged & (smooth > brain_hu + _ABOVE_BRAIN_HU) & (smooth < _BELOW_CALCIUM_HU)
    bright: Mask = ndimage.binary_opening(band, np.ones((1, 3, 3), bool))
    return Hyperdense(inside, judged, bright, flat, brain_hu)


def _flattened(hu: Volume, inside: Mask) -> tuple[Volume, float]:
    """Return the volume less what bone adds at each depth of each slice, and the HU of brain.

    Beam hardening brightens a rim under the vault, most of all near the vertex. A bleed is not on
    all sides at one depth of three slices, so the median there is the rim's; at most 10 HU go.
    """
    tissue = inside & (hu > _BRAIN_HU[0]) & (hu < _BRAIN_HU[1])
    if not tissue.any():
        return hu, 0.0
    brain_hu = float(np.median(hu[tissue]))
    padded = np.pad(inside, ((0, 0), (1, 1), (1, 1)))
    depth = np.stack([ndimage.distance_transform_edt(plane, SPACING_MM[1:]) for plane in padded])[:, 1:-1, 1:-1]
    ring = np.digitize(depth, _RINGS_MM)
    level = np.full((len(hu), len(_RINGS_MM) + 1), brain_hu)
    for (index, of), _ in np.ndenumerate(level):
        there = hu[index][tissue[index] & (ring[index] == of)]
        if there.size > _LEAST_RING_PIXELS:
            level[index, of] = np.median(there)
    level = ndimage.median_filter(level, (3, 1), mode="nearest")
    excess = np.take_along_axis(np.clip(level - brain_hu, 0, 10), ring.reshape(len(hu), -1), 1).reshape(hu.shape)
    return (hu - ndimage.gaussian_filter(excess, [0, 1.5, 1.5])).astype(np.float32), brain_hu


def model_input(found: Hyperdense) -> Volume:
    """Return what the network sees: the flat volume inside the skull and a pixel beyond, else 0 HU."""
    seen = ndimage.binary_dilation(found.intracranial, np.ones((1, 3, 3), bool))
    return np.where(seen, found.flat, 0).astype(np.float32)


def intracranial(hu: Volume) -> Mask:
    """Return what the skull encloses, slice by slice, joined to one piece."""
    inside = np.zeros(hu.shape, bool)
    for index, plane in enumerate(hu):
        closed = ndimage.binary_closing(np.pad(plane > _BONE_HU, 4), iterations=4)[4:-4, 4:-4]
        soft = ndimage.binary_fill_holes(closed) & (plane < _NO_BLOOD_HU) & (plane > _FAT_HU)
        inside[index] = _pieces(ndimage.binary_opening(soft, _DISC))
    inside = _bridged(inside, (hu < _NO_BLOOD_HU) & (hu > _FAT_HU))
    labels, count = ndimage.label(inside)
    if count > 1:
        inside = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    for index, plane in enumerate(inside):
        inside[index] = ndimage.binary_fill_holes(plane)
    return np.asarray(inside, bool)


def _bridged(inside: Mask, soft: Mask) -> Mask:
    """Return the mask with slices mended whose bone has a gap (a sinus, a suture, a burr hole).

    Such a slice is lost to the filling of holes; what its neighbours on both sides enclose, it does too.
    """
    area = inside.sum((1, 2))
    for index in range(1, len(inside) - 1):
        below = index - 1
        above = next((a for a in range(index + 1, min(index + 4, len(inside))) if area[a] > area[below] / 2), None)
        if above is not None and area[index] < min(area[below], area[above]) / 2:
            inside[index] |= inside[below] & inside[above] & soft[index]
            area[index] = inside[index].sum()
    return inside


def _pieces(plane: Mask) -> Mask:
    """Return a slice's pieces without the small ones."""
    labels, count = ndimage.label(plane)
    if not count:
        return plane
    large = np.bincount(labels.ravel()) * PIXEL_CM2 > _LEAST_PIECE_CM2
    large[0] = False
    return np.asarray(large[labels], bool)


def _judged(hu: Volume, inside: Mask) -> Mask:
    """Return the inside without thin slices' worth of brain, and away from bone.

    One pixel away, or two in the narrower slices of skull base and vertex, whose slanting bone
    shares its voxels with brain.
    """
    area = inside.sum((1, 2))
    enough = ndimage.binary_erosion(area * PIXEL_CM2 > _LEAST_SLICE_CM2)  # half of the first and last of them is bone
    bone, square = hu > _NO_BLOOD_HU, np.ones((1, 3, 3), bool)
    narrow = area < _NARROW * area.max(initial=0)
    near = ndimage.binary_dilation(bone, square)
    wider = ndimage.binary_dilation(near, square) & narrow[:, None, None]
    return np.asarray(inside & ~near & ~wider & enough[:, None, None], np.bool_)
