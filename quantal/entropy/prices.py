"""What symbols cost in bits, and rounding that takes the cost into account.

Prices come from the tables that code the symbols, so they are exact to a fraction of a bit. Only
encoders use them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IndexArray, IntArray
from quantal.entropy.tables import PRECISION, TableSet
from quantal.entropy.walk import FloatArray, Rounding

__all__ = ["LARGEST_PRICED", "price_list", "round_by_price"]

#: Prices are listed for symbols up to this magnitude; larger ones are nearly always escaped.
LARGEST_PRICED = 255


def price_list(tables: TableSet) -> npt.NDArray[np.float32]:
    """Return the bits of symbols -255..255 under each table, float32 [T, 511]."""
    symbols = np.arange(-LARGEST_PRICED, LARGEST_PRICED + 1)
    rows = [_prices(tables, table, symbols) for table in range(len(tables))]
    return np.stack(rows).astype(np.float32)


def round_by_price(bits: npt.NDArray[np.float32], lean: FloatArray, worth: float) -> Rounding:
    """Return a rounding that weighs bits against errors.

    Rate-distortion optimised quantisation: a symbol that is not zero moves by one towards zero if
    that saves more bits than its error is worth.

    Args:
        bits: price_list() of the tables.
        lean: by how much a symbol is reconstructed nearer to zero than itself, for each table [T].
        worth: bits that a squared error of one is worth.
    """

    def rounding(residual: FloatArray, index: IndexArray, tables: TableSet) -> IntArray:
        symbols = np.rint(residual)
        symbols[tables.certain.take(index)] = 0
        # Few are not zero, so only those are looked at.
        places = symbols.nonzero()
        plain, exact, table = symbols[places], residual[places], index[places]
        lower = plain - np.sign(plain)
        leaning = lean[table]
        before = np.square(plain - np.sign(plain) * leaning - exact)
        after = np.square(lower - np.sign(lower) * leaning - exact)
        saved = _priced(bits, plain, table) - _priced(bits, lower, table)
        symbols[places] = np.where(saved > np.float32(worth) * (after - before), lower, plain)
        return symbols.astype(np.int32)

    return rounding


def _priced(bits: npt.NDArray[np.float32], symbols: FloatArray, table: IndexArray) -> FloatArray:
    column = np.clip(symbols, -LARGEST_PRICED, LARGEST_PRICED).astype(np.int32) + LARGEST_PRICED
    found: FloatArray = bits[table, column]
    return found


def _prices(
    tables: TableSet, table: int, symbols: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the bits of each symbol under one table."""
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
