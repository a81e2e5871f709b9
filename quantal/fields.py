"""Fields of motion vectors: what searches find, streams hold, and compensation follows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "SIDE", "UNITS", "Field"]

Field = npt.NDArray[np.int16]
"""Vectors (dx, dy) of blocks in quarter pixels, int16 [2, ceil(H / 8), ceil(W / 8)]: the block is
predicted from what lies dx / 4 pixels to its right and dy / 4 below it in the frame before."""

BLOCK = 8
"""Pixels along a side of a block."""

SIDE = 2
"""Blocks along a side of a macroblock."""

UNITS = 4
"""Units of a vector in a pixel."""
