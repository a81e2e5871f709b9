"""Probability tables as stored integers: what the coder reads, equal on every machine.

A table gives each symbol a weight, a whole number of 2^-24ths. Tables are made once, at export; a
decoder loads and checks them, and evaluates no probability function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from quantal.errors import ModelError

__all__ = ["PRECISION", "TableSet", "freeze"]

#: Bits of a probability; constriction's default for its fast coders.
PRECISION = 24
TOTAL = 1 << PRECISION
#: A table index is a uint8.
MOST_TABLES = 256
_LARGEST_SYMBOL = 1 << 20

IntArray = npt.NDArray[np.int32]


class TableSet:
    """Up to 256 tables, validated.

    The last slot of a table is the escape, by which every other int32 is coded. A table of a single
    slot is certain of its first symbol, which costs nothing.

    Attributes:
        first: int32 [T], the first symbol of each table.
        offsets: int32 [T + 1], where each table starts in `cumulative`.
        cumulative: int32; for a table of n slots the n + 1 values 0, ..., 2^24.

    Raises:
        ModelError: If the integers don't form tables.
    """

    def __init__(self, first: IntArray, offsets: IntArray, cumulative: IntArray) -> None:
        for name, array in (("first", first), ("offsets", offsets), ("cumulative", cumulative)):
            if array.dtype != np.int32 or array.ndim != 1:
                raise ModelError(f"probability tables: `{name}` must be int32 in one dimension")
        count = len(first)
        if not 1 <= count <= MOST_TABLES or len(offsets) != count + 1:
            raise ModelError(f"probability tables: {count} tables with {len(offsets)} offsets")
        wide = offsets.astype(np.int64)
        if wide[0] != 0 or wide[-1] != len(cumulative) or (np.diff(wide) < 2).any():
            raise ModelError("probability tables: offsets do not divide the cumulative counts")
        steps = np.diff(cumulative.astype(np.int64))
        inside = np.ones(len(steps), dtype=bool)
        inside[wide[1:-1] - 1] = False
        if (
            cumulative[wide[:-1]].any()
            or (cumulative[wide[1:] - 1] != TOTAL).any()
            or (steps[inside] <= 0).any()
        ):
            raise ModelError(
                f"probability tables: a table must start at 0, increase strictly and end at {TOTAL}"
            )
        if (np.abs(first.astype(np.int64)) > _LARGEST_SYMBOL).any():
            raise ModelError("probability tables: a first symbol is out of range")
        self.first, self.offsets, self.cumulative = first, offsets, cumulative

    @classmethod
    def from_weights(cls, first: Sequence[int], weights: Sequence[IntArray]) -> TableSet:
        """Build from each table's first symbol and the weights of its slots (escape last)."""
        parts = [np.concatenate(([0], np.cumsum(w, dtype=np.int64))) for w in weights]
        offsets = np.concatenate(([0], np.cumsum([len(p) for p in parts])))
        return cls(
            np.asarray(first, dtype=np.int32),
            offsets.astype(np.int32),
            np.concatenate(parts).astype(np.int32),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, IntArray], prefix: str) -> TableSet:
        """Build from the arrays PREFIX.first, PREFIX.offsets and PREFIX.cumulative."""
        return cls(*(arrays[f"{prefix}.{name}"] for name in ("first", "offsets", "cumulative")))

    def __len__(self) -> int:
        return len(self.first)

    def weights(self, table: int) -> npt.NDArray[np.int64]:
        """Return the weights of one table's slots; they sum to 2^24."""
        start, end = self.offsets[table], self.offsets[table + 1]
        bounds = self.cumulative[start:end].astype(np.int64)
        return bounds[1:] - bounds[:-1]

    @cached_property
    def slots(self) -> npt.NDArray[np.int64]:
        """Number of slots of each table [T], its escape included."""
        wide = self.offsets.astype(np.int64)
        return wide[1:] - wide[:-1] - 1

    @cached_property
    def certain(self) -> npt.NDArray[np.bool_]:
        """Which tables are certain of their symbol, bool [T]."""
        return self.slots == 1

    @cached_property
    def escapes(self) -> IntArray:
        """The slot of each table's escape [T]; of a table that is certain, its only one."""
        return (self.slots - 1).astype(np.int32)

    @cached_property
    def gives_more_than_zeros(self) -> bool:
        """Whether a table is certain of another symbol than zero."""
        return bool(self.first[self.certain].any())

    @cached_property
    def _certain_before(self) -> int | None:
        """The first table that is not certain, if all tables before it and no others are."""
        count = int(self.certain.sum())
        return count if self.certain[:count].all() else None

    def coded_mask(self, index: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Return which elements have a table that is not certain of their symbol.

        Args:
            index: the table of each, uint8 of any shape.
        """
        before = self._certain_before
        if before is None or before == MOST_TABLES:
            return ~self.certain.take(index)
        return index >= np.uint8(before)  # several times as fast

    @cached_property
    def least_bits(self) -> npt.NDArray[np.float64]:
        """The fewest bits that a symbol of each table can cost [T]; bounds what a file can hold."""
        return np.array([-np.log2(self.weights(t).max() / TOTAL) for t in range(len(self))])


def freeze(
    probabilities: npt.NDArray[np.float64], escape: float = 2.0**-20, floor: int = 1
) -> IntArray:
    """Turn the probabilities of consecutive symbols into integer weights with an escape slot.

    The weights sum to exactly 2^24; the likeliest symbol absorbs the rounding.

    Args:
        probabilities: float64 [n].
        escape: probability of the escape.
        floor: the smallest weight of a slot, in 2^-24ths.

    Returns:
        int32 [n + 1].
    """
    if not len(probabilities) or not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise ModelError("probabilities must be finite, at least 0, and there must be some")
    if floor < 1 or (len(probabilities) + 1) * floor > TOTAL // 2:
        raise ModelError(f"{len(probabilities)} symbols do not fit a table with floor {floor}")
    full = np.append(probabilities, max(escape, 0.0))
    free = TOTAL - floor * len(full)
    weights = np.floor(full / full.sum() * free).astype(np.int64) + floor
    weights[int(np.argmax(weights))] += TOTAL - weights.sum()
    return weights.astype(np.int32)
