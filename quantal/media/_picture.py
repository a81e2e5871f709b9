"""A picture as the codecs see it: pixels, alpha and what travels with them.

Only the dataclass and its limits; `_convert` makes pictures from Pillow's images and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from quantal.errors import MediaError

__all__ = ["PIXEL_LIMIT", "SIDE_LIMIT", "Bytes", "Picture", "check_size", "from_array"]

Bytes: TypeAlias = npt.NDArray[np.uint8]

SIDE_LIMIT = 65535
"""The widest and highest picture a .qtl file can hold, in pixels."""

PIXEL_LIMIT = 1 << 30
"""More pixels than this are refused before anything is allocated: they would take over 7 GB."""


def check_size(width: int, height: int) -> None:
    """Refuse a size, in pixels, that a file cannot hold or a machine should not try."""
    if not (1 <= width <= SIDE_LIMIT and 1 <= height <= SIDE_LIMIT):
        raise MediaError(
            f"the picture is {width}x{height} pixels, expected 1..{SIDE_LIMIT} each; "
            "resize it or cut it into pieces"
        )
    if width * height > PIXEL_LIMIT:
        raise MediaError(
            f"the picture is {width}x{height} = {width * height} pixels, expected at most "
            f"{PIXEL_LIMIT}; resize it or cut it into pieces"
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture with 8 bits a sample.

    pixels: RGB [H, W, 3]; a grey picture has `grey` set and three equal channels
    alpha: opacity [H, W], 0..255, not multiplied into the pixels
    icc, exif, xmp: as files carry them; exif starts with its TIFF header, without "Exif\\0\\0"
    warnings: what was changed or dropped on the way here, a sentence each
    """

    pixels: Bytes
    alpha: Bytes | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise MediaError(
                f"pixels {pixels.dtype} {list(pixels.shape)} found, expected uint8 [H, W, 3]"
            )
        check_size(self.width, self.height)
        if alpha is not None and (alpha.shape != pixels.shape[:2] or alpha.dtype != np.uint8):
            raise MediaError(
                f"alpha {alpha.dtype} {list(alpha.shape)} found, "
                f"expected uint8 [{self.height}, {self.width}]"
            )

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def from_array(array: npt.NDArray[np.uint8]) -> Picture:
    """A picture from samples [H, W] or [H, W, C], uint8: grey, grey and alpha, RGB, or RGBA.

    An RGB array is not copied.

    >>> picture = from_array(np.zeros((2, 5, 4), np.uint8))
    >>> picture.width, picture.height, picture.grey, picture.alpha is None
    (5, 2, False, False)
    """
    array = np.asarray(array)
    samples = array[:, :, None] if array.ndim == 2 else array
    if samples.ndim != 3 or samples.shape[2] not in (1, 2, 3, 4) or samples.dtype != np.uint8:
        raise MediaError(
            f"array {array.dtype} {list(array.shape)} found, "
            "expected uint8 [H, W] or [H, W, C] with 1 to 4 channels"
        )
    channels = samples.shape[2]
    grey = channels < 3
    colour = np.repeat(samples[:, :, :1], 3, axis=2) if grey else samples[:, :, :3]
    alpha = np.ascontiguousarray(samples[:, :, -1]) if channels in (2, 4) else None
    return Picture(np.ascontiguousarray(colour), alpha, grey)
