"""Quantised tensors: levels by channel, and the statistics that they are coded with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.errors import CorruptError
from quantal.latents.features._tables import chosen
from quantal.latents.features._values import Array

__all__ = ["DEAD", "LARGEST", "Plane", "check_levels", "dequantised", "quantised", "rounded"]

#: Levels are smaller in magnitude.
LARGEST = 1 << 30
#: Where no error is bounded, values are taken nearer to zero by this part of a step: at one to two
#: bits a value that is worth half a decibel.
DEAD = 0.125
#: Bits that a channel's statistics take, about.
_SIDE_BITS = 14


@dataclass(frozen=True, eq=False)
class Plane:
    """A quantised tensor.

    Attributes:
        levels: int32 [C, n], from which the centre of their channel is subtracted.
        tables: the probability table of each channel, uint8 [C].
        centres: the centre of each channel, a level, int32 [C].
        one_sided: whether no level is negative.
        step: between two levels.
        bits: the bits that coding takes, about.
    """

    levels: npt.NDArray[np.int32]
    tables: npt.NDArray[np.uint8]
    centres: npt.NDArray[np.int32]
    one_sided: bool
    step: float
    bits: float = 0.0


def rounded(scaled: Array, dead: float = DEAD) -> Array:
    """Return the levels of values in units of a step, whole numbers in the type of the values.

    Args:
        scaled: floats of any shape.
        dead: by how much values are taken nearer to zero before they are rounded. Zero is the
            likeliest level, and costs the fewest bits (Sullivan, "Efficient scalar quantization of
            exponential and Laplacian random variables", 1996).
    """
    levels: Array = np.rint(scaled - np.clip(scaled, -dead, dead) if dead else scaled)
    return levels


def quantised(values: Array, step: float, dead: float = 0.0) -> Plane:
    """Return values [C, n] in levels of a step.

    Centres are left out where levels cost less without, as behind a rectifier: they are often zero
    there and never negative.

    Args:
        values: their magnitudes are below LARGEST steps.
        step: 1 for integers, which stay as they are.
        dead: see rounded(); 0 keeps errors within half a step.
    """
    # In float64, so that the bound of the error holds.
    scaled = values if values.dtype == np.int64 else values.astype(np.float64) / step
    levels = rounded(scaled, dead).astype(np.int32)
    one_sided, centres = False, np.zeros(len(levels), np.int32)
    if not levels.size:
        return Plane(levels, centres.astype(np.uint8), centres, one_sided, step)
    one_sided = bool(levels.min() >= 0)
    tables, bits = chosen(levels, one_sided)
    own = np.rint(levels.mean(1)).astype(np.int32)
    if own.any():
        moved = rounded(scaled - own[:, None], dead).astype(np.int32)
        others = chosen(moved, False)
        if others[1].sum() < bits.sum():
            levels, centres, one_sided, (tables, bits) = moved, own, False, others
    total = float(bits.sum()) + _SIDE_BITS * len(levels)
    return Plane(levels, tables, centres, one_sided, step, total)


def check_levels(plane: Plane, dtype: str) -> None:
    """Refuse what encode() does not write.

    Args:
        plane: the levels.
        dtype: the type of the tensor.

    Raises:
        CorruptError: If a level is 2^30 or more in magnitude, or an integer beyond its type.
    """
    if not plane.levels.size:
        return
    centres = plane.centres.astype(np.int64)
    least = int((plane.levels.min(1) + centres).min())
    most = int((plane.levels.max(1) + centres).max())
    low, high = 1 - LARGEST, LARGEST - 1
    if "float" not in dtype:
        low, high = max(low, np.iinfo(dtype).min), min(high, np.iinfo(dtype).max)
    if least < low or most > high:
        raise CorruptError(
            f"levels {least}..{most} found, expected {low}..{high} for {dtype}; the file is damaged"
        )


def dequantised(plane: Plane, dtype: str) -> Array:
    """Return what levels stand for [C, n], by the same few operations on every machine.

    Sums of levels and centres are exact, and each is multiplied once: the errors of a tensor whose
    values are far from zero are not larger than those of another.

    Args:
        plane: the levels.
        dtype: the type of the tensor; float32 is returned for shorter floats, int64 for integers.

    Raises:
        CorruptError: If levels are beyond what encode() writes, or integers beyond their type.
    """
    check_levels(plane, dtype)
    levels = plane.levels
    if plane.centres.any():
        levels = levels + plane.centres[:, None]
    if "float" not in dtype:
        return levels.astype(np.int64)
    values: Array = np.empty(levels.shape, np.float64 if dtype == "float64" else np.float32)
    # The cast is done in blocks, without a temporary array of float64.
    with np.errstate(over="ignore"):
        np.multiply(levels, np.float64(plane.step), out=values, casting="unsafe")
    return values
