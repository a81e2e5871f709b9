"""The synthetic layer as bytes: which tiles it has, which blocks of these are flat, all else.

A stream holds, one after the other: a map of tiles; of these tiles a map of blocks of one colour;
the colours of these; and the pixels of all other blocks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.decisions import Decisions, Reading, Writing
from quantal.codecs.synthetic.logistic import Bits
from quantal.codecs.synthetic.loss import distance, merged
from quantal.codecs.synthetic.picture import Model, code_picture
from quantal.codecs.synthetic.places import Colours
from quantal.errors import ArgumentError, CorruptError
from quantal.planes import ceil_div

__all__ = ["TILE", "decode_layer", "encode_layer", "is_justified", "read_tiles", "to_colours"]

Bytes = npt.NDArray[np.uint8]

#: Pixels of a side of a tile, and of a block that can be flat.
TILE, BLOCK = 16, 8
_PER_TILE = TILE // BLOCK
#: Bits that a block of one colour saves an encoder, at least.
_FLAT_SAVES = 1.0


#: A layer is of at most so many pixels for each of its bytes, of which _FREE are given.
_PIXELS_OF_A_BYTE, _FREE = 1 << 15, 8


def is_justified(data: bytes, height: int, width: int) -> bool:
    """Return whether the bytes of a layer are enough for a picture of a size.

    Flat pictures cost almost nothing, whatever their size, and a few bytes must not claim
    gigabytes: larger ones are coded without a layer.
    """
    return (len(data) + _FREE) * _PIXELS_OF_A_BYTE >= height * width


def _check_size(data: bytes, height: int, width: int) -> None:
    if not is_justified(data, height, width):
        raise CorruptError(
            f"a synthetic layer of {len(data)} bytes can't be of {width}x{height} pixels: the "
            "header is wrong"
        )


def _tile_counts(height: int, width: int, side: int) -> tuple[int, int]:
    return ceil_div(height, side), ceil_div(width, side)


def _spread(marks: Bits, side: int, height: int, width: int) -> Bits:
    """Return marks of tiles for each pixel of theirs."""
    wide = np.repeat(np.repeat(marks, side, 0), side, 1)
    return wide[:height, :width]


def to_colours(pixels: Bytes) -> Colours:
    """Return pixels uint8 [H, W, 1 or 3] as one number each, int32 [H, W]."""
    wide = pixels.astype(np.int32)
    if wide.shape[2] == 1:
        return wide[..., 0] << 8
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _to_pixels(colours: Colours, channels: int) -> Bytes:
    shifts = (8,) if channels == 1 else (16, 8, 0)
    return np.stack([(colours >> shift) & 255 for shift in shifts], -1).astype(np.uint8)


def _blocks(colours: Colours) -> Colours:
    """Return int32 [h, BLOCK, w, BLOCK], with colours at the edges repeated."""
    height, width = colours.shape
    rows, columns = _tile_counts(height, width, BLOCK)
    margins = ((0, rows * BLOCK - height), (0, columns * BLOCK - width))
    return np.pad(colours, margins, mode="edge").reshape(rows, BLOCK, columns, BLOCK)


def _flat_blocks(colours: Colours, original: Colours, price: float) -> tuple[Bits, Colours]:
    """Return which blocks have one colour, and the colour at their upper left [h, w]."""
    whole = _blocks(colours)
    first = whole[:, 0, :, 0]
    flat = (whole == first[:, None, :, None]).all((1, 3))
    if price:
        lost = distance(_blocks(original), first[:, None, :, None]).sum((1, 3))
        flat |= lost <= price * _FLAT_SAVES
    return flat, first


def _code_marks(coding: Decisions, todo: Bits, marks: Bits) -> Bits:
    """Code marks at some positions of a map; elsewhere there are none."""
    height, width = todo.shape
    model = Model(height, width, int(todo.sum()), channels=1)
    values = code_picture(coding, model, todo, marks.astype(np.int32) << 8)
    if int(values.max(initial=0)) > 1 << 8:
        raise CorruptError("a mark of a synthetic layer is neither 0 nor 1: it was altered")
    return values == 1 << 8


def _code(
    coding: Decisions, tiles: Bits, colours: Colours, channels: int, price: float = 0
) -> tuple[Bits, Colours]:
    """Code a layer.

    Args:
        coding: what to do with decisions.
        tiles: bool [h, w]; a reader ignores them.
        colours: int32 [H, W]; a reader ignores them.
        channels: 1 or 3.

    Returns:
        The tiles and the colours; 0 outside the tiles.
    """
    height, width = colours.shape
    tiles = _code_marks(coding, np.ones(tiles.shape, np.bool_), tiles)
    blocks = _tile_counts(height, width, BLOCK)
    inside = _spread(tiles, _PER_TILE, *blocks)
    original = colours
    if price:
        colours = merged(colours, _spread(tiles, TILE, height, width), price)
    flat, first = _flat_blocks(colours, original, price)
    flat = _code_marks(coding, inside, flat)
    model = Model(*blocks, int(flat.sum()), channels)
    first = code_picture(coding, model, flat, first)
    todo = _spread(inside & ~flat, BLOCK, height, width)
    model = Model(height, width, int(todo.sum()), channels)
    filled = np.repeat(np.repeat(first, BLOCK, 0), BLOCK, 1)[:height, :width]
    # Blocks that are not flat are ABSENT in `first`, as they have to be in the plane.
    model.plane.inside[:] = filled
    found = code_picture(coding, model, todo, colours)
    return tiles, np.maximum(found, 0)


def _check_channels(channels: int) -> None:
    if channels not in (1, 3):
        raise ArgumentError(f"a synthetic layer has 1 or 3 channels, not {channels}")


def encode_layer(pixels: Bytes, tiles: Bits, price: float = 0) -> tuple[bytes, Bytes]:
    """Code a layer.

    Args:
        pixels: uint8 [H, W, 1 or 3].
        tiles: which tiles it has, bool [ceil(H / TILE), ceil(W / TILE)].
        price: the distortion that a bit is worth, in sums of squared differences; 0: lossless.

    Returns:
        The bytes, and what decode_layer() makes of them, uint8 [H, W, C].
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise ArgumentError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 [H, W, C]")
    _check_channels(pixels.shape[2])
    wanted = _tile_counts(pixels.shape[0], pixels.shape[1], TILE)
    if tiles.dtype != np.bool_ or tiles.shape != wanted:
        raise ArgumentError(f"tiles are {tiles.dtype} {tiles.shape}, expected bool {wanted}")
    coding = Writing()
    _, colours = _code(coding, tiles, to_colours(pixels), pixels.shape[2], price)
    return coding.finish(), _to_pixels(colours, pixels.shape[2])


def read_tiles(data: bytes, width: int, height: int) -> Bits:
    """Return the tiles of a layer, bool [h, w], and leave the rest unread and unchecked.

    Args:
        data: the result of encode_layer().
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Raises:
        BitstreamError: If no encoder writes such bytes for such a picture.
    """
    _check_size(data, height, width)
    none = np.zeros(_tile_counts(height, width, TILE), np.bool_)
    return _code_marks(Reading(data), ~none, none)


def decode_layer(data: bytes, width: int, height: int, channels: int = 3) -> tuple[Bits, Bytes]:
    """Return the tiles of a layer, and its pixels.

    Args:
        data: the result of encode_layer().
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        channels: 1 or 3.

    Returns:
        bool [h, w]; and uint8 [H, W, channels], 0 outside the tiles.

    Raises:
        BitstreamError: If no encoder writes such bytes for such a picture.
    """
    _check_channels(channels)
    _check_size(data, height, width)
    coding = Reading(data)
    empty = np.zeros((height, width), np.int32)
    shape = _tile_counts(height, width, TILE)
    tiles, colours = _code(coding, np.zeros(shape, np.bool_), empty, channels)
    coding.finish()
    return tiles, _to_pixels(colours, channels)
