"""Fields of motion vectors that cost less: bits of vectors weighed against errors of prediction.

The search weighs them too, but for another coder, at another rate and against its own pictures.
Here every macroblock takes, in the order of coding, the cheapest of a few candidates: the
prediction, the vectors of the macroblocks to the left and above, its own vector, or its own four.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.vectors import LIMIT, Field, Scan, field_of, macroblocks, median
from quantal.entropy.walk import FloatArray

__all__ = ["luma", "smoothed"]

#: Pixels along a side of a block, blocks along one of a macroblock, units of a vector in a pixel.
_BLOCK, _SIDE, _UNITS = 8, 2, 4
_PIXELS = _BLOCK * _SIDE
#: A picture continues with its edge for as many pixels; what lies further out looks the same.
_BORDER = _PIXELS + 1
#: About the bits of the mode of a macroblock: predicted, one vector, four.
_MODE_BITS = (0.7, 2.5, 4.0)
#: About the bits of each component of a difference to the prediction, by its size.
_SIZE_BITS = (1.2 + 1.8 * np.log2(1 + np.arange(2 * LIMIT + 1))).astype(np.float32)
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)

Ints = npt.NDArray[np.int32]
Places = npt.NDArray[np.intp]


def luma(pixels: npt.NDArray[Any]) -> FloatArray:
    """Return the luma of pixels [H, W, 3] as float32 [H', W'], extended to whole macroblocks."""
    height, width = pixels.shape[:2]
    found = pixels.astype(np.float32) @ _WEIGHTS
    edges = ((0, -height % _PIXELS), (0, -width % _PIXELS))
    return np.pad(found, edges, mode="edge")


def smoothed(field: Field, reference: FloatArray, source: FloatArray, worth: float) -> Field:
    """Return a field that costs less.

    Args:
        field: vectors in quarter pixels, int16 [2, h, w].
        reference: luma() of the frame before, as a decoder has it.
        source: luma() of the frame.
        worth: bits that a squared error of one pixel is worth.
    """
    if not field.any():
        return field
    found = macroblocks(field)
    _, blocks, rows, columns = found.shape
    scan = Scan(rows, columns)
    own = found.reshape(2, blocks, -1)[:, :, scan.order]
    top, left = (part * _PIXELS for part in np.divmod(scan.order, columns))
    tiles = source.reshape(rows, _PIXELS, columns, _PIXELS).transpose(0, 2, 1, 3)
    tiles = tiles.reshape(-1, _PIXELS, _PIXELS)[scan.order]
    moved = _Moved(reference)
    one = moved.errors(own[:, 0], top, left, tiles) * worth + _MODE_BITS[1]
    four = np.full(len(scan.order), _MODE_BITS[2], np.float32)
    for block in range(blocks):
        down, across = (part * _BLOCK for part in divmod(block, _SIDE))
        part = tiles[:, down : down + _BLOCK, across : across + _BLOCK]
        four += moved.errors(own[:, block], top + down, left + across, part) * worth
    four[(own == own[:, :1]).all((0, 1))] = np.inf
    known = np.zeros((2, own[0].size + 1), np.int32)
    chosen = known[:, :-1].reshape(own.shape)
    for first, end in scan.waves:
        here = slice(first, end)
        candidates = known.take(scan.neighbours[:, here], axis=1)
        prediction = median(candidates)
        # What is above right takes part in the prediction alone.
        candidates[:, 2] = candidates[:, 1]
        candidates[:, 1] = candidates[:, 0]
        candidates[:, 0] = prediction
        costs = np.empty((5, end - first), np.float32)
        costs[:3] = moved.errors(candidates, top[here], left[here], tiles[here])
        costs[:3] *= worth
        costs[0] += _MODE_BITS[0]
        costs[1:3] += _bits(candidates[:, 1:] - prediction[:, None]) + _MODE_BITS[1]
        bits = _bits(own[:, :, here] - prediction[:, None])
        costs[3] = one[here] + bits[0]
        costs[4] = four[here] + bits.sum(0)
        best = costs.argmin(0)
        single = candidates[:, np.minimum(best, 2), np.arange(end - first)]
        single = np.where(best < 3, single, own[:, 0, here])
        chosen[:, :, here] = np.where(best < 4, single[:, None], own[:, :, here])
    found.reshape(own.shape)[:, :, scan.order] = chosen
    height, width = field.shape[1:]
    return np.ascontiguousarray(field_of(found)[:, :height, :width])


def _bits(differences: Ints) -> FloatArray:
    """Return about the bits of differences [2, ...] to the prediction: [...]."""
    across, down = _SIZE_BITS.take(np.abs(differences))
    found: FloatArray = across + down
    return found


class _Moved:
    """A picture between its pixels: interpolated linearly at all quarters, once.

    Args:
        picture: luma, float32 [H, W].
    """

    def __init__(self, picture: FloatArray) -> None:
        rounded = np.clip(np.rint(picture), 0, 255).astype(np.uint16)
        padded = np.pad(rounded, _BORDER, mode="edge")
        height, width = padded.shape
        planes = np.empty((_UNITS**2, height - 1, width - 1), np.uint8)
        for x in range(_UNITS):
            between = padded[:, :-1] * np.uint16(_UNITS - x) + padded[:, 1:] * np.uint16(x)
            for y in range(_UNITS):
                total = between[:-1] * np.uint16(_UNITS - y) + between[1:] * np.uint16(y)
                total += _UNITS**2 // 2
                np.floor_divide(total, _UNITS**2, out=total)
                planes[y * _UNITS + x] = total
        #: Tiles of a block's side and of a macroblock's, by phase, row and column of their corner.
        self._tiles = {
            side: np.lib.stride_tricks.sliding_window_view(planes, (side, side), axis=(1, 2))
            for side in (_BLOCK, _PIXELS)
        }

    def errors(self, vectors: Ints, top: Places, left: Places, tiles: FloatArray) -> FloatArray:
        """Return the squared errors of predictions, float32 [..., n].

        Args:
            vectors: in quarter pixels, [2, ..., n].
            top: first row of each tile [n].
            left: first column of each tile [n].
            tiles: pixels of the source [n, side, side].
        """
        found = self._tiles[tiles.shape[-1]]
        _, rows, columns = found.shape[:3]
        x, y = vectors
        phase = (y & (_UNITS - 1)) * _UNITS + (x & (_UNITS - 1))
        row = np.minimum(np.maximum(y // _UNITS + (top + _BORDER), 0), rows - 1)
        column = np.minimum(np.maximum(x // _UNITS + (left + _BORDER), 0), columns - 1)
        wrong = found[phase, row, column] - tiles
        errors: FloatArray = np.einsum("...ij,...ij->...", wrong, wrong)
        return errors
