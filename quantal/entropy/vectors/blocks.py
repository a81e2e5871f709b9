"""Vectors as macroblocks of 2x2 blocks: their order, their predictions and what is left of them.

Whole numbers alone. Coding is in field.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.errors import CorruptError
from quantal.fields import SIDE, Field

__all__ = [
    "LIMIT",
    "IntMap",
    "Scan",
    "field_of",
    "macroblocks",
    "median",
    "predictions",
    "summed",
]

IntMap = npt.NDArray[np.int32]

#: Components of vectors are at most this large.
LIMIT = 1 << 13


class Scan:
    """The order in which macroblocks are predicted, and the vectors that predict each.

    Macroblocks of a wave don't predict one another. Vectors in this order are an array [2, 4, n];
    with a zero behind them, [2, 4 n + 1], `neighbours` points into it.

    Args:
        rows: of macroblocks.
        columns: of macroblocks.

    Attributes:
        order: place of each macroblock in the order of rows, [n].
        waves: the first macroblock of each wave and the one after its last.
        neighbours: where the vectors to the left, above and above right of each are, [3, n].
    """

    def __init__(self, rows: int, columns: int) -> None:
        count = rows * columns
        row, column = np.divmod(np.arange(count), columns)
        number = 2 * row + column
        self.order = np.argsort(number, kind="stable")
        ends = np.cumsum(np.bincount(number)).tolist()
        self.waves = [wave for wave in zip([0, *ends], ends, strict=False) if wave[0] < wave[1]]
        rank = np.empty(count, np.intp)
        rank[self.order] = np.arange(count)
        place = rank.reshape(rows, columns)
        left = np.full((rows, columns), 4 * count)
        # The upper right block of the left one, the lower left blocks of those above.
        left[:, 1:] = count + place[:, :-1]
        above, beside = left.copy(), left.copy()
        above[1:] = 2 * count + place[:-1]
        beside[1:, :-1] = above[1:, 1:]
        beside[1:, -1] = above[1:, max(columns - 2, 0)]
        self.neighbours = np.stack((left, above, beside)).reshape(3, -1)[:, self.order]


def median(three: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the medians of three vectors, component by component: [2, n] of [2, 3, n]."""
    left, above, beside = three[:, 0], three[:, 1], three[:, 2]
    most = np.minimum(np.maximum(left, above), beside)
    found: npt.NDArray[Any] = np.maximum(np.minimum(left, above), most)
    return found


def predictions(blocks: IntMap) -> IntMap:
    """Return the predictions of all macroblocks [2, rows, columns] from their vectors."""
    _, count, rows, columns = blocks.shape
    scan = Scan(rows, columns)
    ordered = blocks.reshape(2, count, -1)[:, :, scan.order].reshape(2, -1)
    known = np.pad(ordered, ((0, 0), (0, 1)))
    found = np.empty((2, rows * columns), np.int32)
    found[:, scan.order] = median(known.take(scan.neighbours, axis=1))
    return found.reshape(2, rows, columns)


def summed(differences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the vectors of macroblocks [2, 4, rows, columns] from differences to predictions.

    Raises:
        CorruptError: If a difference is larger than any between two vectors.
    """
    if not differences.any():
        return differences
    # So bounded, sums along any chain of predictions stay within 64 bits.
    if int(np.abs(differences).max()) > 2 * LIMIT:
        raise CorruptError(
            f"motion vectors differ by more than {2 * LIMIT // 4} pixels: the frame is damaged"
        )
    _, count, rows, columns = differences.shape
    scan = Scan(rows, columns)
    ordered = differences.reshape(2, count, -1)[:, :, scan.order]
    known = np.zeros((2, count * rows * columns + 1), np.int64)
    vectors = known[:, :-1].reshape(2, count, -1)
    for first, end in scan.waves:
        prediction = median(known.take(scan.neighbours[:, first:end], axis=1))
        vectors[:, :, first:end] = prediction[:, None] + ordered[:, :, first:end]
    found = np.empty_like(vectors)
    found[:, :, scan.order] = vectors
    return found.reshape(differences.shape)


def macroblocks(field: Field) -> IntMap:
    """Return vectors [2, 4, rows, columns] of macroblocks; the field continues with its edge."""
    _, height, width = field.shape
    padded = np.pad(field, ((0, 0), (0, height % SIDE), (0, width % SIDE)), mode="edge")
    split = padded.reshape(2, -(-height // SIDE), SIDE, -(-width // SIDE), SIDE)
    blocks = split.transpose(0, 2, 4, 1, 3).astype(np.int32)
    return blocks.reshape(2, SIDE**2, *blocks.shape[3:])


def field_of(blocks: npt.NDArray[Any]) -> Field:
    """Reverse macroblocks()."""
    _, _, rows, columns = blocks.shape
    split = blocks.reshape(2, SIDE, SIDE, rows, columns).transpose(0, 3, 1, 4, 2)
    return split.reshape(2, rows * SIDE, columns * SIDE).astype(np.int16)
