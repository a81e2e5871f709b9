"""Fields of motion vectors to bytes and back, exact by construction.

A macroblock has a mode, as in H.264: its vector is the prediction, or vectors are coded for it, for
its halves or for its quarters. The modes come first, in three passes over a lattice, then what the
vectors differ by. No table depends on a vector of the same frame, so that a frame takes few calls
of the coder: tables are chosen by modes and by the frame before, and adapt from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.indices import CountedTables, IndexPrior, Neighbourhood
from quantal.entropy.vectors.blocks import (
    LIMIT,
    IntMap,
    field_of,
    macroblocks,
    median,
    predictions,
    summed,
)
from quantal.entropy.vectors.starts import (
    ACTIVITIES,
    ENTRIES,
    KINDS,
    MODES,
    PASTS,
    SIZES,
    SPAN,
    STARTS,
    Starts,
)
from quantal.entropy.walk import Coding
from quantal.errors import ArgumentError, CorruptError
from quantal.fields import Field

__all__ = ["FieldState", "VectorPrior"]

Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

#: A macroblock's mode: its vector is the prediction; one vector is coded, one for the upper and one
#: for the lower half, one for the left and one for the right half, one for each block.
_PREDICTED, _ONE, _ROWS, _COLUMNS, _FOUR = range(MODES)
#: Which blocks have a vector of their own in each mode: upper left, upper right, lower left, right.
_CODED = np.array([(0, 0, 0, 0), (1, 0, 0, 0), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, 1)], np.bool_)
#: What the modes count as among neighbours.
_ACTIVITY = np.array([0, 1, 2, 2, 2], np.int32)
#: Passes over the modes: row and column, modulo 2, of their macroblocks; then the neighbours that
#: are known by then, as (rows, columns) away.
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
_PASSES = (
    (((0, 0),), ()),
    (((1, 1),), _CORNERS),
    (((0, 1), (1, 0)), _SIDES),
)
#: Bounds between sums of nine activities in the frame before, and between sizes of differences.
_PAST_BOUNDS = np.array([0, 2, 5, 9], np.int32)
_SIZE_BOUNDS = np.array([0, 1, 3, 8, 24], np.int32)
_PAST_SIZE_BOUNDS = np.array([0, 2, 8], np.int32)
#: What a mode and a difference add to the counts of their tables, which start at 2^24.
_MODE_STEP, _STEP = 1 << 17, 1 << 17


@dataclass(frozen=True, eq=False)
class FieldState:
    """A field, and what its group of pictures has taught the tables so far.

    Attributes:
        field: int16 [2, h, w].
        modes: int32 [ceil(h / 2), ceil(w / 2)].
        sizes: the largest component of the differences to the prediction in every macroblock,
            int32, like `modes`.
        mode_tables: of modes.
        tables: of differences.
    """

    field: Field
    modes: IntMap
    sizes: IntMap
    mode_tables: CountedTables
    tables: CountedTables


class VectorPrior:
    """Codes fields of motion vectors.

    Args:
        starts: what tables start from in every group of pictures.
    """

    def __init__(self, starts: Starts = STARTS) -> None:
        self._modes = IndexPrior(Neighbourhood.none(MODES), starts.mode_tables())
        self._differences = IndexPrior(Neighbourhood.none(ENTRIES), starts.difference_tables())

    def latents(self, field: Field) -> list[IntMap]:
        """Return what Writing and Pricing take for a field int16 [2, h, w].

        Raises:
            ArgumentError: If it is no field, or a vector is too long.
        """
        if field.dtype != np.int16 or field.ndim != 3 or len(field) != 2 or not field.size:
            raise ArgumentError(
                f"a field is {field.dtype} {field.shape}, expected int16 (2, rows, columns)"
            )
        if int(np.abs(field.astype(np.int32)).max()) > LIMIT:
            raise ArgumentError(f"a vector is longer than {LIMIT // 4} pixels; clip it")
        blocks = macroblocks(field)
        first = blocks[:, 0] - predictions(blocks)
        right, below, last = (blocks[:, block] - blocks[:, 0] for block in (1, 2, 3))
        as_rows = ~right.any(0) & (last == below).all(0)
        as_columns = ~below.any(0) & (last == right).all(0)
        alone = np.where(first.any(0), _ONE, _PREDICTED)
        halves = np.where(as_rows, _ROWS, np.where(as_columns, _COLUMNS, _FOUR))
        modes = np.where(as_rows & as_columns, alone, halves).astype(np.int32)
        differences = np.stack((first, right, below, last - _expected(right, below)), axis=1)
        return [modes, differences + SPAN]

    def walk(self, coding: Coding, shape: tuple[int, int], before: FieldState | None) -> FieldState:
        """Go through the vectors of a frame.

        Args:
            coding: what to do with them.
            shape: rows and columns of blocks.
            before: of the frame before in the group; None for the first.

        Raises:
            CorruptError: If a vector is too long, or a mode does not exist.
        """
        rows, columns = (-(-side // 2) for side in shape)
        if before is None:
            mode_tables = CountedTables(self._modes, _MODE_STEP)
            tables = CountedTables(self._differences, _STEP)
        else:
            mode_tables, tables = before.mode_tables.copy(), before.tables.copy()
        modes = _walk_modes(coding, (rows, columns), before, mode_tables)
        differences = _walk_differences(coding, modes, before, tables)
        blocks = summed(differences)
        if int(np.abs(blocks).max()) > LIMIT:
            raise CorruptError(
                f"a motion vector is longer than {LIMIT // 4} pixels: the frame is damaged"
            )
        height, width = shape
        field = np.ascontiguousarray(field_of(blocks)[:, :height, :width])
        sizes = np.abs(differences).max((0, 1)).astype(np.int32)
        return FieldState(field, modes, sizes, mode_tables, tables)


def _walk_modes(
    coding: Coding, shape: tuple[int, int], before: FieldState | None, tables: CountedTables
) -> IntMap:
    """Code the modes of all macroblocks, int32 [rows, columns]."""
    rows, columns = shape
    modes = coding.begin(shape)
    activity = np.zeros((rows + 2, columns + 2), np.int32)
    past = np.zeros(shape, np.int32) if before is None else _past_classes(before.modes)
    frozen = tables.tables()
    for number, (cosets, neighbours) in enumerate(_PASSES):
        row, column = place = _lattice(rows, columns, cosets)
        if not len(row):
            continue
        around = np.zeros(len(row), np.int32)
        for down, across in neighbours:
            around += activity[row + 1 + down, column + 1 + across]
        around = np.minimum(around, ACTIVITIES - 1)
        states = ((number * ACTIVITIES + around) * PASTS + past[place]).astype(np.uint8)
        found = coding.code(place, frozen, index=lambda s=states: s)  # type: ignore[misc]
        if int(found.min()) < 0 or int(found.max()) >= MODES:
            raise CorruptError("a macroblock has a mode that does not exist: the frame is damaged")
        activity[row + 1, column + 1] = _ACTIVITY[found]
        tables.learn(states, found)
    return modes


def _walk_differences(
    coding: Coding, modes: IntMap, before: FieldState | None, tables: CountedTables
) -> npt.NDArray[np.int64]:
    """Code what vectors differ by; return the differences to predictions, [2, 4, rows, columns]."""
    symbols = coding.begin((2, 4, *modes.shape), fill=SPAN)
    block, row, column = np.nonzero(np.moveaxis(_CODED[modes], 2, 0))
    if block.size:
        past = np.zeros_like(modes) if before is None else _past_sizes(before.sizes)
        mode = modes[row, column]
        kind = _kinds(block.astype(np.int32), mode)
        classes = np.where(block > 0, 0, past[row, column])
        frozen = tables.tables()
        for axis in range(2):
            states = ((axis * KINDS + kind) * SIZES + classes).astype(np.uint8)
            found = coding.code(
                (axis, block, row, column),
                frozen,
                index=lambda s=states: s,  # type: ignore[misc]
            )
            outside = (found < 0) | (found >= ENTRIES)
            tables.learn(states, np.where(outside, ENTRIES, found))
            classes = np.searchsorted(_SIZE_BOUNDS, np.abs(found.astype(np.int64) - SPAN))
    # What is not coded is 0.
    first, right, below, last = np.moveaxis(symbols.astype(np.int64) - SPAN, 1, 0)
    corner = np.where(modes == _FOUR, _expected(right, below) + last, right + below)
    return np.stack((first, first + right, first + below, first + corner), axis=1)


def _expected(right: npt.NDArray[Any], below: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the expected difference of the last block to the first, given those of the others.

    The predictor of LOCO-I (Weinberger et al., 1996).
    """
    return median(np.stack((right, below, right + below), axis=1))


def _kinds(block: IntMap, mode: IntMap) -> IntMap:
    """Return what differences are of.

    0: the one vector of a macroblock to the prediction, 1: the first of several; 2: the second half
    to the first; 3: two quarters to the first; 4: the last quarter to what the others let expect.
    """
    first = np.where(mode == _ONE, 0, 1)
    later = np.where(mode == _FOUR, np.where(block == 3, 4, 3), 2)
    return np.where(block == 0, first, later)


def _past_classes(modes: IntMap) -> IntMap:
    """Return classes of macroblocks by the modes of the frame before: 1 to 5."""
    total = sum(_around(_ACTIVITY[modes]))
    return 1 + np.searchsorted(_PAST_BOUNDS, total).astype(np.int32)


def _past_sizes(sizes: IntMap) -> IntMap:
    """Return classes of macroblocks by the differences of the frame before: 1 to 4."""
    largest = np.stack(_around(sizes)).max(0)
    return 1 + np.searchsorted(_PAST_SIZE_BOUNDS, largest).astype(np.int32)


def _around(values: IntMap) -> list[IntMap]:
    """Return the 3x3 values around every place, with zeros outside."""
    padded = np.pad(values, 1)
    rows, columns = values.shape
    return [
        padded[row : row + rows, column : column + columns]
        for row in range(3)
        for column in range(3)
    ]


def _lattice(rows: int, columns: int, cosets: tuple[tuple[int, int], ...]) -> Places:
    """Return rows and columns of the macroblocks of a pass."""
    grids = [
        np.meshgrid(np.arange(down, rows, 2), np.arange(across, columns, 2), indexing="ij")
        for down, across in cosets
    ]
    return (
        np.concatenate([row.reshape(-1) for row, _ in grids]),
        np.concatenate([column.reshape(-1) for _, column in grids]),
    )
