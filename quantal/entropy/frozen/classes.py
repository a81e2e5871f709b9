"""The frozen model of classes: every position says which scales its latents have.

A position has one of a few classes; the scale of a latent is stored for its class, its channel and
the rate. So nothing but lookups happens between two calls of the coder: all classes, then all
latents. Of channels that change slowly, differences between neighbours are coded.
docs/reference/codecs/wavelet.md specifies the stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IndexArray, IntArray
from quantal.entropy.frozen.base import Array, FrozenModel, Values, table_arrays
from quantal.entropy.prices import LARGEST_PRICED, price_list
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.scales import SCALES
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Coding, FloatArray, Networks, Rounding, finite, round_nearest
from quantal.planes import bands

__all__ = ["CLASS_STEP", "LARGEST_COUNT", "FrozenClasses", "differences"]

#: Tables of classes follow the rate index in steps of this many.
CLASS_STEP = 4
#: The most classes that there can be.
LARGEST_COUNT = 64
#: Positions whose classes are chosen at a time: intermediate values stay in the cache.
_AT_ONCE = 1024
#: Bits that a symbol counts as if its class can't code it.
_LOST = 64.0
#: The same for a difference: the rest of its row is lost with it.
_ROW_LOST = 4096.0


def differences(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what each value [..., h, w] differs by from its left neighbour.

    In the first column it is the one above; the first value of all stays.
    """
    found = values.copy()
    found[..., 1:] -= values[..., :-1]
    found[..., 1:, 0] -= values[..., :-1, 0]
    return found


def _summed(values: IntArray) -> IntArray:
    """Undo differences(); what no int32 holds wraps around, here as there."""
    found = values.copy()
    found[..., 0] = np.cumsum(found[..., 0], axis=-1, dtype=np.int32)
    summed: IntArray = np.cumsum(found, axis=-1, dtype=np.int32)
    return summed


class _Values(Values):
    """Latents from symbols, by a multiplier for each channel."""

    def __init__(
        self, model: FrozenClasses, y: IntArray, index: IndexArray | None, rate: float
    ) -> None:
        self._model, self._y, self._index, self._rate = model, y, index, rate

    @property
    def z_hat(self) -> FloatArray:
        return np.zeros((*self._y.shape[:-3], 0, 0, 0), np.float32)

    def y_hat(self) -> FloatArray:
        model = self._model
        y = self._y.astype(np.float32)
        if self._index is None:
            raise ValueError("the walk keeps no scale indices")
        # Nearer to zero than the middle of a symbol's cell: values there are likelier.
        places = np.flatnonzero(self._y != 0)
        symbols = y.take(places)
        symbols -= np.sign(symbols) * model.lean().take(self._index.take(places))
        y.put(places, symbols)
        y[..., model.slow, :, :] = _summed(self._y[..., model.slow, :, :])
        y *= model.networks("ungain", self._rate)
        return y


class FrozenClasses(FrozenModel):
    """Scales of y follow from the class of a position, the channel and the rate index.

    Networks: `gain` and `ungain` give multipliers of y before rounding and after parsing [C, 1, 1],
    `lean` the fraction by which a symbol is reconstructed nearer to zero, for each scale index
    [64].

    Args:
        scales: scale indices, uint8 [64, K, C], at each rate index for K classes.
        slow: the channels of which differences are coded, int32 in ascending order.
        class_tables: a table of classes for every four rate indices.
        y_tables: 64 tables, one for each scale index.
        networks: its floating-point networks.

    Raises:
        ValueError: If these don't fit together.
    """

    def __init__(
        self,
        scales: npt.NDArray[np.uint8],
        slow: IntArray,
        class_tables: TableSet,
        y_tables: TableSet,
        networks: Networks,
    ) -> None:
        if scales.dtype != np.uint8 or scales.ndim != 3 or len(scales) != RATE_INDICES:
            raise ValueError(f"scale indices are not uint8 [{RATE_INDICES}, K, C]")
        if not 1 <= scales.shape[1] <= LARGEST_COUNT:
            raise ValueError(f"there are {scales.shape[1]} classes, not 1 to {LARGEST_COUNT}")
        if not scales.size or scales.max() >= SCALES or len(y_tables) != SCALES:
            raise ValueError(f"scale indices or tables of y are not those of {SCALES} scales")
        if len(class_tables) != RATE_INDICES // CLASS_STEP or class_tables.certain.any():
            raise ValueError("there is no table of classes for every four rates")
        super().__init__(scales.shape[2], y_tables, networks)
        if slow.dtype != np.int32 or slow.ndim != 1:
            raise ValueError("slow channels are not int32 in one axis")
        if slow.size and not 0 <= slow.min() <= slow.max() < self.channels:
            raise ValueError(f"slow channels are not below {self.channels}")
        if (np.diff(slow) < 1).any():
            raise ValueError("slow channels are not in ascending order")
        self.index, self.slow, self.class_tables = scales, slow, class_tables
        #: The rate index of the last call, and prices at it.
        self._priced: tuple[int, npt.NDArray[np.float32]] | None = None

    @property
    def classes(self) -> int:
        """K, the number of classes."""
        return int(self.index.shape[1])

    def lean(self) -> FloatArray:
        return self.networks("lean", 0.0)

    @cached_property
    def _prices(self) -> npt.NDArray[np.float32]:
        """Bits of symbols 0, 1, ... of either sign under each table."""
        prices = price_list(self.y_tables)[:, LARGEST_PRICED:]
        # A table that is certain of zero would lose any other symbol.
        prices[self.y_tables.certain, 1:] = _LOST
        return prices

    @cached_property
    def _class_prices(self) -> npt.NDArray[np.float32]:
        return price_list(self.class_tables)[:, LARGEST_PRICED:][:, : self.classes]

    def residual(self, y: FloatArray, rate: float) -> FloatArray:
        """Return the values that are rounded to symbols, float32 [C, h, w].

        Raises:
            ModelError: If one is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            residual: FloatArray = finite(y * self.networks("gain", rate))
        # Of rounded values, since that is what a reader adds up.
        residual[self.slow] = differences(np.rint(residual[self.slow]))
        return residual

    def chosen(self, y: FloatArray, rate: float) -> IntArray:
        """Return the class of each position in which its latents cost least, int32 [1, h, w].

        Args:
            y: float32 [C, h, w].
            rate: position on the rate axis.
        """
        channels, rows, columns = y.shape
        prices = self._prices_at(int(rate))
        symbols = np.rint(self.residual(y, rate))
        places = np.minimum(np.abs(symbols), LARGEST_PRICED).astype(np.int32)
        places += np.arange(channels, dtype=np.int32)[:, None, None] * (LARGEST_PRICED + 1)
        places = places.reshape(channels, -1)
        found = np.empty(rows * columns, np.int32)
        own = self._class_prices[int(rate) // CLASS_STEP]
        for part in bands(rows * columns, 1, _AT_ONCE):
            here = np.ascontiguousarray(places[:, part])
            costs = [bits.take(here).sum(0) for bits in prices]
            found[part] = (np.stack(costs) + own[:, None]).argmin(0)
        return found.reshape(1, rows, columns)

    def _prices_at(self, rate_index: int) -> npt.NDArray[np.float32]:
        """Return the bits of symbols 0, 1, ... in each channel, for each class [K, C * 256]."""
        if self._priced is None or self._priced[0] != rate_index:
            scales = self.index[rate_index]
            prices = self._prices[scales]
            lost = self.y_tables.certain[scales]
            lost[:, np.setdiff1d(np.arange(self.channels), self.slow)] = False
            prices[lost, 1:] = _ROW_LOST
            self._priced = (rate_index, prices.reshape(self.classes, -1))
        return self._priced[1]

    def latents(self, y: FloatArray, rate: float, z: IntArray | None = None) -> list[Array]:
        return [self.chosen(y, rate) if z is None else z, y]

    def on_grid(self, symbols: Sequence[Array], rows: int, columns: int) -> Array:
        found = symbols[1].astype(np.int32)
        found[..., self.slow, :, :] = _summed(found[..., self.slow, :, :])
        return found

    def step(self, rate: float) -> FloatArray:
        return self.networks("ungain", rate).reshape(-1, 1, 1)

    def rounding_by_price(self, worth: float) -> Rounding:
        """Return a rounding as of every model's, which leaves differences as they are."""
        plain = super().rounding_by_price(worth)

        def rounding(residual: FloatArray, index: IndexArray, tables: TableSet) -> IntArray:
            own = index[..., self.slow, :, :]
            # One that moved would shift all that follows in its row.
            kept = round_nearest(residual[..., self.slow, :, :], own, tables)
            symbols = plain(residual, index, tables)
            symbols[..., self.slow, :, :] = kept
            return symbols

        return rounding

    def integers(self) -> dict[str, Array]:
        return {
            "exact.scales": self.index,
            "exact.slow": self.slow,
            **table_arrays("tables.classes", self.class_tables),
            **table_arrays("tables.y", self.y_tables),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], networks: Networks) -> FrozenClasses:
        """Build a model from the result of integers().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of such a model.
        """
        classes, y = (TableSet.from_arrays(arrays, f"tables.{name}") for name in ("classes", "y"))
        return cls(arrays["exact.scales"], arrays["exact.slow"], classes, y, networks)

    def least_bits(self, rows: int, columns: int, rate: float) -> float:
        """Return the fewest bits that latents of a size can cost at a rate."""
        return float(self.class_tables.least_bits[int(rate) // CLASS_STEP]) * rows * columns

    def walk(
        self, coding: Coding, rows: int, columns: int, rate: float, parts: int | None = None
    ) -> Values:
        rate_index = int(rate)
        # No class is free, so a size that the bytes can't hold is refused at once.
        coding.require(self.least_bits(rows, columns, rate))
        classes = coding.begin((1, rows, columns))
        table = np.uint8(rate_index // CLASS_STEP)
        coding.code(..., self.class_tables, index=lambda: np.broadcast_to(table, classes.shape))
        coding.limit(0, self.classes - 1, "the class of a position")
        y = coding.begin((self.channels, rows, columns), indexed=True)
        coding.code(
            ...,
            self.y_tables,
            index=lambda: self._scale_index(classes, rate_index),
            residual=lambda latents: self.residual(latents, rate),
        )
        return _Values(self, y, coding.index[-1], rate)

    def _scale_index(self, classes: IntArray, rate_index: int) -> IndexArray:
        """Return the scale indices of classes [..., 1, h, w]: uint8 [..., C, h, w]."""
        found = self.index[rate_index].take(classes[..., 0, :, :], axis=0)
        return np.ascontiguousarray(np.moveaxis(found, -1, -3))
