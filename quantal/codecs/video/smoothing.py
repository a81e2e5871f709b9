"""Fields of motion vectors that cost less: bits of vectors weighed against errors of prediction.

The search weighs them too, but for another coder, at another rate and against its own pictures.
Here every macroblock takes, in the order of coding, the cheapest of a few candidates: the
prediction, the vectors of the macroblocks to the left and above, its own vector, or its own four.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.vectors import Field, field_of, macroblocks, predicted, waves
from quantal.entropy.walk import FloatArray

__all__ = ["luma", "smoothed"]

#: Pixels along a side of a block, blocks along one of a macroblock, units of a vector in a pixel.
_BLOCK, _SIDE, _UNITS = 8, 2, 4
_PIXELS = _BLOCK * _SIDE
#: About the bits of the mode of a macroblock: predicted, one vector, four.
_MODE_BITS = (0.7, 2.5, 4.0)
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)

Ints = npt.NDArray[np.int32]


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
    found = macroblocks(field)
    _, _, rows, columns = found.shape
    # [rows, columns, blocks, pixels of a block]
    tiles = source.reshape(rows, _SIDE, _BLOCK, columns, _SIDE, _BLOCK)
    tiles = np.ascontiguousarray(tiles.transpose(0, 3, 1, 4, 2, 5)).reshape(rows, columns, 4, -1)
    chosen = np.zeros_like(found)
    every = np.indices((rows, columns)).reshape(2, -1)
    own = _errors(reference, tiles, every, found.reshape(4, 2, -1)).sum(1)
    own_one = _errors(
        reference,
        tiles,
        every,
        np.broadcast_to(found[:1].reshape(1, 2, -1), (4, 2, every.shape[1])),
    ).sum(1)
    own, own_one = own.reshape(rows, columns), own_one.reshape(rows, columns)
    for wave in waves(rows, columns):
        prediction = predicted(chosen, wave)
        row, column = wave
        left = np.where(column > 0, chosen[1][:, row, column - 1], 0)
        above = np.where(row > 0, chosen[2][:, row - 1, column], 0)
        single = [prediction, left, above]
        errors = [
            _errors(reference, tiles, np.stack(wave), np.broadcast_to(v, (4, *v.shape))).sum(1)
            for v in single
        ]
        four = found[:, :, row, column]
        single.append(four[0])
        errors.append(own_one[wave])
        costs = [
            error * worth + (_MODE_BITS[1] + _bits(vector - prediction))
            for error, vector in zip(errors, single, strict=True)
        ]
        costs[0] = errors[0] * worth + _MODE_BITS[0]
        alike = (four == four[:1]).all((0, 1))
        costs.append(
            np.where(
                alike, np.inf, own[wave] * worth + _MODE_BITS[2] + _bits(four - prediction).sum(0)
            )
        )
        best = np.argmin(costs, axis=0)
        options = np.stack([*(np.broadcast_to(v, four.shape) for v in single), four])
        chosen[:, :, row, column] = options[best, :, :, np.arange(len(row))].transpose(1, 2, 0)
    height, width = field.shape[1:]
    return np.ascontiguousarray(field_of(chosen)[:, :height, :width])


def _bits(differences: Ints) -> FloatArray:
    """Return about the bits of differences [..., 2, n] to the prediction: [..., n]."""
    sizes = np.abs(differences).astype(np.float32)
    found: FloatArray = (1.2 + 1.8 * np.log2(1 + sizes)).sum(-2)
    return found


def _errors(reference: FloatArray, tiles: FloatArray, place: Any, vectors: Ints) -> FloatArray:
    """Return the squared errors of prediction of macroblocks, [n, 4].

    Pixels between those of the reference are interpolated linearly.

    Args:
        reference: [H, W].
        tiles: pixels of the source [rows, columns, 4, 64].
        place: rows and columns of the macroblocks [2, n].
        vectors: in quarter pixels, [4, 2, n].
    """
    height, width = reference.shape
    rows, columns = place
    corner = np.arange(4)
    inside = np.arange(_BLOCK)
    x, y = vectors[:, 0].T, vectors[:, 1].T
    part_x = ((x % _UNITS) / np.float32(_UNITS)).astype(np.float32)[:, :, None, None]
    part_y = ((y % _UNITS) / np.float32(_UNITS)).astype(np.float32)[:, :, None, None]
    left = columns[:, None] * _PIXELS + corner % _SIDE * _BLOCK + x // _UNITS
    top = rows[:, None] * _PIXELS + corner // _SIDE * _BLOCK + y // _UNITS
    across = left[:, :, None] + np.arange(_BLOCK + 1)
    down = top[:, :, None] + np.arange(_BLOCK + 1)
    np.clip(across, 0, width - 1, out=across)
    np.clip(down, 0, height - 1, out=down)
    found = reference.take(down[:, :, :, None] * width + across[:, :, None, :])
    upper = found[..., :-1, :] + (found[..., 1:, :] - found[..., :-1, :]) * part_y
    moved = upper[..., :-1] + (upper[..., 1:] - upper[..., :-1]) * part_x
    wrong = moved.reshape(*moved.shape[:2], len(inside) ** 2) - tiles[rows, columns]
    result: FloatArray = np.square(wrong).sum(-1)
    return result
