"""Metadata of pictures: ICC profile, EXIF, XMP, and the orientation in them.

The orientation in EXIF is patched in place, so that maker notes and thumbnails are kept.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, TiffImagePlugin

__all__ = ["EXIF_PREFIX", "Metadata", "icc_fits", "metadata_of"]

EXIF_PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>\s*))([1-8])""")

# Tags of a TIFF that describe how its pixels are stored. They do not apply to the decoded picture,
# or are kept as ICC profile and XMP.
_TIFF_LAYOUT = frozenset(
    {*range(254, 260), *range(262, 267), 273, 274, *range(277, 282), 284, *range(290, 294), 297}
    | {301, *range(317, 327), 330, *range(332, 335), 336, *range(338, 348), *range(512, 522)}
    | {529, 530, 531, 532, 700, 34675}
)
_PHOTOSHOP = frozenset({34377, 37724})
_DIRECTORIES = frozenset({34665, 34853})  # EXIF and GPS: tags that hold further tags


@dataclass(frozen=True)
class Metadata:
    """Metadata with orientation 1.

    Attributes:
        icc: ICC profile.
        exif: EXIF without its prefix.
        xmp: XMP packet.
        orientation: The original orientation, 1..8.
        warnings: What was dropped, one sentence each.
    """

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    orientation: int
    warnings: tuple[str, ...] = ()


def metadata_of(image: Image.Image, given: Mapping[str, object]) -> Metadata:
    """Return the metadata of a loaded image; the caller applies the orientation to the pixels.

    Args:
        image: The image.
        given: "icc_profile", "exif" or "xmp" to use in place of the image's.
    """
    warnings: list[str] = []
    info: dict[Any, object] = dict(image.info)
    info.update(given)
    exif = _exif_bytes(given["exif"]) if "exif" in given else _exif_of(image, warnings)
    xmp = _bytes(info.get("xmp") or ("xmp" not in given and info.get("XML:com.adobe.xmp")))
    orientation, exif = _upright_exif(exif)
    found = _XMP_ORIENTATION.search(xmp)
    orientation = orientation or (int(found[2]) if found else 1)
    xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    icc = _bytes(info.get("icc_profile"))
    return Metadata(icc or None, exif or None, xmp or None, orientation, tuple(warnings))


def icc_fits(icc: bytes, grey: bool) -> bool:
    """Whether an ICC profile applies to grey or RGB samples.

    RGB profiles apply to grey pictures too, whose three channels are equal.
    """
    if len(icc) < 128 or icc[36:40] != b"acsp":
        return False
    return icc[16:20] == b"RGB " or (grey and icc[16:20] == b"GRAY")


def _bytes(value: object) -> bytes:
    """Convert a value of `info`, which may have any type, to bytes."""
    if isinstance(value, str):
        return value.encode("utf-8")
    return bytes(value) if isinstance(value, (bytes, bytearray)) else b""


def _exif_bytes(exif: object) -> bytes:
    exif = exif.tobytes() if isinstance(exif, Image.Exif) else exif
    return _bytes(exif).removeprefix(EXIF_PREFIX)


def _exif_of(image: Image.Image, warnings: list[str]) -> bytes:
    exif = _exif_bytes(image.info.get("exif"))
    if not exif and "Raw profile type exif" in image.info:  # as ImageMagick writes it to PNG
        lines = str(image.info["Raw profile type exif"]).split("\n")
        try:
            exif = _exif_bytes(bytes.fromhex("".join(lines[3:])))
        except ValueError:
            warnings.append("its EXIF data is broken and was dropped")
    if not exif and isinstance(image, TiffImagePlugin.TiffImageFile):
        exif = _exif_bytes(_exif_of_tiff(image, warnings))
    return exif


def _exif_of_tiff(image: TiffImagePlugin.TiffImageFile, warnings: list[str]) -> bytes:
    tags = image.getexif()
    if _PHOTOSHOP & set(tags):
        warnings.append("the Photoshop data inside the TIFF was dropped")
    kept = Image.Exif()
    for tag in set(tags) - _TIFF_LAYOUT - _PHOTOSHOP:
        kept[tag] = dict(tags.get_ifd(tag)) if tag in _DIRECTORIES else tags[tag]
    try:
        return kept.tobytes() if len(kept) else b""
    except Exception as error:  # tags can have any content
        warnings.append(f"its TIFF tags could not be carried and were dropped ({error})")
        return b""


def _upright_exif(exif: bytes) -> tuple[int, bytes]:
    """Return the orientation in EXIF, 0 if there is none, and EXIF with orientation 1."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 0, exif
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, _ = struct.unpack_from(order + "HHI", exif, entry)
            form = {3: "H", 4: "I"}.get(kind)
            if tag == _ORIENTATION and form:
                (value,) = struct.unpack_from(order + form, exif, entry + 8)
                patched = bytearray(exif)
                struct.pack_into(order + form, patched, entry + 8, 1)
                return (value if 1 <= value <= 8 else 0), bytes(patched)
    except struct.error:  # broken EXIF is kept; its orientation is ignored
        pass
    return 0, exif
