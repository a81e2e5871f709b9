"""Fields of motion vectors to bytes and back, exact by construction.

A macroblock of 2x2 blocks has a mode: its vector is the prediction, or one vector is coded for it,
or one for each block. The modes come first, then the vectors of the macroblocks in waves, each as
the difference to the median of the macroblocks to the left, above, and above right, as in H.264.
All tables are adaptive, and go on from frame to frame within a group of pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.entropy.indices import CountedTables, IndexPrior, Neighbourhood, walk_map
from quantal.entropy.tables import TableSet, freeze
from quantal.entropy.walk import Coding
from quantal.errors import ArgumentError, CorruptError

__all__ = ["LIMIT", "Field", "FieldState", "VectorPrior"]

#: Vectors (dx, dy) of blocks in quarter pixels, int16 [2, h, w].
Field = npt.NDArray[np.int16]
IntMap = npt.NDArray[np.int32]

#: Components of vectors are at most this large.
LIMIT = 1 << 13
#: Blocks along a side of a macroblock.
_SIDE = 2
#: A macroblock's mode: its vector is the prediction, or one is coded, or one for each block.
_PREDICTED, _ONE, _FOUR = range(3)
_MODES = 3
#: Differences up to this have an entry of their own; larger ones are escaped.
_SPAN = 24
_ENTRIES = 2 * _SPAN + 1
#: Upper bounds of the size of neighbours' differences, which chooses a table.
_SIZES = np.array([0, 2, 8], np.int32)
_CLASSES = len(_SIZES) + 1


@dataclass(frozen=True, eq=False)
class FieldState:
    """A field, and what its group of pictures has taught the tables so far.

    Attributes:
        field: int16 [2, h, w].
        modes: int32 [ceil(h / 2), ceil(w / 2)].
        mode_tables: of modes.
        tables: of differences.
    """

    field: Field
    modes: IntMap
    mode_tables: CountedTables
    tables: CountedTables


class VectorPrior:
    """Codes fields of motion vectors."""

    def __init__(self) -> None:
        self._modes = IndexPrior(_mode_contexts(), _mode_tables())
        self._differences = IndexPrior(Neighbourhood.none(_ENTRIES), _difference_tables())

    def latents(self, field: Field) -> list[IntMap]:
        """Return what Writing and Pricing take for a field int16 [2, h, w].

        Raises:
            ArgumentError: If it is no field, or a vector is too long.
        """
        if field.dtype != np.int16 or field.ndim != 3 or len(field) != 2:
            raise ArgumentError(
                f"a field is {field.dtype} {field.shape}, expected int16 (2, rows, columns)"
            )
        if field.size and int(np.abs(field.astype(np.int32)).max()) > LIMIT:
            raise ArgumentError(f"a vector is longer than {LIMIT // 4} pixels: clip it")
        blocks = _macroblocks(field)
        modes = _modes_of(blocks)
        symbols = np.zeros((*blocks.shape[:3], blocks.shape[3]), np.int32)
        for wave in _waves(*modes.shape):
            prediction = _predicted(blocks, wave)
            symbols[:, :, wave[0], wave[1]] = (
                blocks[:, :, wave[0], wave[1]] - prediction[None] + _SPAN
            )
        return [modes, symbols]

    def walk(self, coding: Coding, shape: tuple[int, int], before: FieldState | None) -> FieldState:
        """Go through the vectors of a frame.

        Args:
            coding: what to do with them.
            shape: rows and columns of blocks.
            before: of the frame before in the group; None for the first.

        Raises:
            CorruptError: If a vector is too long, or a mode does not exist.
        """
        rows, columns = (-(-side // _SIDE) for side in shape)
        if before is None:
            mode_tables = CountedTables(self._modes)
            tables = CountedTables(self._differences)
            parents = np.zeros((rows, columns), np.uint8)
        else:
            mode_tables, tables = before.mode_tables.copy(), before.tables.copy()
            parents = (before.modes + 1).astype(np.uint8)
        present = np.ones((rows, columns), np.bool_)
        modes = walk_map(self._modes, present, parents, coding, mode_tables)
        symbols = coding.begin((4, 2, rows, columns), fill=_SPAN)
        blocks = np.zeros((4, 2, rows, columns), np.int32)
        sizes = np.zeros((rows, columns), np.int32)
        for wave in _waves(rows, columns):
            prediction = _predicted(blocks, wave)
            blocks[:, :, wave[0], wave[1]] = prediction[None]
            for mode, count in ((_ONE, 1), (_FOUR, 4)):
                of_mode = modes[wave] == mode
                if of_mode.any():
                    place = wave[0][of_mode], wave[1][of_mode]
                    self._differ(coding, tables, place, count, sizes)
                    found = symbols[:count, :, place[0], place[1]].astype(np.int64) - _SPAN
                    vectors = prediction[:, of_mode] + found
                    if int(np.abs(vectors).max()) > LIMIT:
                        raise CorruptError(
                            f"a motion vector is longer than {LIMIT // 4} pixels: the frame is "
                            "damaged"
                        )
                    blocks[:, :, place[0], place[1]] = vectors
                    sizes[place] = np.abs(found).max((0, 1))
        height, width = shape
        field = _field(blocks)[:, :height, :width]
        return FieldState(np.ascontiguousarray(field), modes, mode_tables, tables)

    @staticmethod
    def _differ(
        coding: Coding,
        tables: CountedTables,
        place: tuple[IntMap, IntMap],
        count: int,
        sizes: IntMap,
    ) -> None:
        """Code the differences of macroblocks of one mode in a wave.

        Args:
            coding: has begun their part.
            tables: adaptive tables.
            place: rows and columns of the macroblocks [n].
            count: vectors of each, 1 or 4.
            sizes: the largest difference of every macroblock so far.
        """
        rows, columns = place
        left = np.where(columns > 0, sizes[rows, columns - 1], 0)
        above = np.where(rows > 0, sizes[rows - 1, columns], 0)
        around = np.searchsorted(_SIZES, np.maximum(left, above))
        states = np.broadcast_to(around.astype(np.uint8), (count, len(rows)))
        for axis in range(2):
            found = coding.code(
                (slice(count), axis, rows, columns),
                tables.tables(),
                index=lambda s=states: s,  # type: ignore[misc]
            )
            outside = (found < 0) | (found >= _ENTRIES)
            tables.learn(states.reshape(-1), np.where(outside, _ENTRIES, found).reshape(-1))
            own = np.abs(found.astype(np.int64) - _SPAN)
            states = (_CLASSES + np.searchsorted(_SIZES, np.maximum(around, own))).astype(np.uint8)


def _waves(rows: int, columns: int) -> Iterator[tuple[IntMap, IntMap]]:
    """Yield rows and columns of the macroblocks of each wave.

    What is to the left, above and above right of a macroblock is in waves before its own.
    """
    for number in range(2 * rows + columns - 2):
        row = np.arange(max(0, -(-(number - columns + 1) // 2)), min(rows, number // 2 + 1))
        if len(row):
            yield row, number - 2 * row


def _predicted(blocks: IntMap, wave: tuple[IntMap, IntMap]) -> IntMap:
    """Return the predictions of the macroblocks of a wave, int32 [2, n].

    Args:
        blocks: vectors [4, 2, rows, columns], known in all earlier waves.
        wave: rows and columns [n].
    """
    rows, columns = wave
    last = blocks.shape[3] - 1
    # The upper right block of the left one, the lower left blocks of those above.
    left = np.where(columns > 0, blocks[1][:, rows, columns - 1], 0)
    above = blocks[2][:, rows - 1, columns]
    aside = np.where(columns < last, columns + 1, np.maximum(columns - 1, 0))
    beside = blocks[2][:, rows - 1, aside]
    median = np.maximum(np.minimum(left, above), np.minimum(np.maximum(left, above), beside))
    return np.where(rows > 0, median, left).astype(np.int32)


def _macroblocks(field: Field) -> IntMap:
    """Return vectors [4, 2, rows, columns] of macroblocks; the field continues with its edge."""
    _, height, width = field.shape
    padded = np.pad(field, ((0, 0), (0, height % _SIDE), (0, width % _SIDE)), mode="edge")
    split = padded.reshape(2, -(-height // _SIDE), _SIDE, -(-width // _SIDE), _SIDE)
    blocks = split.transpose(2, 4, 0, 1, 3).astype(np.int32)
    return blocks.reshape(4, *blocks.shape[2:])


def _field(blocks: IntMap) -> Field:
    """Reverse _macroblocks()."""
    _, _, rows, columns = blocks.shape
    split = blocks.reshape(_SIDE, _SIDE, 2, rows, columns).transpose(2, 3, 0, 4, 1)
    return split.reshape(2, rows * _SIDE, columns * _SIDE).astype(np.int16)


def _modes_of(blocks: IntMap) -> IntMap:
    """Return the modes of macroblocks, int32 [rows, columns]."""
    _, _, rows, columns = blocks.shape
    modes = np.where((blocks == blocks[:1]).all((0, 1)), _ONE, _FOUR).astype(np.int32)
    for wave in _waves(rows, columns):
        alike = (blocks[0][:, wave[0], wave[1]] == _predicted(blocks, wave)).all(0)
        modes[wave] = np.where(alike & (modes[wave] == _ONE), _PREDICTED, modes[wave])
    return modes


def _mode_contexts() -> Neighbourhood:
    """Return contexts: the sum of the neighbours' modes, and the mode in the frame before."""
    absent = _MODES
    parents = _MODES + 1
    states = []
    for left in range(_MODES + 1):
        for above in range(_MODES + 1):
            for corner in range(_MODES + 1):
                total = sum(0 if mode == absent else mode for mode in (left, above, corner))
                states += [total * parents + parent for parent in range(parents)]
    classes = np.arange(_MODES, dtype=np.uint8)
    return Neighbourhood(_MODES, parents, classes, np.array(states, np.uint8))


def _mode_tables() -> TableSet:
    """Return tables to start from: modes are like those around, and like the one before."""
    weights = []
    for total in range(3 * (_MODES - 1) + 1):
        for parent in range(_MODES + 1):
            busy = total + (0, 0, 1.5, 3)[parent]
            moving = busy / (busy + 4) * 0.9 + 0.02
            four = 0.15 + 0.08 * busy / 2
            shares = np.array([1 - moving, moving * (1 - four), moving * four])
            weights.append(freeze(shares, 2.0**-20))
    return TableSet.from_weights([0] * len(weights), weights)


def _difference_tables() -> TableSet:
    """Return tables to start from: heavy tails, wider where differences nearby are larger."""
    weights = []
    distance = np.abs(np.arange(_ENTRIES) - _SPAN)
    for _ in range(2):
        for scale in (1.0, 1.6, 3.5, 9.0):
            law = (1 + distance / scale) ** -2.2
            weights.append(freeze(law / law.sum(), 0.02 if scale > 3 else 0.005))
    return TableSet.from_weights([0] * len(weights), weights)
