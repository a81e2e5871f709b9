"""The networks of `vq` on pictures of any size: pixels to maps of indices, and back.

Everything runs window by window. No bits are read or written here. Networks, by name:

- `analysis.1` maps pixels in 0..255 to features at 1/8; `analysis.2` and `analysis.3` map features
  to those of half the size;
- `codes.R` maps the features of rung R and a prediction of them to the vectors to be quantised;
- `added.R` maps vectors, and where there are any (0 or 1), to what rung R adds to the prediction;
- `climbed.R` maps the complete features of rung R to the prediction of the next finer one's;
- `refined` takes quantisation noise from features at 1/16; its rate is in bits per pixel;
- `drawn` maps features at 1/16, and vectors of the third rung and where there are any, to pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.backends import NamedNetworks
from quantal.codecs.contract import Floats, Pixels, UnroundedPixels
from quantal.codecs.drawing import draw, draw_unrounded, plane_of
from quantal.codecs.vq.file import Books
from quantal.codecs.vq.maps import CELL, RUNGS, Maps, Step
from quantal.entropy.indices import ABSENT, IntMap
from quantal.planes import apply_in_windows, ceil_div, round_up

__all__ = ["STRIDES", "Painter", "index_bpp", "nearest"]

#: Pixels along a position of the coarsest, the middle and the finest rung.
STRIDES = (32, 16, 8)
#: A window's core, in cells: 2.4 megapixels.
_CORE = 48
_SAMPLES_OF_CELL = 3 * CELL * CELL
#: Distances that nearest() has in memory at once.
_DISTANCES = 1 << 20


class Painter:
    """Describes pictures by indices, and paints them from indices.

    Args:
        networks: see the module.
        books: the codebooks.
        refines: whether there is a network `refined`.
    """

    def __init__(self, networks: NamedNetworks, books: Books, refines: bool) -> None:
        self.networks, self.books, self.refines = networks, books, refines

    def _run(self, name: str) -> Callable[..., Floats]:
        return lambda *planes: self.networks(name, 0.0, *planes)

    def _halo(self, name: str, unit: int) -> int:
        """Return the reach of a network in pixels, as a multiple of a unit."""
        return round_up(self.networks.transform(name).reach or 0, unit)

    # -- pixels to indices -------------------------------------------------------------------

    def analyse(self, pixels: Pixels) -> Floats:
        """Map pixels uint8 [H, W, 3] to features at 1/8 [C, h, w] of whole cells."""
        return apply_in_windows(
            lambda part: self.networks("analysis.1", 0.0, part.astype(np.float32)),
            plane_of(pixels, CELL),
            _CORE * CELL,
            self._halo("analysis.1", CELL),
            Fraction(1, STRIDES[-1]),
        )

    def describe(self, latents: Floats, step: Step) -> Maps:
        """Return the indices of features at 1/8 for a step of the ladder of rates."""
        features = self._deeper(latents)
        drawn = np.zeros_like(features[0])
        depth = np.zeros(features[0].shape[-2:], np.int32)
        planes: list[IntMap] = []
        for rung, book in enumerate(step.books):
            indices = self._nearest(rung, book, features[rung], drawn)
            if rung:
                cells = (self.gain(rung, book, indices) > step.price) & (depth == rung - 1)
                depth[cells] = rung
                indices = np.where(_spread(cells, rung), indices, np.int32(ABSENT))
            planes.append(np.ascontiguousarray(indices))
            if rung < RUNGS - 1:
                drawn = drawn + self.added(rung, book, indices)
                if rung == 1:
                    drawn = self._refined(drawn, step.books, depth)
                drawn = self.climbed(rung, drawn)
        return Maps(step.books, depth, tuple(planes))

    def _deeper(self, latents: Floats) -> list[Floats]:
        """Return features of every rung, coarsest first, from those at 1/8."""
        features = [latents]
        for level in (2, 3):
            stride = 2 << level  # of the level's input
            name = f"analysis.{level}"
            halo = self._halo(name, 2 * stride) // stride
            core = _CORE * CELL // stride
            features.append(
                apply_in_windows(self._run(name), features[-1], core, halo, Fraction(1, 2))
            )
        return features[::-1]

    def _nearest(self, rung: int, book: int, features: Floats, drawn: Floats) -> IntMap:
        """Return the nearest entry for every position, int32 [h, w]."""

        def network(part: Floats, prediction: Floats) -> npt.NDArray[np.int32]:
            codes = self.networks(f"codes.{rung}", 0.0, part, prediction)
            flat = np.ascontiguousarray(codes.reshape(len(codes), -1).T)
            return nearest(flat, self.books[rung][book]).reshape(1, *codes.shape[1:])

        return apply_in_windows(network, features, _CORE << rung, 1 << rung, 1, [drawn])[0]

    def gain(self, rung: int, book: int, indices: IntMap) -> Floats:
        """Return the gain of cells by a rung's indices [h, w], per bit of these: [h', w']."""
        codebook = self.books[rung][book]
        energy = np.square(codebook).sum(1)[indices]
        side = 1 << rung
        height, width = energy.shape
        cells: Floats = energy.reshape(height // side, side, width // side, side).sum((1, 3))
        return cells / np.float32(_SAMPLES_OF_CELL * 4**rung * math.log2(len(codebook)))

    # -- indices to pixels -------------------------------------------------------------------

    def _vectors(self, rung: int, book: int, indices: IntMap) -> tuple[Floats, Floats]:
        """Return the vectors of indices [h, w], and where there are any: [D, h, w], [1, h, w]."""
        found = self.books[rung][book].T.take(np.maximum(indices, 0), axis=1)
        return found, (indices != ABSENT)[None].astype(np.float32)

    def added(self, rung: int, book: int, indices: IntMap) -> Floats:
        """Return what a rung adds for its indices int32 [h, w]: [C, h, w]."""

        def network(part: IntMap) -> Floats:
            return self.networks(f"added.{rung}", 0.0, *self._vectors(rung, book, part[0]))

        return apply_in_windows(network, indices[None], _CORE << rung, 0)

    def climbed(self, rung: int, x: Floats) -> Floats:
        """Map the complete features of a rung to the prediction of the next finer one's."""
        name = f"climbed.{rung}"
        halo = ceil_div(self._halo(name, 1), STRIDES[rung])
        return apply_in_windows(self._run(name), x, _CORE << rung, halo, 2)

    def features(self, maps: Maps) -> tuple[Floats, Floats]:
        """Return the features of maps: complete at 1/16, and at 1/32, [C, h, w] each."""
        coarse, middle, _ = maps.indices
        first = self.added(0, maps.books[0], coarse)
        x = self.climbed(0, first) + self.added(1, maps.books[1], middle)
        return self._refined(x, maps.books, maps.depth), first

    def _refined(self, x: Floats, books: Sequence[int], depth: IntMap) -> Floats:
        """Return features at 1/16 with less quantisation noise, if the weights have a refiner."""
        if not self.refines:
            return x
        entries = [len(self.books[rung][book]) for rung, book in enumerate(books[:2])]
        bpp = index_bpp(entries, [1.0, float((depth >= 1).mean())])
        halo = self._halo("refined", STRIDES[1]) // STRIDES[1]
        return apply_in_windows(
            lambda part: self.networks("refined", bpp, part), x, _CORE << 1, halo
        )

    def paint(self, y_hat: Floats, book: int, finest: IntMap, size: tuple[int, int]) -> Pixels:
        """Draw a picture, uint8 [H, W, 3].

        Args:
            y_hat: features at 1/16, complete, [C, h, w].
            book: the third rung's codebook.
            finest: the third rung's indices, int32 [2h, 2w].
            size: height and width in pixels.
        """
        return draw(*self._painting(y_hat, book, finest, size))

    def paint_unrounded(
        self, y_hat: Floats, book: int, finest: IntMap, size: tuple[int, int]
    ) -> UnroundedPixels:
        """Draw a picture without rounding, float32 [H, W, 3] in 0..255; see paint()."""
        return draw_unrounded(*self._painting(y_hat, book, finest, size))

    def _painting(
        self, y_hat: Floats, book: int, finest: IntMap, size: tuple[int, int]
    ) -> tuple[
        Callable[..., Floats], Floats, tuple[int, int], int, int, int, list[npt.NDArray[Any]]
    ]:
        """Return the arguments of draw()."""
        # Four indices per position of y_hat, so that one window serves both.
        rows, columns = y_hat.shape[1:]
        folded = finest.reshape(rows, 2, columns, 2).transpose(1, 3, 0, 2).reshape(4, rows, columns)

        def network(part: Floats, indices: IntMap) -> Floats:
            height, width = indices.shape[1:]
            unfolded = indices.reshape(2, 2, height, width).transpose(2, 0, 3, 1)
            vectors = self._vectors(2, book, unfolded.reshape(2 * height, 2 * width))
            return self.networks("drawn", 0.0, part, *vectors)

        stride = STRIDES[1]
        halo = self._halo("drawn", stride) // stride
        return network, y_hat, size, _CORE << 1, halo, stride, [folded]


def index_bpp(entries: Sequence[int], shares: Sequence[float]) -> float:
    """Return the bits per pixel of indices, if all entries were equally likely.

    Args:
        entries: of the rungs' codebooks, coarsest first.
        shares: fractions of the cells that have each rung.
    """
    each = [math.log2(count) * 4**rung for rung, count in enumerate(entries)]
    return sum(map(math.prod, zip(each, shares, strict=True))) / CELL**2


def nearest(vectors: Floats, codebook: Floats) -> npt.NDArray[np.int32]:
    """Return the index of the nearest entry of a codebook [K, D] for vectors [n, D], int32 [n].

    Ties, up to rounding, are broken arbitrarily.
    """
    # Squares of a common offset would drown the differences.
    middle = codebook.mean(0)
    entries = codebook - middle
    squares = np.square(entries).sum(1)
    found = np.empty(len(vectors), np.int32)
    count = max(_DISTANCES // len(entries), 1)
    for start in range(0, len(vectors), count):
        part = slice(start, start + count)
        found[part] = (squares - 2 * ((vectors[part] - middle) @ entries.T)).argmin(1)
    return found


def _spread(cells: npt.NDArray[Any], rung: int) -> npt.NDArray[Any]:
    """Repeat a value of every cell [h', w'] at every position of a rung [h, w]."""
    return cells.repeat(1 << rung, -2).repeat(1 << rung, -1)
