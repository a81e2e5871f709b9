"""Reading of picture files.

Pillow's decoders are called directly, not through `Image.open`: this limits the formats (some start
other programs) and avoids Pillow's global limit on pixels. The limit here is `PIXEL_LIMIT`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from quantal.errors import MediaError
from quantal.media._convert import from_image, pillow_errors
from quantal.media._picture import Picture

__all__ = ["PICTURE_SUFFIXES", "read"]

PICTURE_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".gif"}
)

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "GIF")
_BEGINNING = 16  # bytes by which Pillow's plugins identify formats


def read(source: str | Path | bytes | BinaryIO) -> Picture:
    """Read a picture from a JPEG, PNG, WebP, TIFF, BMP, AVIF or GIF file.

    Args:
        source: A path, the bytes of a file, or an open file. An open file is read from its start
            if it is seekable, and stays open.

    Raises:
        MediaError: The source is no complete picture, or too large.
    """
    with _opened(source) as file:
        name = f"{os.fspath(source)}" if isinstance(source, (str, Path)) else "the picture"
        with pillow_errors(name):
            image = _identify(file, name)
            deep_avif = image.format == "AVIF" and _avif_has_more_than_8_bits(file)
            picture = from_image(image)
    if deep_avif:
        lost = "10- or 12-bit samples were reduced to 8 bits"
        picture = replace(picture, warnings=(*picture.warnings, lost))
    return picture


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        try:
            file = open(source, "rb")  # noqa: SIM115 - errors while reading are not errors of open
        except OSError as error:
            raise MediaError(f"{source} can't be opened: {error.strerror or error}") from error
        with file:
            yield file
    elif source.seekable():
        source.seek(0)
        yield source
    else:
        yield io.BytesIO(source.read())


def _identify(file: BinaryIO, name: str) -> ImageFile.ImageFile:
    """Return the image of a file; only its header is read."""
    Image.init()
    beginning = file.read(_BEGINNING)
    if not beginning:
        raise MediaError(f"{name} is empty")
    for format_name in _FORMATS:
        factory, accept = Image.OPEN.get(format_name, (None, None))
        # A plugin whose library is missing returns a text instead of True.
        if factory and accept and accept(beginning) is True:
            file.seek(0)
            return factory(file, "")
    raise MediaError(
        f"{name} is not a picture: it starts with {beginning[:8].hex(' ')}; "
        "expected JPEG, PNG, WebP, TIFF, BMP, AVIF or GIF"
    )


def _avif_has_more_than_8_bits(file: BinaryIO) -> bool:
    """Whether an AVIF file has 10 or 12 bits per sample, which Pillow does not report."""
    position = file.tell()
    file.seek(0)
    # Bytes of the av1C box: marker and version, profile and level, tier and bit depth.
    box = file.read(1 << 16).partition(b"av1C")[2]
    file.seek(position)
    return len(box) > 2 and bool(box[2] & 0x40)
