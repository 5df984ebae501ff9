"""Cropping and scaling to a viewport (PS3.18 8.3.5.1.3): aspect ratio kept, smooth in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def crop(pixels: NDArray[Any], x: int, y: int, width: int, height: int) -> NDArray[Any]:
    """Return a region; negative sizes mirror it. Outside the image there is nothing."""
    out = pixels[max(y, 0) : max(y, 0) + abs(height), max(x, 0) : max(x, 0) + abs(width)]
    if width < 0:
        out = out[:, ::-1]
    return out[::-1] if height < 0 else out


def fit(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return an image scaled to touch a box from inside."""
    rows, columns = pixels.shape[:2]
    factor = min(width / columns, height / rows)
    to = max(round(rows * factor), 1), max(round(columns * factor), 1)
    if to == (rows, columns):
        return pixels
    out = pixels.astype(np.float32)
    for axis in (0, 1):
        out = _along(out, axis, to[axis])
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _along(pixels: NDArray[np.float32], axis: int, size: int) -> NDArray[np.float32]:
    """Scale one axis with a triangle filter, as wide as the step when shrinking."""
    pixels = np.moveaxis(pixels, axis, 0)
    whole = pixels.shape[0] // (size * 2)
    if whole > 1:  # far too large: whole blocks first
        cut = pixels.shape[0] // whole * whole
        pixels = pixels[:cut].reshape(-1, whole, *pixels.shape[1:]).mean(axis=1)
    step = pixels.shape[0] / size
    reach = max(step, 1.0)
    centers = (np.arange(size) + 0.5) * step - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(pixels.shape[0])[None, :] - centers[:, None]) / reach)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.moveaxis(np.tensordot(weights, pixels, axes=(1, 0)), 0, axis)
