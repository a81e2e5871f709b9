"""Samples of any type and depth: kept where 9 to 16 bits hold them, else reduced to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.media._picture import Bytes, Deep
from quantal.planes import bands

__all__ = [
    "Samples",
    "deep_samples",
    "reduce_samples",
    "shifted_to_bytes",
    "widened",
    "with_opacity",
]

Samples = npt.NDArray[Any]

#: Pixels of the rows that are converted at a time, to save memory.
_STRIP_PIXELS = 1 << 20


def deep_samples(samples: Samples, bits: int) -> tuple[Deep, int] | None:
    """Return samples exactly, with their depth of 9 to 16 bits; None for others.

    Integers of more bits, and signed ones, count as 16 bits if all of them fit and 8 are too few.

    Args:
        samples: Samples [H, W] or [H, W, C].
        bits: Bits per sample that the file states.
    """
    kind = samples.dtype.kind
    if kind == "u" and 8 < bits <= 16:
        return np.asarray(samples, np.uint16), bits
    if kind in "ui" and bits > 8:
        low, high = _range(samples)
        if low >= 0 and 256 <= high < 1 << 16:
            return np.asarray(samples, np.uint16), 16
    return None


def with_opacity(deep: Deep, clear: npt.NDArray[np.bool_] | None, depth: int) -> Deep:
    """Return samples [H, W] or [H, W, C] as [H, W, C], with alpha if some may be transparent.

    Args:
        deep: Samples.
        clear: Where pixels are transparent [H, W]; None for no alpha.
        depth: Bits per sample.
    """
    samples = deep.reshape(*deep.shape[:2], -1)
    if clear is None:
        return samples
    return np.dstack([samples, np.where(clear, 0, (1 << depth) - 1).astype(np.uint16)])


def widened(deep: Deep, depth: int) -> Deep:
    """Return samples of 9 to 16 bits as 16 bits, as PNG demands it: bits are repeated."""
    if depth == 16:
        return deep
    return (deep << np.uint16(16 - depth)) | (deep >> np.uint16(2 * depth - 16))


def reduce_samples(samples: Samples, bits: int, changes: list[str]) -> Bytes:
    """Reduce samples to 8 bits.

    Unsigned integers of up to 16 bits are scaled by their depth, signed ones of 8 bits are shifted.
    Others use a part of their range more often than all of it:

    - Integers of more bits count as 8, 16 or 24 bits if all of them fit.
    - Floating-point samples count as 0..1, or as 0..255, if all of them fit.
    - What fits none of these is stretched from the least to the greatest.

    Args:
        samples: Samples [H, W] or [H, W, C].
        bits: Bits per sample that the file states.
        changes: Receives a sentence about what was done, if samples are others then.

    Returns:
        Samples, uint8, of the same shape.
    """
    kind = samples.dtype.kind
    if kind == "u" and bits <= 8:
        return shifted_to_bytes(samples, 0, (1 << bits) - 1)
    if kind == "u" and bits <= 16:
        changes.append(f"{bits}-bit samples were reduced to 8 bits")
        return shifted_to_bytes(samples, 0, (1 << bits) - 1)
    if kind == "i" and bits == 8:
        changes.append("signed 8-bit samples were shifted to 0..255")
        return shifted_to_bytes(samples, -128, 127)
    low, high = _range(samples)
    if kind == "f":
        return _reduce_floats(samples, low, high, changes)
    return _reduce_integers(samples, bits, low, high, changes)


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


def _reduce_floats(samples: Samples, low: float, high: float, changes: list[str]) -> Bytes:
    top = next((top for top in (1, 255) if 0 <= low <= high <= top), None)
    if top is None:
        return _stretched(samples, "floating-point", low, high, changes)
    changes.append("floating-point samples were reduced to 8 bits")
    return shifted_to_bytes(samples, 0, top)


def _reduce_integers(
    samples: Samples, bits: int, low: float, high: float, changes: list[str]
) -> Bytes:
    if samples.dtype.kind == "i":
        half = 1 << (bits - 1)
        if low < 0 and (low < -half / 2 or high >= half / 2):
            changes.append(f"signed {bits}-bit samples were shifted and reduced to 8 bits")
            return shifted_to_bytes(samples, -half, half - 1)
        if low < 0:
            return _stretched(samples, f"{bits}-bit", low, high, changes)
    used = next(depth for depth in (8, 16, 24, 32, 64) if high < 1 << depth)
    if used == 8:
        return samples.astype(np.uint8)
    if used == 64:
        return _stretched(samples, f"{bits}-bit", low, high, changes)
    changes.append(f"{used}-bit samples were reduced to 8 bits")
    return shifted_to_bytes(samples, 0, (1 << used) - 1)


def _stretched(samples: Samples, kind: str, low: float, high: float, changes: list[str]) -> Bytes:
    changes.append(
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
