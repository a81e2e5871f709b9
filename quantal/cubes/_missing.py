"""Which values of a band are missing, as a mask of a bit each, and what stands in their place."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from quantal.cubes._file import unzipped
from quantal.cubes._levels import Array

__all__ = ["filled", "is_missing", "pack_mask", "unpack_mask"]

Mask = NDArray[np.bool_]


def is_missing(values: Array, value: object) -> Mask:
    """Return where values are one that means "missing", which may be NaN."""
    if isinstance(value, (float, np.floating)) and np.isnan(value):
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    return np.asarray(values == value)


def pack_mask(mask: Mask) -> bytes:
    """Code a mask, bool [T, H, W]: a bit that says whether it changed since the frame before."""
    changed = mask.copy()
    changed[1:] ^= mask[:-1]
    return zlib.compress(np.packbits(changed).tobytes(), 9)


def unpack_mask(packed: bytes, shape: tuple[int, int, int]) -> Mask:
    """Return the mask of `pack_mask`; CorruptError if it is of another size."""
    count = int(np.prod(shape, dtype=object))
    bits = np.frombuffer(unzipped(packed, -(-count // 8), "a mask"), np.uint8)
    changed = np.unpackbits(bits, count=count).reshape(shape)
    return np.bitwise_xor.accumulate(changed, axis=0).astype(bool)


def filled(levels: Array, mask: Mask) -> Array:
    """Return levels [T, H, W] with cheap ones where values are missing.

    A place keeps the level that it had last, or gets first; one that has none ever gets that of the
    place beside it.
    """
    there = ~mask
    if not there.any():
        return np.zeros_like(levels)
    if there.all():
        return levels
    held = _held(levels, there, 0)
    never = ~there.any(axis=0)
    if never.any():
        first = _held(held[0], ~never, 1)
        rows = np.broadcast_to((~never).any(axis=1)[:, None], first.shape)
        held[:, never] = _held(first, rows, 0)[never]
    return held


def _held(levels: Array, there: Mask, axis: int) -> Array:
    """Hold the last level that is there along an axis; before the first one, the first."""
    levels, there = np.moveaxis(levels, axis, 0), np.moveaxis(there, axis, 0)
    places = np.arange(len(levels)).reshape(-1, *[1] * (levels.ndim - 1))
    last = np.maximum.accumulate(np.where(there, places, -1), axis=0)
    last = np.where(last < 0, there.argmax(axis=0)[None], last)
    return np.moveaxis(np.take_along_axis(levels, last, axis=0), 0, axis)
