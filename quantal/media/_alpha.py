"""Lossless coding of alpha as a greyscale PNG, which is a part of .qtl files.

A pixel has one bit if all alpha is 0 or 255, else eight bits.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, PngImagePlugin

from quantal.arguments import typed, whole
from quantal.errors import CorruptError, MediaError
from quantal.limits import check_size
from quantal.media._picture import Bytes
from quantal.planes import ceil_div

__all__ = ["decode_alpha", "encode_alpha"]

_IHDR = struct.Struct(">8s I4s IIBBBBB")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEFLATE_RATIO = 1032  # maximum of zlib: 258 bytes from two bits


def encode_alpha(alpha: Bytes) -> bytes:
    """Encode alpha, uint8 [H, W].

    >>> alpha = np.full((480, 640), 255, np.uint8)
    >>> data = encode_alpha(alpha)
    >>> len(data) < 1000, bool((decode_alpha(data, 640, 480) == alpha).all())
    (True, True)

    Raises:
        MediaError: The array has another type or shape, or is too large.
    """
    typed("alpha", alpha, np.ndarray)
    if alpha.ndim != 2 or alpha.dtype != np.uint8:
        raise MediaError(f"alpha {alpha.dtype} {list(alpha.shape)} found, expected uint8 [H, W]")
    check_size(alpha.shape[1], alpha.shape[0])
    image = Image.fromarray(np.ascontiguousarray(alpha))
    if ((alpha == 0) | (alpha == 255)).all():
        image = image.convert("1", dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def decode_alpha(data: bytes, width: int, height: int) -> Bytes:
    """Decode alpha. Sizes are checked before memory is allocated.

    Args:
        data: The bytes from `encode_alpha`.
        width: Expected width in pixels.
        height: Expected height in pixels.

    Returns:
        Alpha, uint8 [height, width].

    Raises:
        CorruptError: The bytes are damaged or of another size.
    """
    data, width, height = typed("data", data, bytes), whole("width", width), whole("height", height)
    if len(data) < _IHDR.size or data[:8] != _SIGNATURE:
        raise CorruptError("the alpha part is not a PNG; the file was written wrongly")
    found_width, found_height, depth, colour, *_ = _IHDR.unpack_from(data)[3:]
    if (found_width, found_height) != (width, height):
        raise CorruptError(
            f"the alpha part is {found_width}x{found_height} pixels, expected {width}x{height}"
        )
    if depth not in (1, 8) or colour != 0:
        raise CorruptError(
            f"the alpha part has bit depth {depth} and colour type {colour}, expected 1 or 8 and 0"
        )
    if height * (ceil_div(width * depth, 8) + 1) > _DEFLATE_RATIO * len(data):
        raise CorruptError(
            f"the alpha part has {len(data)} bytes, too few for {width}x{height} pixels"
        )
    try:
        # Image.open would apply Pillow's global limit on pixels.
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            alpha = np.array(image.convert("L"))
    except Exception as error:  # Pillow raises various exceptions for broken files
        raise CorruptError(f"the alpha part is broken: {error}") from error
    if alpha.shape != (height, width):
        raise CorruptError(f"the alpha part decodes to {list(alpha.shape)}, not {[height, width]}")
    return alpha
