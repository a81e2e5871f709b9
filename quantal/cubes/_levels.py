"""Values of a band as levels, whole numbers of 16 bits in one plane or several, and back.

`Linear` rounds to multiples of a step, `Bits` keeps every bit. Nothing here codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Bits", "Levels", "Linear", "exact_levels", "planes_of"]

Array = NDArray[Any]
_MOST = 1 << 32  # levels of a Linear


@dataclass(frozen=True)
class Linear:
    """value = offset + step * level.

    Whole numbers are computed exactly, also of 64 bits, if offset and step are whole; else in
    float64 and rounded to the type of the values.

    Attributes:
        offset: of level 0.
        step: from a level to the next.
    """

    offset: int | float
    step: int | float

    def exact(self, dtype: np.dtype[Any]) -> bool:
        """Whether values are computed in whole numbers."""
        return dtype.kind in "iu" and isinstance(self.offset, int) and isinstance(self.step, int)

    def levels(self, values: Array) -> NDArray[np.uint64]:
        """Return the nearest levels of values that lie at or above the offset."""
        if self.exact(values.dtype):
            above = _modular(values) - np.uint64(self.offset % (1 << 64))
            return (above + np.uint64(self.step // 2)) // np.uint64(self.step)
        found = np.rint((values.astype(np.float64) - self.offset) / self.step)
        return np.maximum(found, 0).astype(np.uint64)

    def values(self, levels: Array, dtype: np.dtype[Any]) -> Array:
        """Return the values of levels, of a type."""
        if self.exact(dtype):
            found = levels.astype(np.uint64) * np.uint64(self.step % (1 << 64))
            return (found + np.uint64(self.offset % (1 << 64))).view(np.int64).astype(dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            near = self.offset + self.step * levels.astype(np.float64)
            if dtype.kind == "f":
                return near.astype(dtype)
            span = np.iinfo(dtype)
            return np.clip(np.rint(near), float(span.min), float(span.max)).astype(dtype)


@dataclass(frozen=True)
class Bits:
    """Levels are the bits of the values, ordered as the values are."""

    def levels(self, values: Array) -> NDArray[np.uint64]:
        """Return the bits, those of negative numbers turned so that levels rise with values."""
        bits = values.dtype.itemsize * 8
        native = values.astype(values.dtype.newbyteorder("="))
        found = native.view(f"u{values.dtype.itemsize}").astype(np.uint64)
        top = np.uint64(1 << (bits - 1))
        if values.dtype.kind == "i":
            return found ^ top
        if values.dtype.kind == "u":
            return found
        whole = np.uint64((1 << bits) - 1)
        return np.where(found & top, found ^ whole, found | top)

    def values(self, levels: Array, dtype: np.dtype[Any]) -> Array:
        """Return the values of levels, of a type."""
        bits = dtype.itemsize * 8
        top, whole = np.uint64(1 << (bits - 1)), np.uint64((1 << bits) - 1)
        found = levels.astype(np.uint64)
        if dtype.kind == "i":
            found = found ^ top
        elif dtype.kind == "f":
            found = np.where(found & top, found ^ top, found ^ whole)
        return found.astype(f"u{dtype.itemsize}").view(dtype.newbyteorder("=")).astype(dtype)


Levels = Linear | Bits


def exact_levels(valid: Array) -> Levels:
    """Return levels that lose nothing of values, which are neither NaN nor infinite."""
    if not valid.size:
        return Linear(0, 1)
    low, high = valid.min(), valid.max()
    if valid.dtype.kind in "iu":
        whole = int(high) - int(low) < _MOST
        return Linear(int(low), 1) if whole else Bits()
    # Whole numbers of a floating-point type, such as counts and classes.
    if float(high) - float(low) < _MOST:
        levels = Linear(float(low), 1.0)
        again = levels.values(levels.levels(valid), valid.dtype)
        if again.tobytes() == valid.tobytes():
            return levels
    return Bits()


def planes_of(levels: Levels, dtype: np.dtype[Any], highest: int) -> int:
    """Return how many planes of 16 bits hold levels up to `highest`."""
    if isinstance(levels, Bits):
        return -(-dtype.itemsize // 2)
    return 1 if highest < 1 << 16 else 2


def _modular(values: Array) -> NDArray[np.uint64]:
    """Whole numbers modulo 2^64."""
    return values.astype(np.uint64 if values.dtype.kind == "u" else np.int64).view(np.uint64)
