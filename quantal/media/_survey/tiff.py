"""What a TIFF file holds: layout of the first page, metadata and other pages (TIFF 6.0)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image, TiffImagePlugin

from quantal.errors import MediaError
from quantal.media._beside import Beside
from quantal.media._colour import SRGB_PRIMARIES, Colour
from quantal.media._survey.photoshop import survey_iptc, survey_resources

__all__ = ["Layout", "exif_of_tags", "survey", "survey_tags"]

#: Tags that say how pixels are stored. They do not apply to the decoded picture.
_STORAGE = frozenset(
    {*range(254, 260), *range(262, 267), 273, 274, *range(277, 282), 284, 292, 293, 297}
    | {317, *range(320, 328), 332, 333, 334, 336, 338, 339, 340, 341, 343, 347, *range(512, 522)}
    | {529, 530, 531, 532, 559}
)
_SUB_PAGES, _XMP, _IPTC, _PHOTOSHOP, _ICC = 330, 700, 33723, 34377, 34675
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION = 274, 282, 283
_TRANSFER, _WHITE_POINT, _PRIMARIES = 301, 318, 319
_SURVEYED = frozenset({_SUB_PAGES, _XMP, _IPTC, _PHOTOSHOP, _ICC, _WHITE_POINT, _PRIMARIES})
#: Tags that describe the stored samples in a way that nothing carries.
_NAMED = {
    290: "its grey response curve",
    291: "its grey response curve",
    _TRANSFER: "its transfer function",
    342: "its transfer range",
    37724: "the layers of Photoshop",
    50255: "annotations of Photoshop",
}
_DIRECTORIES = frozenset({34665, 34853})  # EXIF and GPS: tags that hold further tags
_PAGES = 1 << 16


@dataclass(frozen=True)
class Layout:
    """How the first page stores its pixels.

    Attributes:
        width: In pixels, as stored.
        height: In pixels, as stored.
        photometric: Meaning of the samples, tag 262.
        bits: Bits per sample, one or one per sample.
        formats: 1 for unsigned, 2 signed, 3 floating point; one or one per sample.
        samples: Samples per pixel.
        extras: Meaning of the samples beyond the colours.
        planar: Whether each sample has a plane of its own.
        bits_reversed: Whether bytes begin with their least significant bit.
        compression: Tag 259.
        subsampling: Of YCbCr.
        orientation: 1..8.
        offsets: Places of strips or tiles in the file.
        sizes: Their bytes.
        pages: Pages of the file.
    """

    width: int
    height: int
    photometric: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    samples: int
    extras: tuple[int, ...]
    planar: bool
    bits_reversed: bool
    compression: int
    subsampling: tuple[int, ...]
    orientation: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    pages: int

    @property
    def compressed(self) -> bool:
        """Whether strips are compressed."""
        return self.compression != 1

    def describe(self) -> str:
        """Return the layout in a few words, for errors."""
        kinds = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
        kind = kinds.get(self.formats[0], f"format-{self.formats[0]}")
        planes = ", one plane each" if self.planar and self.samples > 1 else ""
        return (
            f"{self.samples} {kind} samples of {max(self.bits)} bits{planes}, photometric "
            f"{self.photometric}, compression {self.compression}"
        )


def survey(file: BinaryIO) -> tuple[Layout, Beside]:
    """List what a TIFF file holds.

    Args:
        file: The file, seekable.

    Raises:
        MediaError: The first page can't be described, or is the preview of a camera raw file.
    """
    tags, pages = _directories(file)
    layout = _layout(tags, pages)
    found = Beside(exif=b"", xmp=b"", icc=b"")
    if tags.get(254, 0) & 1 and _SUB_PAGES in tags:
        raise MediaError(
            "the file is a camera raw file whose first picture is a preview; develop it first"
        )
    found.icc = _bytes(tags.get(_ICC))
    found.xmp = _bytes(tags.get(_XMP))
    survey_tags(tags, found)
    found.exif = _exif(tags, file, found) or found.exif
    return layout, found


def survey_tags(tags: Any, found: Beside) -> None:
    """List what the tags of a page hold beside ICC profile, XMP and EXIF.

    Args:
        tags: Pillow's directory of the page, or another mapping of tags.
        found: Receives what is carried and what is not.
    """
    for tag, name in _NAMED.items():
        if tag in tags:
            found.drop(name)
    if _SUB_PAGES in tags:
        count = len(_tuple(tags[_SUB_PAGES]))
        found.drop("a picture inside the picture" if count == 1 else f"{count} inner pictures")
    survey_resources(_bytes(tags.get(_PHOTOSHOP)), found)
    survey_iptc(_iptc(tags), found)
    _colour(tags, found)


def _directories(file: BinaryIO) -> tuple[TiffImagePlugin.ImageFileDirectory_v2, int]:
    """Return the first directory, and how many pages there are."""
    file.seek(0)
    head = file.read(8)
    if head[:4] == b"MM\0+":
        raise MediaError("a BigTIFF with the most significant byte first can't be read; convert it")
    if head[2:3] == b"+":  # BigTIFF
        head += file.read(8)
    first: TiffImagePlugin.ImageFileDirectory_v2 | None = None
    try:
        first = TiffImagePlugin.ImageFileDirectory_v2(head)
        first.reset()
        seen: set[int] = set()
        place, pages = first.next, 0
        directory = first
        while place and place not in seen and pages < _PAGES:
            seen.add(place)
            file.seek(place)
            directory.load(file)
            pages += 1
            place = directory.next
            directory = TiffImagePlugin.ImageFileDirectory_v2(head)
    except Exception as error:  # Pillow raises various exceptions for broken directories
        if not first:
            raise MediaError(f"the TIFF is cut, broken or of an unknown kind: {error}") from error
    if not first:
        raise MediaError("the TIFF is cut, broken or without a page")
    return first, max(pages, 1)


def _layout(tags: Any, pages: int) -> Layout:
    try:
        samples = int(tags.get(277, 1))
        bits = tuple(int(value) for value in _tuple(tags.get(258, 1)))
        formats = tuple(int(value) for value in _tuple(tags.get(339, 1)))
        # Undefined data counts as unsigned.
        formats = tuple(1 if value in (0, 4) else value for value in formats)
        return Layout(
            width=int(tags[256]),
            height=int(tags[257]),
            photometric=int(tags.get(262, 0)),
            bits=bits,
            formats=formats,
            samples=samples,
            extras=tuple(int(value) for value in _tuple(tags.get(338, ()))),
            planar=int(tags.get(284, 1)) == 2,
            bits_reversed=int(tags.get(266, 1)) == 2,
            compression=int(tags.get(259, 1)),
            subsampling=tuple(int(value) for value in _tuple(tags.get(530, (2, 2)))),
            orientation=int(tags.get(274, 1)),
            offsets=tuple(int(v) for v in _tuple(tags.get(273, tags.get(324, ())))),
            sizes=tuple(int(v) for v in _tuple(tags.get(279, tags.get(325, ())))),
            pages=pages,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"the TIFF does not say how its pixels are stored: {error!r}") from error


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _bytes(value: Any) -> bytes:
    value = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return bytes(value) if isinstance(value, (bytes, bytearray)) else b""


def _iptc(tags: Any) -> bytes:
    """Return the IPTC record, which some writers declare as 32-bit integers."""
    value = tags.get(_IPTC)
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        order = "<" if tags.prefix == b"II" else ">"
        return struct.pack(f"{order}{len(value)}I", *value)
    return _bytes(value)


def _colour(tags: Any, found: Beside) -> None:
    points, white = _tuple(tags.get(_PRIMARIES, ())), _tuple(tags.get(_WHITE_POINT, ()))
    if len(points) == 6 and len(white) == 2:
        try:
            primaries = tuple(float(value) for value in (*points, *white))
        except (TypeError, ValueError, ZeroDivisionError):
            found.drop("its chromaticities")
            return
        if primaries != SRGB_PRIMARIES:
            found.colour = Colour(primaries)  # type: ignore[arg-type]
    elif points or white:
        found.drop("its white point")


def _exif(tags: Any, file: BinaryIO, found: Beside) -> bytes:
    given = Image.Exif()
    given.endian, given.bigtiff = tags._endian, tags._bigtiff
    try:
        given.load_from_fp(file, tags._offset)
    except Exception as error:  # tags can have any content
        found.drop(f"its TIFF tags, which can't be read as EXIF ({error})")
        return b""
    return exif_of_tags(given, tags.get(_ORIENTATION) in range(5, 9), found)


def exif_of_tags(tags: Image.Exif, turned: bool, found: Beside) -> bytes:
    """Return the tags of a TIFF that describe the picture and its origin as EXIF.

    Args:
        tags: The tags.
        turned: Whether the axes of the picture are exchanged, to which the resolution belongs.
        found: Receives what is not carried.
    """
    kept = Image.Exif()
    try:
        for tag in set(tags) - _STORAGE - _SURVEYED - set(_NAMED):
            kept[tag] = dict(tags.get_ifd(tag)) if tag in _DIRECTORIES else tags[tag]
        if turned and _X_RESOLUTION in kept and _Y_RESOLUTION in kept:
            kept[_X_RESOLUTION], kept[_Y_RESOLUTION] = kept[_Y_RESOLUTION], kept[_X_RESOLUTION]
        return kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else b""
    except Exception as error:  # tags can have any content
        found.drop(f"its TIFF tags, which can't be written as EXIF ({error})")
        return b""
