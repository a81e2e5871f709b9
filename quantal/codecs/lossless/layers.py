"""The synthetic layers of a lossless picture: tiles of text, flat areas and repeats, and alpha.

They are read first; networks code what is left, and see the samples of layers like any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.codecs.contract import Samples
from quantal.codecs.lossless.walk import Known
from quantal.codecs.synthetic import (
    TILE,
    choose_tiles,
    decode_layer,
    encode_layer,
    has_palette,
    is_justified,
    looks_synthetic,
)

__all__ = ["Layers", "candidates", "read_layers"]

Bits = npt.NDArray[np.bool_]

#: Alpha is a layer if more than this share of it looks synthetic, else a picture of its own.
_FLAT_ALPHA = 0.5


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of a picture.

    Attributes:
        colour: the layer of colours, or of grey, as bytes, if there is one.
        alpha: the layer of alpha.
        known: for each channel where samples are in a layer.
        samples: uint8 [H, W, C], 0 outside of layers; None if there are none, or when writing.
    """

    colour: bytes | None
    alpha: bytes | None
    known: Sequence[Known]
    samples: Samples | None = None

    @property
    def any(self) -> bool:
        """Whether there is a layer."""
        return self.colour is not None or self.alpha is not None


def _split(samples: Samples) -> tuple[Samples, Samples | None]:
    """Return colours [H, W, 1 or 3], and alpha [H, W, 1] if there is any."""
    if samples.shape[2] in (1, 3):
        return samples, None
    return np.ascontiguousarray(samples[:, :, :-1]), np.ascontiguousarray(samples[:, :, -1:])


def candidates(samples: Samples) -> list[Layers]:
    """Return layers that a picture may have; none for photographs and deep samples.

    What repeats little is a photograph for the networks, or a drawing that they code in many times
    the bytes of the layer: only coding both shows which.

    Args:
        samples: uint8 or uint16 [H, W, C].
    """
    if samples.dtype != np.uint8:
        return [_none(samples)]
    colours, _ = _split(samples)
    tiles = choose_tiles(colours)
    every = np.ones_like(tiles)
    maps = [tiles, every] if tiles.any() or has_palette(colours) else [tiles]
    return [_layered(samples, own) for own in maps]


def _none(samples: Samples) -> Layers:
    return Layers(None, None, [None] * samples.shape[2])


def _layered(samples: Samples, tiles: Bits) -> Layers:
    """Return layers of samples uint8 [H, W, C]: these tiles of the colours, and all of alpha."""
    count = samples.shape[2]
    colours, alpha = _split(samples)
    colour = alpha_data = None
    known: list[Known] = [None] * count
    if tiles.any():
        colour, _ = encode_layer(colours, tiles)
        known[: colours.shape[2]] = [_pixels_of(tiles, samples)] * colours.shape[2]
    if alpha is not None:
        marks = looks_synthetic(alpha)
        if marks.mean() > _FLAT_ALPHA:
            every = np.ones_like(marks)
            alpha_data, _ = encode_layer(alpha, every)
            known[-1] = _pixels_of(every, samples)
    height, width = samples.shape[:2]
    found = Layers(colour, alpha_data, known)
    parts = [part for part in (colour, alpha_data) if part is not None]
    if not all(is_justified(part, height, width) for part in parts):
        return _none(samples)
    return found


def _pixels_of(tiles: Bits, samples: Samples) -> Bits:
    """Return which pixels are in tiles, bool [H, W]."""
    height, width = samples.shape[:2]
    return np.repeat(np.repeat(tiles, TILE, 0), TILE, 1)[:height, :width]


def read_layers(
    colour: bytes | None, alpha: bytes | None, height: int, width: int, channels: int
) -> Layers:
    """Return the layers of a picture with their samples.

    Args:
        colour: see Layers.
        alpha: see Layers.
        height: of the picture.
        width: of the picture.
        channels: of the picture, 1..4.

    Raises:
        BitstreamError: If a layer is damaged.
    """
    known: list[Known] = [None] * channels
    if colour is None and alpha is None:
        return Layers(None, None, known)
    samples = np.zeros((height, width, channels), np.uint8)
    colours = channels if channels in (1, 3) else channels - 1
    if colour is not None:
        tiles, pixels = decode_layer(colour, width, height, colours)
        samples[:, :, :colours] = pixels
        known[:colours] = [_pixels_of(tiles, samples)] * colours
    if alpha is not None:
        tiles, pixels = decode_layer(alpha, width, height, 1)
        samples[:, :, -1:] = pixels
        known[-1] = _pixels_of(tiles, samples)
    return Layers(colour, alpha, known, samples)
