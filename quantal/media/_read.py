"""Reading of picture files, whose formats are recognised by how they begin."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from quantal.arguments import path
from quantal.errors import ArgumentError, MediaError
from quantal.media._convert import from_decoded, pillow_errors
from quantal.media._decoders import DECODERS
from quantal.media._picture import Picture
from quantal.names import shown
from quantal.sources import Source

__all__ = ["PICTURE_SUFFIXES", "Readable", "read"]

#: The path of a file, the bytes of one in any buffer, or a file open in binary mode.
Readable = Source

_HEIC = importlib.util.find_spec("pillow_heif") is not None

PICTURE_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp"}
    | {".dib", ".avif", ".gif"}
    | ({".heic", ".heif", ".hif"} if _HEIC else set())
)
"""Suffixes of files that are taken in folders; HEIC where pillow-heif is installed."""

_EXPECTED = "JPEG, PNG, WebP, TIFF, BMP, " + ("AVIF, GIF or HEIC" if _HEIC else "AVIF or GIF")
_BEGINNING = 64  # bytes that identify formats
#: Formats by which a file begins; `_brand` distinguishes AVIF and HEIC.
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
#: Formats that are named but not read.
_OTHERS = (
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "a PostScript file"),
    (b"\0\0\1\0", "an icon"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file, perhaps an SVG drawing"),
    (b"IIRO", "a camera raw file"),
    (b"IIU\0", "a camera raw file"),
    (b"FUJIFILM", "a camera raw file"),
    (b"\x8bQTL", "a .qtl file: decompress it"),
    (b"gimp xcf", "a GIMP file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def read(source: Readable) -> Picture:
    """Read a picture from a JPEG, PNG, WebP, TIFF, BMP, AVIF or GIF file.

    HEIC is read where pillow-heif is installed.

    Args:
        source: A path, the bytes of a file, or an open file. An open file is read from its start
            if it is seekable, and stays open.

    Raises:
        MediaError: The source is no complete picture, or too large.
        ArgumentError: The source is none of these.
    """
    name = name_of(source, "the picture")
    with _opened(source) as file, pillow_errors(name):
        decoded = DECODERS[_identify(file, name)](file)
        return from_decoded(decoded, {}, name)


def name_of(source: Readable, other: str) -> str:
    """Return the name of a source for errors; `other` if it is no path."""
    return shown(path("picture", source)) if isinstance(source, (str, os.PathLike)) else other


@contextmanager
def _opened(source: Readable) -> Iterator[BinaryIO]:
    if isinstance(source, (str, os.PathLike)):
        name = path("picture", source)
        try:
            file = open(name, "rb")  # noqa: SIM115 - errors while reading are not errors of open
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{shown(name)} can't be opened: {reason}") from error
        with file:
            yield _seekable(file)
    elif hasattr(source, "read"):
        yield _seekable(source)
    else:
        try:
            yield io.BytesIO(memoryview(source).cast("B"))
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"{type(source).__name__} is not a picture: give a path, the bytes of a file, or a "
                "file open in binary mode"
            ) from error


def _seekable(file: Any) -> BinaryIO:
    """Return an open file, at its start if it can be rewound, else all that it holds."""
    try:
        if not getattr(file, "seekable", bool)():
            return io.BytesIO(_all(file))
        file.seek(0)
        if isinstance(file.read(0), str):
            raise ArgumentError("a file in text mode is not a picture: open it in binary mode")
        return cast(BinaryIO, file)
    except (OSError, ValueError) as error:  # a closed file raises ValueError
        if isinstance(error, ArgumentError):
            raise
        raise MediaError(f"the picture can't be read: {error}") from error


def _all(file: Any) -> bytes:
    data = file.read()
    if not isinstance(data, bytes):
        raise ArgumentError("a file in text mode is not a picture: open it in binary mode")
    return data


def _identify(file: BinaryIO, name: str) -> str:
    """Return the format of a file, as Pillow calls it; the file is back at its start."""
    file.seek(0)
    beginning = file.read(_BEGINNING)
    file.seek(0)
    if not beginning:
        raise MediaError(f"{name} is empty")
    found = next((fmt for start, fmt in _SIGNATURES if beginning.startswith(start)), None)
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        found = "WEBP"
    if beginning[4:8] == b"ftyp":
        found = _brand(beginning, name)
    if found is None:
        other = next((what for start, what in _OTHERS if beginning.startswith(start)), None)
        what = f": it is {other}" if other else f": it starts with {beginning[:8].hex(' ')}"
        raise MediaError(f"{name} is not a picture{what}; expected {_EXPECTED}")
    return found


def _brand(beginning: bytes, name: str) -> str:
    """Return the format of a file of boxes by its brands (ISO/IEC 14496-12)."""
    size = int.from_bytes(beginning[:4], "big")
    brands = [beginning[8:12]]
    brands += [beginning[at : at + 4] for at in range(16, min(size, len(beginning)), 4)]
    if any(brand in (b"avif", b"avis") for brand in brands):
        return "AVIF"
    if not _HEIC_BRANDS & set(brands):
        raise MediaError(
            f"{name} is a video or another kind of file of boxes; expected {_EXPECTED}"
        )
    if not _HEIC:
        raise MediaError(f"{name} is a HEIC picture; pip install pillow-heif, which reads it")
    return "HEIC"
