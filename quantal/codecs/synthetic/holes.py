"""Pictures without their synthetic tiles, for transforms: holes filled from around them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Bits

__all__ = ["fill_holes"]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_SMOOTH = (0.25, 0.5, 0.25)


def _halved(sums: Floats) -> Floats:
    height, width = sums.shape[:2]
    even = np.pad(sums, ((0, height % 2), (0, width % 2), (0, 0)))
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


def _doubled(values: Floats, height: int, width: int) -> Floats:
    wide = np.repeat(np.repeat(values, 2, 0), 2, 1)[:height, :width]
    wide = np.pad(wide, ((1, 1), (1, 1), (0, 0)), mode="edge")
    found = np.zeros((height, width, values.shape[2]))
    for row, above in enumerate(_SMOOTH):
        for column, left in enumerate(_SMOOTH):
            found += above * left * wide[row : row + height, column : column + width]
    return found


def fill_holes(pixels: Bytes, holes: Bits) -> Bytes:
    """Return a picture whose holes continue what is around them, smoothly.

    Means of what is known are taken over squares of growing sides, and holes get the means of the
    smallest square that knows any (pull and push: Gortler et al. 1996, "The Lumigraph").

    Args:
        pixels: uint8 [H, W, C].
        holes: bool [H, W].
    """
    if not holes.any() or holes.all():
        return pixels
    weights = (~holes)[..., None].astype(np.float64)
    sums = pixels * weights
    levels = []
    while max(sums.shape[:2]) > 1:
        levels.append((sums, weights))
        sums, weights = _halved(sums), _halved(weights)
        scale = 1 / np.maximum(weights, 1)
        sums, weights = sums * scale, weights * scale
    values = sums / np.maximum(weights, 1e-9)
    for sums, weights in reversed(levels):
        coarse = _doubled(values, *sums.shape[:2])
        values = sums + (1 - weights) * coarse
    return np.where(holes[..., None], np.clip(np.rint(values), 0, 255), pixels).astype(np.uint8)
