"""Samples of any type and depth, reduced to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.media._picture import Bytes
from quantal.planes import bands

__all__ = ["Samples", "reduce_samples", "shifted_to_bytes"]

Samples = npt.NDArray[Any]

#: Pixels of the rows that are converted at a time, to save memory.
_STRIP_PIXELS = 1 << 20


def reduce_samples(samples: Samples, bits: int, warnings: list[str]) -> Bytes:
    """Reduce samples to 8 bits.

    Unsigned integers of up to 16 bits are scaled by their depth, signed ones of 8 bits are shifted.
    Others use a part of their range more often than all of it:

    - Integers of more bits count as 8, 16 or 24 bits if all of them fit.
    - Floating-point samples count as 0..1, or as 0..255, if all of them fit.
    - What fits none of these is stretched from the least to the greatest.

    Args:
        samples: Samples [H, W] or [H, W, C].
        bits: Bits per sample that the file states.
        warnings: Receives a sentence about what was done.

    Returns:
        Samples, uint8, of the same shape.
    """
    kind = samples.dtype.kind
    if kind == "u" and bits <= 8:
        return shifted_to_bytes(samples, 0, (1 << bits) - 1)
    if kind == "u" and bits <= 16:
        warnings.append(f"{bits}-bit samples were reduced to 8 bits")
        return shifted_to_bytes(samples, 0, (1 << bits) - 1)
    if kind == "i" and bits == 8:
        warnings.append("signed 8-bit samples were shifted to 0..255")
        return shifted_to_bytes(samples, -128, 127)
    low, high = _range(samples)
    if kind == "f":
        return _reduce_floats(samples, low, high, warnings)
    return _reduce_integers(samples, bits, low, high, warnings)


def _range(samples: Samples) -> tuple[float, float]:
    """Return the least and the greatest finite sample."""
    low, high = np.inf, -np.inf
    height, width = samples.shape[:2]
    for rows in bands(height, width, _STRIP_PIXELS):
        part = samples[rows]
        finite = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _reduce_floats(samples: Samples, low: float, high: float, warnings: list[str]) -> Bytes:
    top = next((top for top in (1, 255) if 0 <= low <= high <= top), None)
    if top is None:
        return _stretched(samples, "floating-point", low, high, warnings)
    warnings.append("floating-point samples were reduced to 8 bits")
    return shifted_to_bytes(samples, 0, top)


def _reduce_integers(
    samples: Samples, bits: int, low: float, high: float, warnings: list[str]
) -> Bytes:
    if samples.dtype.kind == "i":
        half = 1 << (bits - 1)
        if low < 0 and (low < -half / 2 or high >= half / 2):
            warnings.append(f"signed {bits}-bit samples were shifted and reduced to 8 bits")
            return shifted_to_bytes(samples, -half, half - 1)
        if low < 0:
            return _stretched(samples, f"{bits}-bit", low, high, warnings)
    used = next(depth for depth in (8, 16, 24, 32, 64) if high < 1 << depth)
    if used == 8:
        return samples.astype(np.uint8)
    if used == 64:
        return _stretched(samples, f"{bits}-bit", low, high, warnings)
    warnings.append(f"{used}-bit samples were reduced to 8 bits")
    return shifted_to_bytes(samples, 0, (1 << used) - 1)


def _stretched(samples: Samples, kind: str, low: float, high: float, warnings: list[str]) -> Bytes:
    warnings.append(
        f"{kind} samples from {low:g} to {high:g} were stretched over 0..255, 8 bits each"
    )
    return shifted_to_bytes(samples, low, high)


def shifted_to_bytes(samples: Samples, low: float, high: float) -> Bytes:
    """Scale samples from low..high to 0..255 and round them; NaN becomes 0."""
    if samples.dtype == np.uint8 and (low, high) == (0, 255):
        return samples
    result = np.empty(samples.shape, np.uint8)
    height, width = samples.shape[:2]
    exact = np.float32 if samples.dtype.itemsize < 4 else np.float64
    for rows in bands(height, width, _STRIP_PIXELS):
        scaled: Samples = samples[rows].astype(exact)
        np.nan_to_num(scaled, copy=False, nan=low, posinf=high, neginf=low)
        np.subtract(scaled, low, out=scaled)
        np.multiply(scaled, 255 / ((high - low) or 1), out=scaled)
        result[rows] = np.rint(scaled).clip(0, 255)
    return result
