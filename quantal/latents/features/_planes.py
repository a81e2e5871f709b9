"""Quantised tensors: levels by channel, and the statistics that they are coded with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.latents.features._tables import chosen
from quantal.latents.features._values import Array

__all__ = ["LARGEST", "Plane", "dequantised", "quantised"]

#: Levels are of at most this magnitude.
LARGEST = 1 << 30
#: Bits that a channel's statistics take, about.
_SIDE_BITS = 14


@dataclass(frozen=True, eq=False)
class Plane:
    """A quantised tensor.

    Attributes:
        levels: int32 [C, n], less the channel's centre.
        tables: the probability table of each channel, uint8 [C].
        centres: levels that are taken off, int32 [C].
        one_sided: whether no level is negative.
        step: between two levels.
        bits: that coding takes, about.
    """

    levels: npt.NDArray[np.int32]
    tables: npt.NDArray[np.uint8]
    centres: npt.NDArray[np.int32]
    one_sided: bool
    step: float
    bits: float = 0.0


def quantised(values: Array, step: float) -> Plane:
    """Return values [C, n] in levels of a step.

    Centres are left out where levels cost less without, as behind a rectifier: they are often zero
    there and never negative.

    Args:
        values: their magnitudes are below LARGEST steps.
        step: 1 for integers, which stay as they are.
    """
    if values.dtype == np.int64:
        levels = values.astype(np.int32)
    else:
        # In float64, so that the bound of the error holds.
        levels = np.rint(values.astype(np.float64) / step).astype(np.int32)
    one_sided, centres = False, np.zeros(len(levels), np.int32)
    if not levels.size:
        return Plane(levels, centres.astype(np.uint8), centres, one_sided, step)
    one_sided = bool(levels.min() >= 0)
    tables, bits = chosen(levels, one_sided)
    own = np.rint(levels.mean(1)).astype(np.int32)
    if own.any():
        moved = levels - own[:, None]
        others = chosen(moved, False)
        if others[1].sum() < bits.sum():
            levels, centres, one_sided, (tables, bits) = moved, own, False, others
    total = float(bits.sum()) + _SIDE_BITS * len(levels)
    return Plane(levels, tables, centres, one_sided, step, total)


def dequantised(plane: Plane, dtype: str) -> Array:
    """Return what levels stand for [C, n], by the same few operations on every machine.

    Args:
        plane: the levels.
        dtype: of the tensor; float32 is returned for shorter floats, int64 for integers.
    """
    if "float" not in dtype:
        return plane.levels + plane.centres.astype(np.int64)[:, None]
    kind = np.float64 if dtype == "float64" else np.float32
    values: Array = np.empty(plane.levels.shape, kind)
    # The product is rounded once, without a temporary array of float64.
    np.multiply(plane.levels, np.float64(plane.step), out=values, casting="unsafe")
    if plane.centres.any():
        values += (plane.centres * plane.step)[:, None].astype(kind)
    return values
