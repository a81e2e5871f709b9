"""Symbols as runs: how a shard keeps arrays that are mostly zero.

The specification is in docs/how-to/shards.md. An entry is a byte. Its lower two bits are a symbol:
1, -1, or one of a list of others; its upper six count the zeros before it. If the lower bits are 0,
there are zeros alone, 64 times as many. No step depends on the entry before it: whole batches are
decoded by a few operations of numpy.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.errors import CorruptError

__all__ = [
    "DEFLATE_LIMIT",
    "HUFFMAN_LIMIT",
    "RUN",
    "UNIT",
    "Array",
    "Bytes",
    "deflated",
    "from_bytes",
    "inflated",
    "joined_runs",
    "smallest",
    "split_runs",
    "to_bytes",
]

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

#: Zeros in a unit of a long run.
UNIT = 64
#: Elements that an entry stands for at most.
RUN = 16 * UNIT
#: Entries that a byte holds at most: a code of Huffman's has one bit or more.
HUFFMAN_LIMIT = 8
#: Bytes that a byte of deflated data stands for at most.
DEFLATE_LIMIT = 1032
_OTHER, _MOST_UNITS = -2, RUN // UNIT
_BUFFERS = (5, 7)  # sizes of zlib's buffers to try: a small one follows changes of statistics


def split_runs(symbols: Array) -> tuple[Bytes, Array]:
    """Return symbols as entries, and those that no entry holds.

    Args:
        symbols: integers [n].

    Returns:
        Entries uint8, and the others in the type of `symbols`.
    """
    places = np.flatnonzero(symbols)
    if len(symbols) and (not len(places) or places[-1] != len(symbols) - 1):
        places = np.append(places, len(symbols) - 1)  # a last entry reaches the end
    values = symbols[places]
    zeros = np.diff(places, prepend=-1) - 1
    units = zeros // UNIT
    long = -(-units // _MOST_UNITS)  # entries of zeros alone
    last = np.cumsum(long + 1) - 1
    entries = np.full(int(last[-1]) + 1 if len(last) else 0, (_MOST_UNITS - 1) << 2, np.uint8)
    some = long > 0
    entries[last[some] - 1] = ((units[some] - 1) % _MOST_UNITS << 2).astype(np.uint8)
    other = (values != 1) & (values != -1)
    low = np.where(other, _OTHER, values).astype(np.int64) & 3
    entries[last] = (zeros % UNIT << 2 | low).astype(np.uint8)
    return entries, values[other]


def joined_runs(entries: Bytes, counts: Sequence[int], size: int, others: Array) -> Array:
    """Return the symbols of several pictures of one size.

    Args:
        entries: the entries of all pictures, uint8.
        counts: number of entries of each picture.
        size: number of symbols of each picture.
        others: the other symbols of all pictures, those that no entry holds.

    Returns:
        Symbols [pictures, size] in the type of `others`.

    Raises:
        CorruptError: The entries are not those of such pictures.
    """
    values = (entries << 6).view(np.int8) >> 6
    steps = ((entries >> 2) + np.uint8(1)).astype(np.uint16)
    steps <<= (values == 0).view(np.uint8) * np.uint8(6)
    places = steps.astype(np.intp)
    np.cumsum(places, out=places)
    ends = np.cumsum(counts)
    reached = places[ends - 1] if len(entries) else np.zeros(len(counts), np.int64)
    if not np.array_equal(reached, size * np.arange(1, len(counts) + 1)):
        raise CorruptError(f"runs don't end after {size} symbols; the shard is damaged")
    far = np.flatnonzero(values == _OTHER)
    if len(far) != len(others):
        raise CorruptError(
            f"{len(others)} symbols beyond 1 found, expected {len(far)}; the shard is damaged"
        )
    if len(far):
        values = values.astype(others.dtype, copy=False)
        values[far] = others
    symbols = np.zeros(size * len(counts), others.dtype)
    places -= 1
    symbols[places] = values
    return symbols.reshape(len(counts), size)


def smallest(values: Array) -> Array:
    """Return integers in the first of int8, int16 and int32 that holds them."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for kind in (np.int8, np.int16):
        about = np.iinfo(kind)
        if about.min <= low and high <= about.max:
            return values.astype(kind)
    return values.astype(np.int32)


def to_bytes(values: Array) -> bytes:
    """Return integers as bytes: the lowest bytes of all, then the next ones."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little.view(np.uint8).reshape(-1, values.itemsize).T).tobytes()


def from_bytes(data: bytes | memoryview, itemsize: int) -> Array:
    """Reverse to_bytes()."""
    planes = np.frombuffer(data, np.uint8).reshape(itemsize, -1)
    if itemsize == 1:
        return planes[0].view(np.int8)
    joined = np.ascontiguousarray(planes.T).view(f"<i{itemsize}")[:, 0]
    return joined.astype(joined.dtype.newbyteorder("="), copy=False)


def deflated(data: bytes, *, runs: bool) -> bytes:
    """Return data in the format of RFC 1951, or as it is where that is no longer.

    Args:
        data: what to deflate.
        runs: whether it is entries, in which nothing repeats: codes alone.
    """
    strategies = (zlib.Z_HUFFMAN_ONLY,) if runs else (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED)
    found = [data]
    for strategy, buffer in product(strategies, _BUFFERS):
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, buffer, strategy)
        found.append(packer.compress(data) + packer.flush())
    return min(found, key=len)


def inflated(data: memoryview, size: int) -> bytes | memoryview:
    """Reverse deflated(); memory never exceeds what is expected.

    Args:
        data: as it is stored.
        size: bytes that are expected.

    Raises:
        CorruptError: It is something else.
    """
    if len(data) == size:
        return data
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise CorruptError(f"a stream of a shard is damaged: {error}") from error
    if len(found) != size or not unpacker.eof or unpacker.unused_data:
        raise CorruptError(f"a stream of a shard does not hold the {size} bytes that it announces")
    return found
