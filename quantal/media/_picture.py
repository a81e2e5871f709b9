"""The picture of codecs: pixels, alpha and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from quantal.arguments import typed
from quantal.errors import ArgumentError, MediaError
from quantal.limits import check_size

__all__ = ["Bytes", "Picture", "from_array"]

Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture with 8 bits per sample.

    Attributes:
        pixels: RGB, uint8 [H, W, 3].
        alpha: Straight (not premultiplied) alpha, uint8 [H, W].
        grey: Whether the picture is grey; its three channels are then equal.
        icc: ICC profile.
        exif: EXIF from its TIFF header on, without "Exif\\0\\0".
        xmp: XMP packet.
        warnings: What was changed or dropped by reading, one sentence each.

    Raises:
        MediaError: An array has another type or shape, or is too large.
        ArgumentError: Something is no array, or no bytes.
    """

    pixels: Bytes
    alpha: Bytes | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels, alpha = typed("pixels", self.pixels, np.ndarray), self.alpha
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise MediaError(
                f"pixels {pixels.dtype} {list(pixels.shape)} found, expected uint8 [H, W, 3]"
            )
        check_size(self.width, self.height)
        if alpha is not None:
            typed("alpha", alpha, np.ndarray)
        for kind in ("icc", "exif", "xmp"):
            if getattr(self, kind) is not None:
                typed(kind, getattr(self, kind), bytes)
        if alpha is not None and (alpha.shape != pixels.shape[:2] or alpha.dtype != np.uint8):
            raise MediaError(
                f"alpha {alpha.dtype} {list(alpha.shape)} found, "
                f"expected uint8 [{self.height}, {self.width}]"
            )

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


def from_array(array: npt.NDArray[np.uint8]) -> Picture:
    """Create a picture from samples. An RGB array is not copied.

    >>> picture = from_array(np.zeros((2, 5, 4), np.uint8))
    >>> picture.width, picture.height, picture.grey, picture.alpha is None
    (5, 2, False, False)

    Args:
        array: Samples, uint8 [H, W] or [H, W, C]; C is 1 (grey), 2 (grey and alpha), 3 (RGB) or
            4 (RGB and alpha).

    Raises:
        MediaError: The array has another type or shape, or is too large.
    """
    try:
        array = np.asarray(array)
    except Exception as error:  # of other libraries' arrays, too
        raise ArgumentError(f"{type(array).__name__} is no array: {error}") from error
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
