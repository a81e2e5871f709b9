"""The prior of a codebook's indices: contexts and adaptive tables.

A position's neighbours to the left, above and to the upper left, and its parent (the entry of the
coarser map that covers it), are each reduced to a class; the classes choose one of a few states,
and a state has a table of integers. Tables start as counted in training and are updated while a map
is coded, in the same way on both sides.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.tables import TOTAL, TableSet
from quantal.errors import ArgumentError, ModelError

__all__ = [
    "ABSENT",
    "BoolMap",
    "ByteMap",
    "CountedTables",
    "IndexPrior",
    "IntMap",
    "Neighbourhood",
]

IntMap = npt.NDArray[np.int32]
ByteMap = npt.NDArray[np.uint8]
BoolMap = npt.NDArray[np.bool_]

#: Stands for a position without an index.
ABSENT = -1
#: Neighbours: left, above, upper left.
_NEIGHBOURS = 3
#: Classes are bytes, and so is that of an absent neighbour.
_MOST_CLASSES = 255
#: What a symbol adds to its own state and to all states of its map, where what training saw of a
#: state counts 2^24.
_OWN, _SHARED = 1 << 16, 1 << 14
#: A state's counts are halved when their sum exceeds this, so that a product with 2^24 stays within
#: 64 bits.
_MOST = 1 << 38
#: Tables follow the counts when there are so many new symbols, and one for every 32 before: later
#: ones change little, and an encoder has to keep all tables until the end.
_RENEW, _RENEW_SHIFT = 48, 5

#: What a prior is stored as, by name.
_STORED = {
    "shape": np.int32,
    "classes": np.uint8,
    "states": np.uint8,
    "weights": np.int32,
}


@dataclass(frozen=True)
class Neighbourhood:
    """How positions become states.

    Attributes:
        classes: uint8 [K], of every entry, below `count`; `count` itself is the class of an absent
            neighbour.
        count: how many classes.
        parents: how many classes a parent has.
        states: uint8, for every combination of the classes of left, above, upper left (count + 1
            each) and of the parent (parents), in that order of significance.
    """

    count: int
    parents: int
    classes: ByteMap
    states: ByteMap

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MOST_CLASSES or not 1 <= self.parents <= _MOST_CLASSES + 1:
            raise ModelError(f"index contexts: {self.count} classes, of parents {self.parents}")
        wanted = (self.count + 1) ** _NEIGHBOURS * self.parents
        for name, array in (("classes", self.classes), ("states", self.states)):
            if array.dtype != np.uint8 or array.ndim != 1:
                raise ModelError(f"index contexts: {name} must be uint8 in one dimension")
        if len(self.states) != wanted:
            raise ModelError(f"index contexts: {len(self.states)} states, expected {wanted}")
        if len(self.classes) < 2:
            raise ModelError(f"index contexts: {len(self.classes)} entries, expected 2 or more")
        if int(self.classes.max()) >= self.count:
            raise ModelError(f"index contexts: a class is not below {self.count}")

    @classmethod
    def none(cls, entries: int) -> Neighbourhood:
        """Return a neighbourhood of one state for all positions."""
        return cls(1, 1, np.zeros(entries, np.uint8), np.zeros(8, np.uint8))

    def context(
        self, left: ByteMap, above: ByteMap, corner: ByteMap, parent: ByteMap
    ) -> npt.NDArray[np.int64]:
        """Return combinations of classes [n], which index `states`."""
        base = self.count + 1
        found: npt.NDArray[np.int64] = (
            (left.astype(np.int64) * base + above) * base + corner
        ) * self.parents + parent
        return found

    def parents_of(self, parents: ByteMap | None, shape: tuple[int, int]) -> ByteMap:
        """Return the classes of a map's parents, uint8 [h, w]; 0 where contexts don't use them.

        Raises:
            ArgumentError: If `parents` is no such map.
        """
        if parents is None or self.parents == 1:
            return np.zeros(shape, np.uint8)
        if parents.dtype != np.uint8 or parents.shape != shape:
            raise ArgumentError(
                f"classes of parents are {parents.dtype} {parents.shape}, expected uint8 {shape}"
            )
        if int(parents.max(initial=0)) >= self.parents:
            raise ArgumentError(
                f"a parent's class is {int(parents.max())}, expected 0..{self.parents - 1}"
            )
        return parents


class IndexPrior:
    """The prior of one codebook's indices: contexts and tables.

    Args:
        around: how positions become states.
        tables: one for each state; their symbols are 0..K-1.

    Raises:
        ModelError: If contexts and tables don't fit.
    """

    def __init__(self, around: Neighbourhood, tables: TableSet) -> None:
        entries = len(around.classes)
        if tables.first.any() or (tables.slots != entries + 1).any():
            raise ModelError(f"index tables: expected {entries} entries from 0 on in each")
        if int(around.states.max()) >= len(tables):
            raise ModelError(f"index contexts: a state has no table, there are {len(tables)}")
        self.around, self.tables, self.entries = around, tables, entries

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return everything by name, as stored."""
        around = self.around
        weights = [self.tables.weights(table) for table in range(len(self.tables))]
        return {
            f"{prefix}.shape": np.array([around.count, around.parents], np.int32),
            f"{prefix}.classes": around.classes,
            f"{prefix}.states": around.states,
            f"{prefix}.weights": np.stack(weights).astype(np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> IndexPrior:
        """Build a prior from the result of arrays().

        Raises:
            KeyError, ModelError: If the arrays are not those of a prior.
        """
        for name, kind in _STORED.items():
            if arrays[f"{prefix}.{name}"].dtype != kind:
                raise ModelError(f"index tables: {prefix}.{name} must be {np.dtype(kind).name}")
        shape, classes, states, weights = (arrays[f"{prefix}.{name}"] for name in _STORED)
        if shape.shape != (2,) or weights.ndim != 2 or not len(weights):
            raise ModelError(f"index tables {prefix}: expected two counts, and rows of weights")
        tables = TableSet.from_weights([0] * len(weights), list(weights))
        return cls(Neighbourhood(int(shape[0]), int(shape[1]), classes, states), tables)


class CountedTables:
    """Adaptive tables of a prior: integers alone.

    What all states share never counts more than a symbol for each entry, or than training: it
    serves symbols that a state has not seen, and would in time make all states alike.

    Args:
        prior: contexts, and tables to start from.
        own: what a symbol adds to its own state; 0 keeps tables fixed.
        shared: what it adds to all states.
    """

    def __init__(self, prior: IndexPrior, own: int = _OWN, shared: int = _SHARED) -> None:
        if not 0 <= min(own, shared) <= max(own, shared) <= TOTAL:
            raise ArgumentError(f"a symbol adds 0 to 2^24 to the counts, not {own} and {shared}")
        self._own, self._shared = own, shared
        self._most_shared = min(shared * prior.entries, TOTAL)
        self._tables = prior.tables
        #: Of every state, and of all symbols alike; none before the first symbol.
        self._counts: npt.NDArray[np.int64] | None = None
        self._often = np.zeros(prior.entries + 1, np.int64)
        self._seen = self._new = 0

    def copy(self) -> CountedTables:
        """Return tables that go on by themselves from here."""
        other = copy.copy(self)
        if self._counts is not None:
            other._counts = self._counts.copy()
        other._often = self._often.copy()
        return other

    def tables(self) -> TableSet:
        """Return the tables of the next symbols."""
        if self._counts is not None and self._new >= max(_RENEW, self._seen >> _RENEW_SHIFT):
            self._seen, self._new = self._seen + self._new, 0
            while (large := self._counts.sum(1) > _MOST).any():
                self._counts[large] >>= 1
            shared = min(self._seen * self._shared, self._most_shared)
            self._tables = _tables(self._counts + self._often * shared // self._seen)
        return self._tables

    def learn(self, states: ByteMap, symbols: IntMap) -> None:
        """Count symbols int32 [n], each seen in a state uint8 [n]."""
        if not (self._own or self._shared):
            return
        if self._counts is None:
            frozen = self._tables
            self._counts = np.stack([frozen.weights(t) for t in range(len(frozen))])
        np.add.at(self._counts, (states, symbols), self._own)
        self._often += np.bincount(symbols, minlength=len(self._often))
        self._new += len(symbols)


def _tables(counts: npt.NDArray[np.int64]) -> TableSet:
    """Map counts [S, K + 1], each sum 1 to 2^38 + 2^24, to tables; no slot is empty."""
    slots = counts.shape[1]
    weights = counts * (TOTAL - slots) // counts.sum(1, keepdims=True) + 1
    rows = np.arange(len(weights))
    weights[rows, weights.argmax(1)] += TOTAL - weights.sum(1)
    bounds = np.zeros((len(rows), slots + 1), np.int32)
    bounds[:, 1:] = weights.cumsum(1)
    starts = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(slots + 1)
    return TableSet(np.zeros(len(rows), np.int32), starts, bounds.reshape(-1))
