"""Which tiles are synthetic: a cheap look first, then costs.

Costs are Lagrangians: distortion, in sums of squared differences of all channels, plus bits times
the price of a bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.layer import TILE, to_colours
from quantal.codecs.synthetic.logistic import Bits
from quantal.codecs.synthetic.loss import distance, guessed_bits, merged
from quantal.planes import ceil_div

__all__ = [
    "Costs",
    "cheaper_tiles",
    "choose_tiles",
    "guess_costs",
    "has_palette",
    "looks_synthetic",
    "tile_sums",
]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: A tile looks synthetic if so many of its pixels equal the one to the left and the one above.
_ALIKE = 0.3
#: Without loss, squares of so many tiles a side are chosen; so many of a square's pixels have the
#: colour to the left and above, and so many of a picture's squares are such, or none is chosen.
_SQUARE, _REPEATING, _WORTHWHILE = 4, 0.6, 0.25
#: Colours, or levels of grey, that a picture drawn with a palette has at most.
_PALETTE, _GREYS = 256, 32
#: Weights with which the tiles beside have a say, so that few tiles stand alone.
_BESIDE = (0.25, 0.5, 0.25)


@dataclass(frozen=True)
class Costs:
    """What tiles cost.

    Attributes:
        bits: float64 [h, w].
        distortion: sums of squared differences, float64 [h, w].
    """

    bits: Floats
    distortion: Floats


def tile_sums(values: npt.NDArray[np.float64] | Bits) -> Floats:
    """Return the sums of pixels' values [H, W] in each tile [h, w]."""
    height, width = values.shape
    rows, columns = ceil_div(height, TILE), ceil_div(width, TILE)
    margins = ((0, rows * TILE - height), (0, columns * TILE - width))
    whole = np.pad(values.astype(np.float64), margins)
    found: Floats = whole.reshape(rows, TILE, columns, TILE).sum((1, 3))
    return found


def looks_synthetic(pixels: Bytes) -> Bits:
    """Return which tiles may be synthetic, by how many pixels repeat, bool [h, w].

    Args:
        pixels: uint8 [H, W, C].
    """
    same = np.zeros(pixels.shape[:2], np.bool_)
    inner = pixels[1:, 1:]
    same[1:, 1:] = ((inner == pixels[1:, :-1]) & (inner == pixels[:-1, 1:])).all(-1)
    return tile_sums(same) >= _ALIKE * tile_sums(np.ones(same.shape, np.bool_))


def choose_tiles(pixels: Bytes) -> Bits:
    """Return the tiles that the layer codes without loss in fewer bytes than networks, bool [h, w].

    Colours of screens repeat; those of photographs rarely do, but for blown highlights and smooth
    backgrounds. Every second row is looked at. Pictures with few squares that repeat get no tiles.

    Args:
        pixels: uint8 [H, W, 1 or 3].
    """
    height, width = pixels.shape[:2]
    side = TILE * _SQUARE
    rows, columns = ceil_div(height, side), ceil_div(width, side)
    colours = to_colours(pixels[: height // 2 * 2])
    even, odd = colours[::2], colours[1::2]
    same = odd == even
    same[:, 1:] &= odd[:, 1:] == odd[:, :-1]
    margins = ((0, rows * side // 2 - len(same)), (0, columns * side - width))
    squares = np.pad(same, margins).reshape(rows, side // 2, columns, side)
    found = squares.view(np.uint8).sum(3, dtype=np.uint16).sum(1, dtype=np.float64)
    tall = np.clip(height // 2 - np.arange(rows) * side // 2, 0, side // 2)
    wide = np.minimum(width - np.arange(columns) * side, side)
    chosen = found > _REPEATING * np.outer(tall, wide)
    if chosen.mean() < _WORTHWHILE:
        chosen[:] = False
    tiles = np.repeat(np.repeat(chosen, _SQUARE, 0), _SQUARE, 1)
    return tiles[: ceil_div(height, TILE), : ceil_div(width, TILE)]


def has_palette(pixels: Bytes) -> bool:
    """Return whether a picture has few colours: a drawing, or one of 256 colours or less.

    Args:
        pixels: uint8 [H, W, 1 or 3].
    """
    most = _PALETTE if pixels.shape[2] == 3 else _GREYS
    # Most pictures have too many in every sixteenth row.
    few = (len(np.unique(to_colours(pixels[::step]))) <= most for step in (16, 1))
    return all(few)


def guess_costs(pixels: Bytes, tiles: Bits, price: float) -> Costs:
    """Guess what tiles cost if they are synthetic, without coding them.

    Args:
        pixels: uint8 [H, W, 3].
        tiles: those that matter, bool [h, w].
        price: of a bit, as distortion.
    """
    colours = to_colours(pixels)
    height, width = colours.shape
    marked = np.repeat(np.repeat(tiles, TILE, 0), TILE, 1)[:height, :width]
    coded = merged(colours, marked, price) if price else colours
    return Costs(tile_sums(guessed_bits(coded)), tile_sums(distance(coded, colours)))


def cheaper_tiles(price: float, synthetic: Costs, other: Costs) -> Bits:
    """Return the tiles that cost less if they are synthetic, bool [h, w].

    Args:
        price: of a bit, as distortion.
        synthetic: costs of tiles as synthetic ones.
        other: costs of tiles that transforms code.
    """
    more = synthetic.distortion - other.distortion + price * (synthetic.bits - other.bits)
    wide = np.pad(more, 1, mode="edge")
    height, width = more.shape
    beside = np.zeros(more.shape)
    for row, above in enumerate(_BESIDE):
        for column, left in enumerate(_BESIDE):
            beside += above * left * wide[row : row + height, column : column + width]
    chosen: Bits = more + beside < 0
    return chosen
