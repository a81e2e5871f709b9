"""The frozen factorized model: a table per channel, for latents or for side latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IntArray
from quantal.entropy.frozen.base import Array, FrozenModel, Values, table_arrays
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Coding, FloatArray, Networks

__all__ = ["LIMIT", "TABLE_STEP", "UNIT_BITS", "FrozenFactorized"]

#: Symbols are clamped to this magnitude, which bounds the input of an integer network.
LIMIT = 127
#: Fractional bits of dequantised values.
UNIT_BITS = 8
#: Tables follow the rate index in steps of this many.
TABLE_STEP = 4


class _Values(Values):
    def __init__(self, values: FloatArray) -> None:
        self._values = values

    @property
    def z_hat(self) -> FloatArray:
        return np.zeros((*self._values.shape[:-3], 0, 0, 0), np.float32)

    def y_hat(self) -> FloatArray:
        return self._values


def _no_networks(name: str, rate: float, *inputs: FloatArray) -> FloatArray:
    raise KeyError(name)


class FrozenFactorized(FrozenModel):
    """Every channel has a table of its own, which follows the rate (Balle et al. 2018).

    Args:
        units: int32 [64, C], the value of a symbol at each rate index, in units of 2^-8.
        tables: C tables for every four rate indices.
    """

    def __init__(self, units: npt.NDArray[np.int32], tables: Sequence[TableSet]) -> None:
        if units.ndim != 2 or len(units) != RATE_INDICES or not units.size or int(units.min()) < 1:
            raise ValueError(f"units are not {RATE_INDICES} x C numbers from 1 on")
        networks: Networks = _no_networks
        super().__init__(units.shape[1], tables[0], networks)
        self.units, self.tables = units, tuple(tables)
        if any(len(each) != self.channels for each in self.tables):
            raise ValueError(f"there are not {self.channels} tables in each set")
        if len(self.tables) != RATE_INDICES // TABLE_STEP:
            raise ValueError(f"there are {len(self.tables)} sets of tables, one for four rates")

    @property
    def largest_value(self) -> int:
        """The largest magnitude of a value, in units of 2^-8."""
        return int(self.units.max()) * LIMIT

    def latents(self, y: FloatArray, rate: float, z: IntArray | None = None) -> list[Array]:
        return [y]

    def integers(self) -> dict[str, Array]:
        found: dict[str, Array] = {"exact.z_units": self.units}
        for place, tables in enumerate(self.tables):
            found |= table_arrays(f"tables.z.{place}", tables)
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FrozenFactorized:
        """Build a model from the result of integers().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of such a model.
        """
        sets = range(RATE_INDICES // TABLE_STEP)
        tables = [TableSet.from_arrays(arrays, f"tables.z.{place}") for place in sets]
        return cls(arrays["exact.z_units"], tables)

    def walk(
        self, coding: Coding, rows: int, columns: int, rate: float, parts: int | None = None
    ) -> Values:
        symbols = self.code(coding, rows, columns, rate)
        return _Values(self.dequantised(symbols, rate))

    def code(self, coding: Coding, rows: int, columns: int, rate: float) -> IntArray:
        """Code all channels in turn.

        Args:
            coding: what to do with the symbols.
            rows: of the latents.
            columns: of the latents.
            rate: position on the rate axis.

        Returns:
            Symbols int32 [..., C, rows, columns], with the leading axes of the coding.

        Raises:
            CorruptError: If a symbol is beyond the range that the integer networks are proven for.
        """
        tables = self.tables[int(rate) // TABLE_STEP]
        # No symbol is free, so a size that the bytes can't hold is refused at once.
        coding.require(self.least_bits(rows, columns, rate))
        shape = (self.channels, rows, columns)
        coding.begin(shape)
        channel = np.arange(self.channels, dtype=np.uint8)[:, None, None]
        coding.code(
            ...,
            tables,
            index=lambda: np.broadcast_to(channel, (*coding.lead, *shape)),
            residual=lambda y: np.clip(y * self._gain(rate), -LIMIT, LIMIT),
        )
        coding.limit(-LIMIT, LIMIT, "a side symbol")
        return coding.symbols[-1]

    def least_bits(self, rows: int, columns: int, rate: float) -> float:
        """Return the fewest bits that latents of a size can cost at a rate."""
        tables = self.tables[int(rate) // TABLE_STEP]
        return float(tables.least_bits.sum()) * rows * columns

    def _gain(self, rate: float) -> FloatArray:
        """Return the multiplier of latents before rounding [C, 1, 1]."""
        units = self.units[int(rate)].astype(np.float32)
        return np.float32(2.0**UNIT_BITS) / units[:, None, None]

    def values(self, symbols: IntArray, rate: float) -> IntArray:
        """Return the values of symbols [..., C, h, w], int32, in units of 2^-8."""
        return symbols * self.units[int(rate)][:, None, None]

    def dequantised(self, symbols: IntArray, rate: float) -> FloatArray:
        """Return the values of symbols [..., C, h, w], float32."""
        found: FloatArray = self.values(symbols, rate).astype(np.float32) * np.float32(
            2.0**-UNIT_BITS
        )
        return found
