"""Decoders of picture files, by format.

Those of Pillow are called directly, not through `Image.open`: this limits the formats (some start
other programs) and avoids Pillow's global limit on pixels. The limit here is `PIXEL_LIMIT`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image

from quantal.errors import MediaError
from quantal.media._beside import Beside
from quantal.media._decoded import Decoded
from quantal.media._info import info_of
from quantal.media._png import decode_png
from quantal.media._survey import bmp, boxes, gif, jpeg, webp
from quantal.media._tiff import decode_tiff

__all__ = ["DECODERS"]


def _by_pillow(
    format_name: str, survey: Callable[[bytes], Beside]
) -> Callable[[BinaryIO], Decoded]:
    """Return a decoder by Pillow, whose metadata a survey completes."""

    def decode(file: BinaryIO) -> Decoded:
        Image.init()
        factory, _ = Image.OPEN.get(format_name, (None, None))
        if factory is None:
            raise MediaError(f"this Pillow reads no {format_name}: install it with its libraries")
        data = file.read()
        return _with_info(factory(io.BytesIO(data), ""), survey(data))

    return decode


def _decode_heic(file: BinaryIO) -> Decoded:
    import pillow_heif

    data = file.read()
    beside = boxes.survey(data)
    beside.dropped = [what for what in beside.dropped if "clean aperture" not in what]  # applied
    return _with_info(pillow_heif.HeifImageFile(io.BytesIO(data)), beside)  # type: ignore[no-untyped-call]


def _with_info(image: Image.Image, beside: Beside) -> Decoded:
    """Return an image and a survey with the metadata that Pillow read."""
    known = info_of(image)
    beside.icc = beside.icc or known.icc
    beside.exif = beside.exif or known.exif
    beside.xmp = beside.xmp or known.xmp
    return Decoded(image, beside)


DECODERS: dict[str, Callable[[BinaryIO], Decoded]] = {
    "JPEG": _by_pillow("JPEG", jpeg.survey),
    "PNG": lambda file: decode_png(file.read()),
    "WEBP": _by_pillow("WEBP", webp.survey),
    "TIFF": decode_tiff,
    "BMP": _by_pillow("BMP", bmp.survey),
    "AVIF": _by_pillow("AVIF", boxes.survey),
    "GIF": _by_pillow("GIF", gif.survey),
    "HEIC": _decode_heic,
}
