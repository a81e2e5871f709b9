"""Feature maps as spatial frequencies: neighbours are alike, so low frequencies hold most.

Maps are cut into blocks of at most 32 x 32 positions from the upper left, and each becomes its
orthonormal two-dimensional DCT-II. Frequencies fall into a few bands, which have probability tables
of their own.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from quantal.container import TensorInfo
from quantal.latents.features._values import Array

__all__ = ["BANDS", "bands_of", "map_shape", "transform"]

#: Positions along a side of a block, at most.
_BLOCK = 32
#: Where bands begin, in hundredths: the root of the sum of squares of the two frequencies, each
#: divided by the positions of its side.
_EDGES = (2, 10, 20, 35, 50, 75)
#: Number of bands.
BANDS = len(_EDGES) + 1


def map_shape(info: TensorInfo, axis: int | None) -> tuple[int, int, int]:
    """Return how many maps a channel of a tensor has, and their rows and columns.

    The last two axes beside that of the channels are a map's; with fewer, each value is a map.

    Args:
        info: type and shape of the tensor.
        axis: the axis of the channels, None for none.
    """
    others = [size for place, size in enumerate(info.shape) if place != axis]
    if axis is None or len(others) < 2:
        return math.prod(others), 1, 1
    return math.prod(others[:-2]), others[-2], others[-1]


@functools.cache
def _matrix(size: int) -> npt.NDArray[np.float32]:
    """Return the orthonormal DCT-II, frequencies by positions."""
    places = (np.arange(size) + 0.5) * (np.pi / size)
    found = np.cos(np.arange(size)[:, None] * places) * np.sqrt(2 / size)
    found[0] *= np.sqrt(0.5)
    return found.astype(np.float32)


def _blocks(rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    tops, lefts = range(0, rows, _BLOCK), range(0, columns, _BLOCK)
    for top, left in itertools.product(tops, lefts):
        yield slice(top, min(top + _BLOCK, rows)), slice(left, min(left + _BLOCK, columns))


def transform(maps: Array, inverse: bool = False) -> Array:
    """Return the frequencies of maps [..., h, w], or with `inverse` the maps; float32."""
    if maps.shape[-2:] == (1, 1):
        return maps
    found: Array = np.empty(maps.shape, np.float32)
    for down, across in _blocks(*maps.shape[-2:]):
        first, second = _matrix(down.stop - down.start), _matrix(across.stop - across.start)
        if inverse:
            first, second = first.T, second.T
        found[..., down, across] = first @ maps[..., down, across] @ second.T
    return found


@functools.lru_cache(maxsize=16)
def bands_of(rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Return the band of each frequency of a map, uint8 [h, w]; whole numbers decide it."""
    found = np.zeros((rows, columns), np.uint8)
    for down, across in _blocks(rows, columns):
        height, width = down.stop - down.start, across.stop - across.start
        y, x = np.arange(height)[:, None] * width, np.arange(width) * height
        squares = (y * y + x * x) * 10_000
        edges = np.array([(edge * height * width) ** 2 for edge in _EDGES])
        found[down, across] = np.searchsorted(edges, squares, side="right")
    return found
