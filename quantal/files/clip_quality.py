"""PSNR of decoded frames."""

from __future__ import annotations

import math

import numpy as np

from quantal.codecs.contract import Pixels
from quantal.planes import bands

__all__ = ["HIGHEST_PSNR", "psnr_of"]

HIGHEST_PSNR = 100.0
"""PSNR in dB of equal frames, so that means stay finite."""

_STRIP_PIXELS = 1 << 20  # of the rows that are compared at a time


def psnr_of(drawn: Pixels, given: Pixels) -> float:
    """Return the PSNR-RGB of a frame in dB, at most HIGHEST_PSNR.

    Args:
        drawn: uint8 [H, W, 3].
        given: uint8 [H, W, 3].
    """
    squares = 0
    height, width = drawn.shape[:2]
    for rows in bands(height, width, _STRIP_PIXELS):
        difference = drawn[rows].astype(np.int32) - given[rows]
        squares += int(np.square(difference).sum(dtype=np.int64))
    if not squares:
        return HIGHEST_PSNR
    return min(10 * math.log10(255**2 * drawn.size / squares), HIGHEST_PSNR)
