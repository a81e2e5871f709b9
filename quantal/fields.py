"""Fields of motion vectors: what searches find, streams hold, and compensation follows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["BESIDE", "BLOCK", "FILTERS", "FILTER_SUM", "SIDE", "UNITS", "Field"]

Field = npt.NDArray[np.int16]
"""Vectors (dx, dy) of blocks in quarter pixels, int16 [2, ceil(H / 8), ceil(W / 8)]: the block is
predicted from what lies dx / 4 pixels to its right and dy / 4 below it in the frame before."""

BLOCK = 8
"""Pixels along a side of a block."""

SIDE = 2
"""Blocks along a side of a macroblock."""

UNITS = 4
"""Units of a vector in a pixel."""

FILTERS = (
    (0, 0, 0, 64, 0, 0, 0, 0),
    (-1, 4, -10, 58, 17, -5, 1, 0),
    (-1, 4, -11, 40, 40, -11, 4, -1),
    (0, 1, -5, 17, 58, -10, 4, -1),
)
"""Filters that interpolate at the phases 0, 1/4, 1/2 and 3/4; they begin 3 pixels before the one at
phase 0 (HEVC: Ugur et al., "Motion compensated prediction and interpolation filter design in
H.265/HEVC", 2013)."""

FILTER_SUM = 64
"""The sum of the taps of each filter."""

BESIDE = tuple(part / 24 for part in (7, 5, 3, 1, 1, 3, 5, 7))
"""Weights of the prediction by the nearer block beside, from the edge of a block to its middle and
back."""
