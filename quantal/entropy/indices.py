"""Maps of codebook indices to bytes and back, exact by construction.

No network stands in the parse path. A position's neighbours to the left, above and to the upper
left, and the entry of the coarser map that it lies in, are each reduced to a class; the classes
choose one of a few states, and a state has a table of integers. Tables begin as they were counted
in training and go on counting while a map is coded, alike on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.entropy.tables import TableSet
from quantal.errors import CorruptError, ModelError

__all__ = ["ABSENT", "CountedTables", "IndexPrior", "Neighbourhood", "walk"]

IntMap = npt.NDArray[np.int32]
ByteMap = npt.NDArray[np.uint8]
BoolMap = npt.NDArray[np.bool_]

#: An index that is not there.
ABSENT = -1
#: Neighbours: left, above, upper left.
_NEIGHBOURS = 3
#: What a symbol adds to its own state and to all states of its map, where what training saw of a
#: state counts 2^24.
_OWN, _SHARED = 1 << 13, 1 << 12
#: Counts are halved when they come to this, so that a product with 2^24 stays below 2^62.
_MOST = 1 << 38
#: Tables follow the counts after so many new symbols at the latest.
_RENEW = 48

#: Tables' states and the tables, to symbols int32: an encoder knows them, a decoder reads them.
Exchange = Callable[[ByteMap, TableSet], IntMap]


@dataclass(frozen=True)
class Neighbourhood:
    """How positions become states.

    classes: uint8 [K], of every entry, below `count`; `count` itself is the class of what isn't
    there. states: uint8, for every combination of the classes of left, above, upper left (count + 1
    each) and of the parent (parents), in that order of significance.
    """

    count: int
    parents: int
    classes: ByteMap
    states: ByteMap

    def __post_init__(self) -> None:
        wanted = (self.count + 1) ** _NEIGHBOURS * self.parents
        for name, array in (("classes", self.classes), ("states", self.states)):
            if array.dtype != np.uint8 or array.ndim != 1:
                raise ModelError(f"index contexts: {name} must be uint8 in one dimension")
        if self.count < 1 or self.parents < 1 or len(self.states) != wanted:
            raise ModelError(f"index contexts: {len(self.states)} states, expected {wanted}")
        if len(self.classes) < 2 or int(self.classes.max()) >= self.count:
            raise ModelError(f"index contexts: a class is not below {self.count}")

    @classmethod
    def none(cls, entries: int) -> Neighbourhood:
        """One state for all."""
        return cls(1, 1, np.zeros(entries, np.uint8), np.zeros(8, np.uint8))

    def context(
        self, left: ByteMap, above: ByteMap, corner: ByteMap, parent: ByteMap
    ) -> npt.NDArray[np.int64]:
        """Combinations of classes [n], by which `states` is looked up."""
        base = self.count + 1
        found: npt.NDArray[np.int64] = (
            (left.astype(np.int64) * base + above) * base + corner
        ) * self.parents + parent
        return found


class IndexPrior:
    """What is known of the indices of one codebook before a map is coded: contexts and tables.

    The tables' symbols are 0..K-1. Raises ModelError if contexts and tables don't fit.
    """

    def __init__(self, around: Neighbourhood, tables: TableSet) -> None:
        entries = len(around.classes)
        if tables.first.any() or (tables.slots != entries + 1).any():
            raise ModelError(f"index tables: expected {entries} entries from 0 on in each")
        if int(around.states.max()) >= len(tables):
            raise ModelError(f"index contexts: a state has no table, there are {len(tables)}")
        self.around, self.tables, self.entries = around, tables, entries

    @property
    def least_bits(self) -> float:
        """The fewest bits that a first index can cost."""
        return float(self.tables.least_bits.min())

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Everything, by name, as stored."""
        around = self.around
        return {
            f"{prefix}.shape": torch.tensor([around.count, around.parents], dtype=torch.int32),
            f"{prefix}.classes": torch.from_numpy(around.classes.copy()),
            f"{prefix}.states": torch.from_numpy(around.states.copy()),
            f"{prefix}.weights": torch.from_numpy(
                np.stack([self.tables.weights(t) for t in range(len(self.tables))]).astype(np.int32)
            ),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], prefix: str) -> IndexPrior:
        """The reverse of tensors(); raises KeyError or ModelError if they are not those."""
        count, parents = (int(n) for n in tensors[f"{prefix}.shape"])
        classes, states = (tensors[f"{prefix}.{n}"].numpy() for n in ("classes", "states"))
        weights = tensors[f"{prefix}.weights"].numpy()
        if weights.dtype != np.int32 or weights.ndim != 2:
            raise ModelError(f"index tables {prefix} must be int32 in two dimensions")
        tables = TableSet.from_weights([0] * len(weights), list(weights))
        return cls(Neighbourhood(count, parents, classes, states), tables)


class CountedTables:
    """The tables of a prior, which go on counting: integers alone.

    own, shared: what a symbol adds to its state and to all; 0 and 0 keeps them frozen.
    """

    def __init__(self, prior: IndexPrior, own: int = _OWN, shared: int = _SHARED) -> None:
        self._frozen = prior.tables
        self._own, self._shared = own, shared
        self._counts: npt.NDArray[np.int64] | None = None
        self._tables = prior.tables
        self._new = 0

    def tables(self) -> TableSet:
        """The tables by which the next symbols are coded."""
        if self._new >= _RENEW and self._counts is not None:
            while int(self._counts.sum(1).max()) > _MOST:
                self._counts >>= 1
            self._tables = _tables(self._counts)
            self._new = 0
        return self._tables

    def learn(self, states: ByteMap, symbols: IntMap) -> None:
        """Count symbols int32 [n], each seen in a state uint8 [n]."""
        if not (self._own or self._shared):
            return
        if self._counts is None:
            frozen = self._frozen
            self._counts = np.stack([frozen.weights(t) for t in range(len(frozen))])
        np.add.at(self._counts, (states, symbols), self._own)
        if self._shared:
            seen = np.bincount(symbols, minlength=self._counts.shape[1])
            self._counts += seen * self._shared
        self._new += len(symbols)


def _tables(counts: npt.NDArray[np.int64]) -> TableSet:
    """Counts [S, K + 1], each sum at most 2^38, to tables of 2^24; no slot is empty."""
    slots = counts.shape[1]
    weights = counts * ((1 << 24) - slots) // counts.sum(1, keepdims=True) + 1
    rows = np.arange(len(weights))
    weights[rows, weights.argmax(1)] += (1 << 24) - weights.sum(1)
    return TableSet.from_weights([0] * len(weights), list(weights.astype(np.int32)))


def _diagonals(present: BoolMap) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Rows and columns of the positions that are there, anti-diagonal by anti-diagonal."""
    rows, columns = np.nonzero(present)
    number = rows + columns
    order = np.argsort(number, kind="stable")
    rows, columns, number = rows[order], columns[order], number[order]
    cuts = np.flatnonzero(np.diff(number)) + 1
    return zip(np.split(rows, cuts), np.split(columns, cuts), strict=True)


def walk(
    prior: IndexPrior,
    present: BoolMap,
    parents: ByteMap | None,
    exchange: Exchange,
    counted: CountedTables | None = None,
) -> IntMap:
    """Code or read the indices of a map, int32 [h, w], ABSENT where `present` [h, w] is false.

    parents: the class of what each position lies in, uint8 [h, w]; None: none. All positions of an
    anti-diagonal are exchanged at once. Raises CorruptError for an index that has no entry.
    """
    around = prior.around
    height, width = present.shape
    counted = CountedTables(prior) if counted is None else counted
    indices = np.full((height, width), ABSENT, np.int32)
    if not present.any():
        return indices
    if parents is None or around.parents == 1:
        parents = np.zeros((height, width), np.uint8)
    # A border at the top and the left, where nothing is.
    classes = np.full((height + 1, width + 1), around.count, np.uint8)
    for rows, columns in _diagonals(present):
        context = around.context(
            classes[rows + 1, columns],
            classes[rows, columns + 1],
            classes[rows, columns],
            parents[rows, columns],
        )
        states = around.states[context]
        symbols = exchange(states, counted.tables())
        if int(symbols.min()) < 0 or int(symbols.max()) >= prior.entries:
            found = int(symbols.max()) if int(symbols.min()) >= 0 else int(symbols.min())
            raise CorruptError(
                f"index {found} found, expected 0..{prior.entries - 1}: the image part is damaged"
            )
        indices[rows, columns] = symbols
        classes[rows + 1, columns + 1] = around.classes[symbols]
        counted.learn(states, symbols)
    return indices
