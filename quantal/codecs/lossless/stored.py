"""Samples as PNG stores them: filtered rows, deflated. For what no model of pictures fits."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from quantal.codecs.contract import Samples
from quantal.errors import CorruptError

__all__ = ["read_stored", "stored"]

Bytes = npt.NDArray[np.uint8]

#: Filters of a row: as it is, less the left, less the one above, less left + above - upper left.
_FILTERS = 4
_DEFLATE_RATIO = 1032  # maximum of zlib: 258 bytes from two bits


def _as_bytes(samples: Samples) -> Bytes:
    """Return samples as bytes [H, W, B], the most significant of each first."""
    if samples.dtype == np.uint8:
        return samples
    wide = np.ascontiguousarray(samples, ">u2")
    return wide.view(np.uint8).reshape(*samples.shape[:2], -1)


def stored(samples: Samples) -> bytes:
    """Return samples [H, W, C], uint8 or uint16, as bytes.

    Each row has the filter that makes the sum of its magnitudes smallest, as in PNG.
    """
    rows = _as_bytes(samples)
    above = np.zeros_like(rows[0])
    parts = []
    for row in rows:
        left, corner = np.zeros_like(row), np.zeros_like(row)
        left[1:], corner[1:] = row[:-1], above[:-1]
        filtered = [row, row - left, row - above, row - left - above + corner]
        sums = [int(np.abs(each.view(np.int8).astype(np.int16)).sum()) for each in filtered]
        best = int(np.argmin(sums))
        parts.append(bytes([best]) + filtered[best].tobytes())
        above = row
    plain = zlib.compress(rows.tobytes(), 9)
    return min(b"\1" + zlib.compress(b"".join(parts), 9), b"\0" + plain, key=len)


def read_stored(data: bytes, height: int, width: int, channels: int, deep: bool) -> Samples:
    """Return the samples of stored(), uint8 or uint16 [H, W, C].

    Raises:
        CorruptError: If the bytes hold no such samples; before memory is allocated for them.
    """
    line = width * channels * (2 if deep else 1)
    filtered = data[:1] == b"\1"
    if data[:1] not in (b"\0", b"\1"):
        raise CorruptError("stored samples have no known filter: the image part is damaged")
    size = height * (line + filtered)
    if size > _DEFLATE_RATIO * len(data):
        raise CorruptError(f"{len(data)} bytes can't hold {width}x{height} stored samples")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(data[1:], size + 1)
    except zlib.error as error:
        raise CorruptError(f"stored samples are damaged: {error}") from error
    if len(raw) != size or not unpacker.eof or unpacker.unused_data:
        raise CorruptError(f"stored samples are not {size} bytes: the image part is damaged")
    rows = np.frombuffer(raw, np.uint8).reshape(height, -1)
    found = np.empty((height, width, line // width), np.uint8)
    if filtered:
        _unfilter(rows, found)
    else:
        found[:] = rows.reshape(found.shape)
    if not deep:
        return found
    return found.view(">u2").astype(np.uint16).reshape(height, width, channels)


def _unfilter(rows: Bytes, out: Bytes) -> None:
    above = np.zeros_like(out[0])
    for row, place in zip(rows, out, strict=True):
        kind, values = int(row[0]), row[1:].reshape(place.shape)
        if kind >= _FILTERS:
            raise CorruptError(f"a row has filter {kind}, expected 0..3: the image part is damaged")
        # Sums along a row undo differences; bytes wrap.
        place[:] = np.cumsum(values, 0, dtype=np.uint8) if kind & 1 else values
        if kind >= 2:
            place += above
        above = place
