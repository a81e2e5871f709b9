"""Arrays of samples as pictures, and samples of 9 to 16 bits as pixels of 8."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.arguments import whole
from quantal.errors import ArgumentError, MediaError
from quantal.limits import check_size
from quantal.media._picture import Bytes, Deep, Picture
from quantal.media._samples import shifted_to_bytes

__all__ = ["from_array", "reduced"]


def from_array(array: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], depth: int = 16) -> Picture:
    """Create a picture from samples. An RGB array, and one of 16 bits, is not copied.

    >>> picture = from_array(np.zeros((2, 5, 4), np.uint8))
    >>> picture.width, picture.height, picture.grey, picture.alpha is None
    (5, 2, False, False)
    >>> from_array(np.full((2, 5), 1023, np.uint16), depth=10).pixels[0, 0].tolist()
    [255, 255, 255]

    Args:
        array: Samples, uint8 or uint16 [H, W] or [H, W, C]; C is 1 (grey), 2 (grey and alpha), 3
            (RGB) or 4 (RGB and alpha). Those of uint16 are kept in `Picture.deep`.
        depth: Bits of a sample of uint16, 9..16: white is 2^depth - 1.

    Raises:
        MediaError: The array has another type or shape, or is too large; or a sample of it has
            more bits.
    """
    try:
        given: npt.NDArray[Any] = np.asarray(array)
    except Exception as error:  # of other libraries' arrays, too
        raise ArgumentError(f"{type(array).__name__} is not an array: {error}") from error
    samples = given[:, :, None] if given.ndim == 2 else given
    deep = samples.dtype.kind == "u" and samples.dtype.itemsize == 2  # of either byte order
    if (
        samples.ndim != 3
        or samples.shape[2] not in (1, 2, 3, 4)
        or not (deep or samples.dtype == np.uint8)
    ):
        raise MediaError(
            f"array {given.dtype} {list(given.shape)} found, "
            "expected uint8 or uint16 [H, W] or [H, W, C] with 1 to 4 channels"
        )
    channels = samples.shape[2]
    grey = channels < 3
    if deep:
        depth = whole("depth", depth, 9, 16)
        check_size(samples.shape[1], samples.shape[0])
        samples = np.ascontiguousarray(samples, np.uint16)
        pixels, alpha = reduced(samples, depth)
        return Picture(pixels, alpha, grey, deep=samples, depth=depth)
    colour = np.repeat(samples[:, :, :1], 3, axis=2) if grey else samples[:, :, :3]
    alpha = np.ascontiguousarray(samples[:, :, -1]) if channels in (2, 4) else None
    return Picture(np.ascontiguousarray(colour), alpha, grey)


def reduced(deep: Deep, depth: int) -> tuple[Bytes, Bytes | None]:
    """Return samples of `depth` bits, uint16 [H, W, C], as RGB [H, W, 3] and alpha [H, W]."""
    top, channels = (1 << depth) - 1, deep.shape[2]
    pixels = shifted_to_bytes(deep[:, :, : 3 if channels > 2 else 1], 0, top)
    if channels < 3:
        pixels = np.repeat(pixels, 3, axis=2)
    return pixels, shifted_to_bytes(deep[:, :, -1], 0, top) if channels in (2, 4) else None
