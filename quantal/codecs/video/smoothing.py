"""Fields of motion vectors that cost less: bits of vectors weighed against errors of prediction.

The search weighs them too, but for another coder, at another rate and against its own pictures.
Here every vector moves to the best place nearby. Then every macroblock takes, in the order of
coding, the cheapest of a few candidates: the prediction, the vectors of the macroblocks to the left
and above, or its own ones: one for all of it, one for each half or one for each block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.vectors import LIMIT, Scan, field_of, macroblocks, median
from quantal.entropy.walk import FloatArray
from quantal.fields import BLOCK, SIDE, UNITS, Field
from quantal.motion import interpolated

__all__ = ["luma", "smoothed"]

#: Pixels along a side of a macroblock.
_PIXELS = BLOCK * SIDE
#: A picture continues with its edge for as many pixels; what lies further out looks the same.
_BORDER = _PIXELS + 1
#: Own vectors that a macroblock may take: the block whose vector each of its blocks gets, and the
#: blocks with a vector of their own besides the first, each with the one that it is coded against.
_OWN = (
    ((0, 0, 0, 0), ()),
    ((0, 0, 2, 2), ((2, 0),)),
    ((0, 1, 0, 1), ((1, 0),)),
    ((0, 1, 2, 3), ((1, 0), (2, 0), (3, 2))),
)
#: About the bits of the mode of a macroblock: predicted, then as above.
_PREDICTED_BITS, _OWN_BITS = 0.7, (2.5, 4.5, 4.5, 4.5)
#: About the bits of each component of a difference to the prediction, by its size.
_SIZE_BITS = (1.2 + 1.8 * np.log2(1 + np.arange(2 * LIMIT + 1))).astype(np.float32)
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
#: What a vector may change by in the end, quarter pixels, [2, 9]; the middle one is no change.
_NEARBY = np.mgrid[-1:2, -1:2].reshape(2, -1).astype(np.int32)
#: Bits that a change has to be worth.
_CHANGE_BITS = 2.0

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
    moved = _Moved(reference)
    found = macroblocks(_refined(field, moved, source, worth))
    _, blocks, rows, columns = found.shape
    scan = Scan(rows, columns)
    own = found.reshape(2, blocks, -1)[:, :, scan.order]
    top, left = (part * _PIXELS for part in np.divmod(scan.order, columns))
    tiles = source.reshape(rows, _PIXELS, columns, _PIXELS).transpose(0, 2, 1, 3)
    tiles = tiles.reshape(-1, _PIXELS, _PIXELS)[scan.order]
    own, own_costs = _best_own(moved, own, top, left, tiles, worth)
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
        costs = np.empty((4, end - first), np.float32)
        costs[:3] = moved.errors(candidates, top[here], left[here], tiles[here])
        costs[:3] *= worth
        costs[0] += _PREDICTED_BITS
        costs[1:3] += _bits(candidates[:, 1:] - prediction[:, None]) + _OWN_BITS[0]
        costs[3] = own_costs[here] + _bits(own[:, 0, here] - prediction)
        best = costs.argmin(0)
        single = candidates[:, np.minimum(best, 2), np.arange(end - first)]
        chosen[:, :, here] = np.where(best < 3, single[:, None], own[:, :, here])
    found.reshape(own.shape)[:, :, scan.order] = chosen
    height, width = field.shape[1:]
    return np.ascontiguousarray(field_of(found)[:, :height, :width])


def _refined(field: Field, moved: _Moved, source: FloatArray, worth: float) -> Field:
    """Return a field whose vectors are the best of those nearby; zeros stay."""
    rows, columns = field.shape[1:]
    vectors = field.reshape(2, -1).astype(np.int32)
    places = np.flatnonzero(vectors.any(0))
    top, left = (BLOCK * part for part in np.divmod(places, columns))
    tiles = source[: rows * BLOCK, : columns * BLOCK]
    tiles = tiles.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3)
    tiles = tiles.reshape(-1, BLOCK, BLOCK)[places]
    nearby = vectors[:, None, places] + _NEARBY[:, :, None]
    costs = worth * moved.errors(nearby, top, left, tiles)
    costs[len(costs) // 2] -= _CHANGE_BITS
    best = costs.argmin(0)
    vectors[:, places] = np.take_along_axis(nearby, best[None, None], axis=1)[:, 0]
    return vectors.clip(-LIMIT, LIMIT).astype(np.int16).reshape(field.shape)


def _best_own(
    moved: _Moved, own: Ints, top: Places, left: Places, tiles: FloatArray, worth: float
) -> tuple[Ints, FloatArray]:
    """Return the cheapest own vectors of macroblocks [2, 4, n], and their costs [n].

    The costs are in bits, without those of the first vector.
    """
    # Errors of each block with the vector of each: [vectors, blocks, n].
    errors = np.zeros((4, 4, len(tiles)), np.float32)
    for block in range(4):
        down, across = (part * BLOCK for part in divmod(block, SIDE))
        part = tiles[:, down : down + BLOCK, across : across + BLOCK]
        for vector in {blocks[block] for blocks, _ in _OWN}:
            errors[vector, block] = moved.errors(own[:, vector], top + down, left + across, part)
    costs = np.empty((len(_OWN), len(tiles)), np.float32)
    for number, (blocks, later) in enumerate(_OWN):
        costs[number] = sum(errors[vector, block] for block, vector in enumerate(blocks))
        costs[number] *= worth
        costs[number] += _OWN_BITS[number]
        for block, base in later:
            costs[number] += _bits(own[:, block] - own[:, base])
    best = costs.argmin(0)
    vectors = np.array([blocks for blocks, _ in _OWN])[best].T
    return np.take_along_axis(own, vectors[None], axis=1), costs.min(0)


def _bits(differences: Ints) -> FloatArray:
    """Return about the bits of differences [2, ...] to the prediction: [...]."""
    across, down = _SIZE_BITS.take(np.abs(differences))
    found: FloatArray = across + down
    return found


class _Moved:
    """A picture between its pixels: interpolated at all quarters, once.

    Args:
        picture: luma, float32 [H, W].
    """

    def __init__(self, picture: FloatArray) -> None:
        padded = np.pad(picture, _BORDER, mode="edge")
        height, width = padded.shape
        planes = np.empty((UNITS**2, height - 1, width - 1), np.uint8)
        for x in range(UNITS):
            beside = interpolated(padded, x, 1)
            for y in range(UNITS):
                between = interpolated(beside, y, 0)[:-1, :-1] + np.float32(0.5)
                planes[y * UNITS + x] = between.clip(0, 255).astype(np.uint8)
        #: Tiles of a block's side and of a macroblock's, by phase, row and column of their corner.
        self._tiles = {
            side: np.lib.stride_tricks.sliding_window_view(planes, (1, side, side))
            for side in (BLOCK, _PIXELS)
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
        phase = (y & (UNITS - 1)) * UNITS + (x & (UNITS - 1))
        row = np.minimum(np.maximum(y // UNITS + (top + _BORDER), 0), rows - 1)
        column = np.minimum(np.maximum(x // UNITS + (left + _BORDER), 0), columns - 1)
        wrong = found[phase, row, column, 0] - tiles
        errors: FloatArray = np.einsum("...ij,...ij->...", wrong, wrong)
        return errors
