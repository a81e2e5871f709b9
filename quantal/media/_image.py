"""Images of Pillow, opened or made in memory, as pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from PIL import Image

from quantal.arguments import choice, typed
from quantal.errors import ArgumentError
from quantal.limits import check_size
from quantal.media._convert import from_decoded, pillow_errors
from quantal.media._decoded import Decoded
from quantal.media._decoders import DECODERS
from quantal.media._info import info_of
from quantal.media._picture import Picture

__all__ = ["from_image"]

_METADATA = ("icc_profile", "exif", "xmp")


def from_image(image: Image.Image, metadata: Mapping[str, object] | None = None) -> Picture:
    """Convert an image of Pillow to a picture.

    >>> picture = from_image(Image.new("LA", (4, 3), (200, 128)))
    >>> picture.grey, picture.pixels[0, 0].tolist(), picture.alpha[0, 0].item()
    (True, [200, 200, 200], 128)

    Args:
        image: An image of any mode; the current frame of an animation is used.
        metadata: "icc_profile", "exif" and "xmp" to use in place of those in `image.info`; empty
            or None drops them.

    Raises:
        MediaError: The image is too large or can't be decoded.
        ArgumentError: It is no image, or its metadata no bytes.
    """
    typed("image", image, Image.Image)
    given = {} if metadata is None else typed("metadata", metadata, Mapping)  # type: ignore[type-abstract]
    for name, value in given.items():
        choice("metadata", name, _METADATA)
        if not isinstance(value, (bytes, bytearray, str, Image.Exif, type(None))):
            raise ArgumentError(f"{name} must be bytes, not {type(value).__name__}")
    check_size(*image.size)
    with pillow_errors("the picture"):
        decoded = _of_file(image) or Decoded(image, info_of(image))
    return from_decoded(decoded, given)


def _of_file(image: Image.Image) -> Decoded | None:
    """Decode the file behind an image that is opened but not loaded; None for other images.

    Pillow alone would lose pixels of some files, and keeps no list of what it leaves out. Where
    the caller has changed `image.info`, that is the metadata, not the file's.
    """
    file = getattr(image, "fp", None)
    decode = DECODERS.get({"MPO": "JPEG"}.get(str(image.format), str(image.format)))
    if decode is None or file is None or not getattr(image, "tile", None):
        return None
    if getattr(file, "closed", False) or image.tell() != 0:
        return None
    place = file.tell()
    try:
        file.seek(0)
        data = file.read()
    finally:
        file.seek(place)
    unchanged = _is_as_opened(image, data)
    decoded = decode(io.BytesIO(data))
    if decoded.deep is None and getattr(decoded.image, "tile", None):
        decoded.image = image  # not decoded yet: Pillow does it once, for the caller too
    else:
        with suppress(Exception):  # what Pillow can't decode is decoded already
            image.load()  # as callers expect: a file that Pillow opened is closed then
        if decoded.size != image.size:
            return None  # a draft, which the caller made smaller
    if not unchanged:
        dropped = decoded.beside.dropped
        decoded.beside = info_of(image)
        decoded.beside.dropped = [*dropped, *decoded.beside.dropped]
    return decoded


def _is_as_opened(image: Any, data: bytes) -> bool:
    """Whether the `info` of an image is what Pillow reads from its file."""
    try:
        return bool(type(image)(io.BytesIO(data)).info == image.info)
    except Exception:  # another library's class of images
        return False
