"""Fields of motion vectors to bytes and back, exact by construction.

A macroblock of 2x2 blocks has a mode: its vector is the prediction, or one vector is coded for it,
or one for each block. The modes come first, in three passes over a lattice, then the differences of
all vectors to their predictions, which are medians as in H.264. No table depends on a vector of the
same frame, so that a frame takes few calls of the coder: tables are chosen by the modes around and
by the frame before, adapt from frame to frame, and go on through a group of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.indices import CountedTables, IndexPrior, Neighbourhood
from quantal.entropy.tables import TOTAL, TableSet
from quantal.entropy.walk import Coding
from quantal.errors import ArgumentError, CorruptError

__all__ = [
    "LIMIT",
    "Field",
    "FieldState",
    "Scan",
    "VectorPrior",
    "field_of",
    "macroblocks",
    "median",
]

#: Vectors (dx, dy) of blocks in quarter pixels, int16 [2, h, w].
Field = npt.NDArray[np.int16]
IntMap = npt.NDArray[np.int32]
ByteMap = npt.NDArray[np.uint8]
Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

#: Components of vectors are at most this large.
LIMIT = 1 << 13
#: Blocks along a side of a macroblock.
_SIDE = 2
#: A macroblock's mode: its vector is the prediction, or one is coded, or one for each block.
_PREDICTED, _ONE, _FOUR = range(3)
_MODES = 3
#: Passes over the modes: row and column, modulo 2, of their macroblocks; then the neighbours that
#: are known by then, as (rows, columns) away.
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
_PASSES = (
    (((0, 0),), ()),
    (((1, 1),), _CORNERS),
    (((0, 1), (1, 0)), _SIDES),
)
#: Sums of four modes are told apart up to this, and sums of nine modes of the frame before by these
#: bounds.
_MOST = 5
_BOUNDS = np.array([0, 2, 5, 9], np.int32)
_BEFORE = len(_BOUNDS) + 2
#: Differences up to this have an entry of their own; larger ones are escaped.
_SPAN = 24
_ENTRIES = 2 * _SPAN + 1
#: Bounds between the sizes of differences that choose a table.
_SIZES = np.array([0, 2, 8], np.int32)
_CLASSES = len(_SIZES) + 1


@dataclass(frozen=True, eq=False)
class FieldState:
    """A field, and what its group of pictures has taught the tables so far.

    Attributes:
        field: int16 [2, h, w].
        modes: int32 [ceil(h / 2), ceil(w / 2)].
        sizes: the largest component of the differences of every macroblock, int32, like `modes`.
        mode_tables: of modes.
        tables: of differences.
    """

    field: Field
    modes: IntMap
    sizes: IntMap
    mode_tables: CountedTables
    tables: CountedTables


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


class VectorPrior:
    """Codes fields of motion vectors."""

    def __init__(self) -> None:
        self._modes = IndexPrior(Neighbourhood.none(_MODES), _mode_tables())
        self._differences = IndexPrior(Neighbourhood.none(_ENTRIES), _difference_tables())

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
        modes = np.where((blocks == blocks[:, :1]).all((0, 1)), _ONE, _FOUR).astype(np.int32)
        differences = blocks - _predictions(blocks)[:, None]
        modes[~differences.any((0, 1))] = _PREDICTED
        return [modes, differences + _SPAN]

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
        else:
            mode_tables, tables = before.mode_tables.copy(), before.tables.copy()
        modes = _walk_modes(coding, (rows, columns), before, mode_tables)
        differences = _walk_differences(coding, modes, before, tables)
        blocks = _summed(differences)
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
    past = np.zeros(shape, np.int32) if before is None else _past_classes(before.modes)
    frozen = tables.tables()
    for number, (cosets, neighbours) in enumerate(_PASSES):
        place = _lattice(rows, columns, cosets)
        if not len(place[0]):
            continue
        around = np.zeros(len(place[0]), np.int32)
        for down, across in neighbours:
            row, column = place[0] + down, place[1] + across
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            around[inside] += modes[row[inside], column[inside]]
        states = _state(number, np.minimum(around, _MOST), past[place])
        found = coding.code(place, frozen, index=lambda s=states: s)  # type: ignore[misc]
        if int(found.min()) < 0 or int(found.max()) >= _MODES:
            raise CorruptError("a macroblock has a mode that does not exist: the frame is damaged")
        tables.learn(states, found)
    return modes


def _walk_differences(
    coding: Coding, modes: IntMap, before: FieldState | None, tables: CountedTables
) -> npt.NDArray[np.int64]:
    """Code the differences of all vectors to their predictions, int64 [2, 4, rows, columns]."""
    symbols = coding.begin((2, 4, *modes.shape), fill=_SPAN)
    past = np.zeros_like(modes) if before is None else _largest_around(before.sizes)
    frozen = tables.tables()
    places = [np.nonzero(modes == _ONE), np.nonzero(modes == _FOUR)]
    count = len(places[1][0])
    block = np.concatenate((np.zeros(len(places[0][0]), np.intp), np.repeat(np.arange(4), count)))
    rows, columns = (
        np.concatenate((one, np.tile(four, 4))) for one, four in zip(*places, strict=True)
    )
    if len(block):
        four = (modes[rows, columns] == _FOUR).astype(np.int32)
        states = np.searchsorted(_SIZES, past[rows, columns]) + _CLASSES * four
        for axis in range(2):
            state = states.astype(np.uint8)
            found = coding.code(
                (axis, block, rows, columns),
                frozen,
                index=lambda s=state: s,  # type: ignore[misc]
            )
            outside = (found < 0) | (found >= _ENTRIES)
            tables.learn(state, np.where(outside, _ENTRIES, found))
            own = np.searchsorted(_SIZES, np.abs(found.astype(np.int64) - _SPAN))
            states = 2 * _CLASSES + own + _CLASSES * four
    differences = symbols.astype(np.int64) - _SPAN
    one = modes == _ONE
    differences[:, 1:, one] = differences[:, :1, one]
    return differences


def _state(number: int, around: IntMap, past: IntMap) -> ByteMap:
    """Return the tables of modes."""
    return ((number * (_MOST + 1) + around) * _BEFORE + past).astype(np.uint8)


def _past_classes(modes: IntMap) -> IntMap:
    """Return classes of macroblocks by the modes of the frame before: 1 to 5."""
    padded = np.pad(modes, 1)
    rows, columns = modes.shape
    total = sum(
        padded[row : row + rows, column : column + columns]
        for row in range(3)
        for column in range(3)
    )
    return 1 + np.searchsorted(_BOUNDS, total).astype(np.int32)


def _largest_around(sizes: IntMap) -> IntMap:
    """Return the largest of the 3x3 sizes around every place."""
    padded = np.pad(sizes, 1)
    rows, columns = sizes.shape
    shifted = [
        padded[row : row + rows, column : column + columns]
        for row in range(3)
        for column in range(3)
    ]
    return np.maximum.reduce(shifted)


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


def median(three: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the medians of three vectors, component by component: [2, n] of [2, 3, n]."""
    left, above, beside = three[:, 0], three[:, 1], three[:, 2]
    most = np.minimum(np.maximum(left, above), beside)
    found: npt.NDArray[Any] = np.maximum(np.minimum(left, above), most)
    return found


def _predictions(blocks: IntMap) -> IntMap:
    """Return the predictions of all macroblocks [2, rows, columns] from their vectors."""
    _, count, rows, columns = blocks.shape
    scan = Scan(rows, columns)
    ordered = blocks.reshape(2, count, -1)[:, :, scan.order].reshape(2, -1)
    known = np.pad(ordered, ((0, 0), (0, 1)))
    found = np.empty((2, rows * columns), np.int32)
    found[:, scan.order] = median(known.take(scan.neighbours, axis=1))
    return found.reshape(2, rows, columns)


def _summed(differences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
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
    padded = np.pad(field, ((0, 0), (0, height % _SIDE), (0, width % _SIDE)), mode="edge")
    split = padded.reshape(2, -(-height // _SIDE), _SIDE, -(-width // _SIDE), _SIDE)
    blocks = split.transpose(0, 2, 4, 1, 3).astype(np.int32)
    return blocks.reshape(2, _SIDE**2, *blocks.shape[3:])


def field_of(blocks: npt.NDArray[Any]) -> Field:
    """Reverse macroblocks()."""
    _, _, rows, columns = blocks.shape
    split = blocks.reshape(2, _SIDE, _SIDE, rows, columns).transpose(0, 3, 1, 4, 2)
    return split.reshape(2, rows * _SIDE, columns * _SIDE).astype(np.int16)


def _mode_tables() -> TableSet:
    """Return tables to start from: modes are like those around, and like those before.

    Whole numbers alone, in thousandths, so that they are the same on every machine.
    """
    weights = []
    for number in range(len(_PASSES)):
        for around in range(_MOST + 1):
            for past in range(_BEFORE):
                # In a first pass, without a frame before, nothing is known.
                busy = (250 * around if number else 400) + (0, 0, 100, 250, 500, 1000)[past]
                moving = min(20 + busy // 2, 900)
                four = moving * (150 + busy // 10) // 1000
                weights.append(_table([1000 - moving, moving - four, four, 0]))
    return TableSet.from_weights([0] * len(weights), weights)


def _difference_tables() -> TableSet:
    """Return tables to start from: heavy tails, wider where differences are larger."""
    weights = []
    for _ in range(4):
        for scale, escape in ((10, 5), (14, 5), (26, 20), (70, 20)):
            # Falls with the square of the size, in tenths.
            law = [
                (scale**2 << 20) // (scale + 10 * abs(entry - _SPAN)) ** 2
                for entry in range(_ENTRIES)
            ]
            weights.append(_table([*law, sum(law) * escape // 1000]))
    return TableSet.from_weights([0] * len(weights), weights)


def _table(shares: list[int]) -> IntMap:
    """Return weights of a table in proportion to shares; every slot has some."""
    total = sum(shares)
    weights = [share * (TOTAL - len(shares)) // total + 1 for share in shares]
    weights[max(range(len(shares)), key=shares.__getitem__)] += TOTAL - sum(weights)
    return np.array(weights, np.int32)
