"""PNG files of 16 bits per sample; Pillow writes grey ones alone (PNG, 3rd edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from quantal.media._picture import Bytes, Deep
from quantal.media._samples import widened
from quantal.media._survey.png import SIGNATURE, chunks
from quantal.planes import bands

__all__ = ["with_deep_samples"]

#: Colour types by the number of channels.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
#: Pixels of the rows that are filtered at a time, to save memory.
_STRIP_PIXELS = 1 << 18
_LEVEL = 6


def with_deep_samples(png: bytes, deep: Deep, depth: int) -> bytes:
    """Return a PNG file with other pixels, of 16 bits per sample.

    Args:
        png: A file, all of whose other chunks are kept.
        deep: Samples, uint16 [H, W, C]; C is 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and
            alpha).
        depth: Bits of a sample; those of fewer than 16 are repeated, and counted in a chunk sBIT.
    """
    height, width, channels = deep.shape
    head = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = [SIGNATURE]
    written = False
    for name, start, stop in chunks(png):
        if name == b"IHDR":
            parts.append(_chunk(b"IHDR", head))
            if depth < 16:
                parts.append(_chunk(b"sBIT", bytes([depth] * channels)))
        elif name != b"IDAT":
            parts.append(png[start:stop])
        elif not written:
            parts += [_chunk(b"IDAT", piece) for piece in _packed(deep, depth) if piece]
            written = True
    return b"".join(parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _packed(deep: Deep, depth: int) -> Iterator[bytes]:
    """Yield the pieces of a zlib stream of filtered rows."""
    height, width, channels = deep.shape
    packer = zlib.compressobj(_LEVEL)
    above = np.zeros(2 * width * channels, np.uint8)
    for rows in bands(height, width, _STRIP_PIXELS):
        samples = np.ascontiguousarray(widened(deep[rows], depth), ">u2")
        raw = samples.reshape(len(samples), -1).view(np.uint8)
        yield packer.compress(_filtered(raw, above, 2 * channels).tobytes())
        above = raw[-1]
    yield packer.flush()


def _filtered(raw: Bytes, above: Bytes, step: int) -> Bytes:
    """Return rows of bytes [H, N] filtered, each behind the number of its filter [H, 1 + N].

    Each row has the filter whose bytes, taken as signed, have the least sum of magnitudes.

    Args:
        raw: The bytes.
        above: The row above the first [N].
        step: Bytes of a pixel.
    """
    up = np.concatenate([above[None], raw[:-1]])
    left, corner = np.zeros_like(raw), np.zeros_like(raw)
    left[:, step:], corner[:, step:] = raw[:, :-step], up[:, :-step]
    average = ((left.astype(np.uint16) + up) >> 1).astype(np.uint8)
    best = np.concatenate([np.zeros((len(raw), 1), np.uint8), raw], axis=1)
    least = _magnitudes(raw)
    for number, guess in enumerate((left, up, average, _paeth(left, up, corner)), 1):
        rest = raw - guess
        magnitudes = _magnitudes(rest)
        better = magnitudes < least
        least[better] = magnitudes[better]
        best[better, 0], best[better, 1:] = number, rest[better]
    return best


def _magnitudes(rest: Bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the sum of the magnitudes of each row's bytes, taken as signed [H]."""
    sums: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    sums = np.minimum(rest, -rest).sum(axis=1, dtype=np.int64)
    return sums


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """Return the one of three neighbours that is nearest to left + up - corner."""
    a, b, c = left.astype(np.int16), up.astype(np.int16), corner.astype(np.int16)
    to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return np.where((to_a <= to_b) & (to_a <= to_c), left, np.where(to_b <= to_c, up, corner))
