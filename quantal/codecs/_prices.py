"""What symbols cost, and rounding that minds it.

Prices are read from the tables that code the symbols, so they are the real ones to a fraction of a
bit; used by the encoder alone.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.entropy.tables import PRECISION, TableSet

__all__ = ["Choose", "Prices"]

#: Residuals and their scale indices, of one shape, to symbols, int32; may overwrite residuals.
Choose = Callable[[Tensor, Tensor], Tensor]

#: Prices are listed for symbols up to here; what is larger is always escaped, or nearly so.
_LARGEST = 255


class Prices:
    """Bits of symbols under the tables of a codec's y.

    lean: how much nearer to zero than itself a symbol is drawn, for each table [T].
    """

    def __init__(self, tables: TableSet, lean: Tensor) -> None:
        symbols = np.arange(-_LARGEST, _LARGEST + 1)
        rows = [_prices(tables, table, symbols) for table in range(len(tables))]
        self._bits = torch.from_numpy(np.stack(rows)).float()
        self._certain = torch.from_numpy(tables.certain)
        self._lean = lean

    def to(self, device: torch.device) -> Prices:
        """The same on a device."""
        other = copy(self)
        for name in ("_bits", "_certain", "_lean"):
            setattr(other, name, getattr(self, name).to(device))
        return other

    def bits(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Bits of symbols (whole, of any type) under tables index (whole, of any type)."""
        column = symbols.clamp(-_LARGEST, _LARGEST).int() + _LARGEST
        return self._bits[index.int(), column]

    def certain(self, index: Tensor) -> Tensor:
        """Which elements can only be zero, or whatever else their tables are certain of."""
        return self._certain[index.int()]

    def nearest(self, residual: Tensor, index: Tensor) -> Tensor:
        """Plain rounding."""
        symbols = residual.round_().int()
        symbols[self.certain(index)] = 0
        return symbols

    def rounded(self, residual: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Plain rounding of what networks in floating point give; see _net.Quantise."""
        symbols = self.nearest(residual.detach().clone(), index.round()).float()
        return symbols, symbols

    def chooser(self, worth: float) -> Choose:
        """Rounding to the cheaper of a residual's neighbours; worth: bits per squared error.

        Rate-distortion optimised quantisation: a symbol that is not zero becomes the one next to
        it on zero's side if that saves more bits than its error is worth.
        """

        def choose(residual: Tensor, index: Tensor) -> Tensor:
            plain = residual.round()
            plain[self.certain(index)] = 0
            # Few are not zero, so only those are looked at.
            places = plain.nonzero(as_tuple=True)
            symbols, exact, table = plain[places], residual[places], index[places].int()
            sign = symbols.sign()
            lower = symbols - sign
            lean = self._lean[table]
            before = (symbols - sign * lean - exact).square()
            after = (lower - lower.sign() * lean - exact).square()
            saved = self.bits(symbols, table) - self.bits(lower, table)
            plain[places] = torch.where(saved > worth * (after - before), lower, symbols)
            return plain.int()

        return choose


def _prices(
    tables: TableSet, table: int, symbols: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Bits of each symbol under one table."""
    if tables.certain[table]:
        return np.zeros(len(symbols))
    bits = PRECISION - np.log2(tables.weights(table))
    slot = symbols - int(tables.first[table])
    last = len(bits) - 1
    outside = np.where(slot < 0, -slot, slot - last + 1)
    # An escape is followed by the class of its value, 5 bits, and by its bits below the first.
    escaped = bits[last] + 5 + np.log2(np.maximum(2 * outside, 1))
    inside = bits[np.clip(slot, 0, last - 1)]
    return np.where((slot >= 0) & (slot < last), inside, escaped)
