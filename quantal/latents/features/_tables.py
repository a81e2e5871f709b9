"""Probability tables of quantised features, made by whole numbers alone.

A level is zero with some probability, and else of a magnitude that is distributed geometrically:
features behind a rectifier are mostly zero, others have heavy tails, and both are close to this.
Every machine makes the same tables, so that none is stored.
"""

from __future__ import annotations

import functools
import hashlib
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from quantal.entropy.tables import PRECISION, TableSet

__all__ = ["FAMILY", "LAYOUT", "LEAST_BITS", "chosen", "costs", "family", "layout_hash"]

#: What the hash of a file without a basis is made from.
LAYOUT = "features layout 1"
#: Odds of zero are 2 to the power of these; no table makes zeros free.
_ODDS = tuple(range(-6, 8))
#: Mean magnitudes of levels other than zero.
_MEANS = tuple(
    Fraction(*pair)
    for pair in (
        *((65, 64), (17, 16), (9, 8), (5, 4), (3, 2), (2, 1), (3, 1), (4, 1), (6, 1), (8, 1)),
        *((12, 1), (16, 1)),
    )
)
#: Further mean magnitudes, each with the odds of zero of a distribution that is geometric there
#: too.
_WIDE = (24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
#: Odds of zero and mean magnitude of each table.
FAMILY: tuple[tuple[Fraction, Fraction], ...] = (
    *((Fraction(2) ** odds, mean) for odds in _ODDS for mean in _MEANS),
    *((Fraction(1, 2 * mean), Fraction(mean)) for mean in _WIDE),
)
#: Magnitudes that a table has slots for: this many times the mean, and some more.
_REACH, _MORE = 10, 4
_TOTAL = 1 << PRECISION
#: Fixed point of the products below.
_UNIT = 1 << 60
#: Of 2^24: what the escape gets.
_ESCAPE = 16


def _weights(odds: Fraction, mean: Fraction, one_sided: bool) -> tuple[int, list[int]]:
    """Return the first symbol of a table, and the weights of its slots, the escape last."""
    zero = odds / (1 + odds)
    magnitudes = int(_REACH * mean) + _MORE
    stays = 1 - 1 / mean  # the probability that a magnitude is larger than one, than two, ...
    side = (1 - zero) / (1 if one_sided else 2) * (1 - stays)
    falling, left = [], int(side * _UNIT)
    for _ in range(magnitudes):
        falling.append(left)
        left = left * stays.numerator // stays.denominator
    middle = int(zero * _UNIT)
    values = [middle, *falling] if one_sided else [*reversed(falling), middle, *falling]
    free = _TOTAL - _ESCAPE - len(values)
    total = sum(values)
    weights = [value * free // total + 1 for value in values]
    likeliest = max(range(len(weights)), key=weights.__getitem__)
    weights[likeliest] += _TOTAL - _ESCAPE - sum(weights)
    return (0 if one_sided else -magnitudes), [*weights, _ESCAPE]


@functools.cache
def family(one_sided: bool) -> TableSet:
    """Return the tables, in the order of FAMILY.

    Args:
        one_sided: for tensors without negative levels.
    """
    made = [_weights(odds, mean, one_sided) for odds, mean in FAMILY]
    return TableSet.from_weights(
        [first for first, _ in made], [np.array(weights, np.int32) for _, weights in made]
    )


#: The fewest bits that a level costs: those of a zero where zeros are likeliest.
LEAST_BITS = float(np.log2(1 + 2.0 ** -_ODDS[-1]))


@functools.cache
def _parts(one_sided: bool) -> npt.NDArray[np.float64]:
    """Return the bits of a zero, of a first magnitude and of each further one [3, T]."""
    zero = np.array([float(odds / (1 + odds)) for odds, _ in FAMILY])
    stays = np.array([float(1 - 1 / mean) for _, mean in FAMILY])
    first = (1 - zero) / (1 if one_sided else 2) * (1 - stays)
    return -np.log2(np.stack((zero, first, stays)))


def costs(levels: npt.NDArray[np.int32], one_sided: bool) -> npt.NDArray[np.float64]:
    """Return about how many bits the levels of each channel cost under each table [C, T].

    Args:
        levels: [C, n].
        one_sided: of which family.
    """
    magnitudes = np.abs(levels)
    others = np.count_nonzero(levels, axis=1)
    beyond = magnitudes.sum(1, dtype=np.float64) - others
    counts = np.stack((levels.shape[1] - others, others, beyond), 1).astype(np.float64)
    found: npt.NDArray[np.float64] = counts @ _parts(one_sided)
    return found


def chosen(
    levels: npt.NDArray[np.int32], one_sided: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Return the cheapest table of each channel [C], and its bits [C]."""
    bits = costs(levels, one_sided)
    return bits.argmin(1).astype(np.uint8), bits.min(1)


@functools.cache
def layout_hash() -> bytes:
    """Return the first 4 bytes of a SHA-256 over the tables."""
    found = hashlib.sha256(LAYOUT.encode())
    for one_sided in (False, True):
        tables = family(one_sided)
        for array in (tables.first, tables.offsets, tables.cumulative):
            found.update(array.astype("<i4").tobytes())
    return found.digest()[:4]
