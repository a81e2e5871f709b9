"""Residuals of predictions as symbols: tables by scale and by the fraction of the mean.

A mean has eight fractions; those below zero mirror those above, so five tables serve a scale. Where
samples have more than 8 bits, residuals of large scales lose their low bits to runs of raw bits,
which are as good as random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.predictor import MEAN_BITS, SCALES
from quantal.entropy.tables import TOTAL, TableSet

__all__ = [
    "FRACTIONS",
    "RAW_TABLES",
    "Predicted",
    "even",
    "join",
    "predicted",
    "raw_runs",
    "split",
    "table_costs",
]

#: Tables of a scale: fractions 0, 1/8, ..., 4/8 of the mean.
FRACTIONS = 5
_EIGHTH = MEAN_BITS - 3
#: The largest scale of deep samples that is coded without raw bits.
_PLAIN = 31
#: The most raw bits that one symbol holds.
_RAW = 8

Integers = npt.NDArray[np.int32]


def even(count: int) -> Integers:
    """Return the weights of a table of equally likely symbols, without a division of fractions."""
    weights = np.full(count + 1, (TOTAL - 1) // count, np.int32)
    weights[-1] = 1
    weights[0] += TOTAL - weights.sum()
    return weights


#: Tables of 2, 4, ..., 256 equally likely symbols.
RAW_TABLES = TableSet.from_weights([0] * _RAW, [even(2 << bits) for bits in range(_RAW)])


@dataclass(frozen=True)
class Predicted:
    """What is known of n samples before they are coded.

    Attributes:
        whole: the nearest whole number to the mean, int32 [n].
        flip: where the sign of the residual is changed, bool [n].
        table: of the residual, uint8 [n].
        raw: how many low bits are coded raw, uint8 [n]; None if there are none.
    """

    whole: Integers
    flip: npt.NDArray[np.bool_]
    table: npt.NDArray[np.uint8]
    raw: npt.NDArray[np.uint8] | None = None

    def of(self, chosen: npt.NDArray[np.bool_]) -> Predicted:
        """Return what is known of some of the samples."""
        raw = None if self.raw is None else self.raw[chosen]
        return Predicted(self.whole[chosen], self.flip[chosen], self.table[chosen], raw)


def predicted(mean: npt.NDArray[Any], scale: npt.NDArray[np.uint8], extra: int) -> Predicted:
    """Return what codes samples.

    Args:
        mean: in 2^-MEAN_BITS, whole numbers [n].
        scale: 0..SCALES-1, in units of 8-bit samples [n].
        extra: bits of samples beyond 8.
    """
    eighths = (mean.astype(np.int64) + (1 << _EIGHTH >> 1)) >> _EIGHTH
    whole = (eighths + 4) >> 3
    fraction = (eighths - (whole << 3)).astype(np.int8)
    whole = whole.astype(np.int32)
    flip = fraction < 0
    fraction = np.abs(fraction)
    if not extra:
        return Predicted(whole, flip, scale * np.uint8(FRACTIONS) + fraction.astype(np.uint8))
    deep = scale.astype(np.int32) + 4 * extra
    raw = np.maximum((deep - _PLAIN + 3) >> 2, 0)
    coarse = raw > 0
    fraction[coarse] = 0
    flip &= ~coarse
    table = np.minimum(deep - 4 * raw, SCALES - 1) * FRACTIONS + fraction
    return Predicted(whole, flip, table.astype(np.uint8), raw.astype(np.uint8))


def split(samples: Integers, by: Predicted) -> tuple[Integers, Integers | None]:
    """Return symbols int32 [n] and low bits int32 [n], if there are any."""
    residual = samples - by.whole
    if by.raw is None:
        return np.where(by.flip, -residual, residual), None
    residual += _half(by.raw)
    symbols = residual >> by.raw
    low = residual - (symbols << by.raw)
    return np.where(by.flip, -symbols, symbols), low


def join(symbols: Integers, low: Integers | None, by: Predicted) -> Integers:
    """Return the samples of the result of split(); int32 arithmetic may wrap for damaged ones."""
    residual = np.where(by.flip, -symbols, symbols)
    if by.raw is not None and low is not None:
        residual = (residual << by.raw) + low - _half(by.raw)
    found: Integers = by.whole + residual
    return found


def _half(raw: npt.NDArray[np.uint8]) -> Integers:
    """Return half a cell of 2^raw samples: the middle of the cell of symbol 0 is at the mean."""
    found: Integers = (np.int32(1) << raw.astype(np.int32)) >> 1
    return found


def raw_runs(raw: npt.NDArray[np.uint8]) -> list[tuple[npt.NDArray[np.bool_], int, Integers]]:
    """Return the runs in which low bits are coded.

    Args:
        raw: how many low bits each sample has [n].

    Returns:
        For each run: which samples it has bits of, the shift of these bits, and how many they are.
    """
    runs = []
    for shift in range(0, int(raw.max(initial=0)), _RAW):
        there = raw > shift
        runs.append((there, shift, np.minimum(raw[there].astype(np.int32) - shift, _RAW)))
    return runs


def table_costs(tables: TableSet, reach: int) -> npt.NDArray[np.float32]:
    """Return bits by table and by symbol + reach, float32 [T, 2 * reach + 1]; for estimates alone.

    Args:
        tables: of residuals.
        reach: symbols beyond this cost as much as it does.
    """
    found = np.empty((len(tables), 2 * reach + 1), np.float32)
    symbols = np.arange(-reach, reach + 1)
    for table in range(len(tables)):
        weights = tables.weights(table)
        slot = symbols - int(tables.first[table])
        outside = (slot < 0) | (slot >= len(weights) - 1)
        bits = 24 - np.log2(weights)
        found[table] = bits[np.where(outside, len(weights) - 1, slot)] + outside * 12
    return found
