"""Samples that take few of the values of their depth, numbered one after the other.

Pictures of 8 or 12 bits in files of 16, and stretched histograms, leave most values out; coded as
they are, each sample would pay for them.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from quantal.codecs.contract import Samples
from quantal.errors import CorruptError

__all__ = ["expanded", "pack_levels", "packed", "read_levels", "used_levels"]

Levels = npt.NDArray[np.uint16]


def used_levels(samples: Samples) -> Levels | None:
    """Return the values that samples take, in order; None where numbering them saves too little."""
    full = 256 if samples.dtype == np.uint8 else 65536
    there = np.zeros(full, bool)
    # Row by row, so that no large index is made.
    for row in samples:
        there[row.reshape(-1)] = True
    levels = np.flatnonzero(there).astype(np.uint16)
    span = int(levels[-1]) + 1
    return levels if 2 * len(levels) <= span else None


def packed(samples: Samples, levels: Levels) -> Samples:
    """Return the numbers of samples among the levels."""
    numbers = np.zeros(256 if samples.dtype == np.uint8 else 65536, samples.dtype)
    numbers[levels] = np.arange(len(levels))
    return numbers[samples]


def expanded(samples: Samples, levels: Levels) -> Samples:
    """Return the samples of the result of packed().

    Raises:
        CorruptError: If a number has no level.
    """
    if int(samples.max(initial=0)) >= len(levels):
        raise CorruptError(
            f"sample {int(samples.max())} of only {len(levels)} levels: the image part is damaged"
        )
    return levels.astype(samples.dtype)[samples]


def pack_levels(levels: Levels, deep: bool) -> bytes:
    """Return levels as a compressed map of bits."""
    there = np.zeros(65536 if deep else 256, np.uint8)
    there[levels] = 1
    return zlib.compress(np.packbits(there).tobytes(), 9)


def read_levels(data: bytes, deep: bool) -> Levels:
    """Return the levels of pack_levels().

    Raises:
        CorruptError: If the bytes hold none.
    """
    size = 8192 if deep else 32
    unpacker = zlib.decompressobj()
    try:
        bits = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise CorruptError(f"the map of levels is damaged: {error}") from error
    if len(bits) != size or not unpacker.eof or unpacker.unused_data:
        raise CorruptError(f"the map of levels has another size than {size} bytes: it is damaged")
    levels = np.flatnonzero(np.unpackbits(np.frombuffer(bits, np.uint8))).astype(np.uint16)
    if not len(levels):
        raise CorruptError("the map of levels is empty: the image part is damaged")
    return levels
