"""Samples of 16 bits of which Pillow takes one byte each: by two ways to decode, both are known."""

from __future__ import annotations

import sys

import numpy as np
from PIL import ImageFile

from quantal.media._picture import Deep

__all__ = ["both_bytes", "has_both_bytes"]

_LITTLE = sys.byteorder == "little"
#: Raw modes by their ends, and those that take the other byte.
_EXCHANGED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if _LITTLE else ";16L"}
_MODES = frozenset({"RGB", "RGBA", "RGBX"})


def has_both_bytes(image: ImageFile.ImageFile) -> bool:
    """Whether the samples of an image that is not loaded can be read by `both_bytes`."""
    name, _, bits = _raw_mode(image).partition(";")
    return name in _MODES and f";{bits}" in _EXCHANGED


def both_bytes(image: ImageFile.ImageFile, again: ImageFile.ImageFile) -> Deep:
    """Return the samples of an image of 16 bits, uint16 [H, W, C].

    Args:
        image: The image as opened.
        again: The same file opened once more.
    """
    raw_mode = _raw_mode(again)
    exchanged = raw_mode[:-4] + _EXCHANGED[raw_mode[-4:]]
    tiles = []
    for tile in again.tile:
        args = exchanged if isinstance(tile.args, str) else (exchanged, *(tile.args or ())[1:])
        tiles.append(tile._replace(args=args))
    again.tile = tiles
    samples = np.array(image, dtype=np.uint16)
    samples <<= 8
    samples |= np.asarray(again)
    return samples


def _raw_mode(image: ImageFile.ImageFile) -> str:
    args = image.tile[0].args if image.tile else ""
    return str(args if isinstance(args, str) else (args or ("",))[0])
