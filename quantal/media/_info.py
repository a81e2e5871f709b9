"""What Pillow knows about an image: its `info`, of which everything is carried or named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from quantal.media._beside import Beside, Density
from quantal.media._colour import SRGB_PRIMARIES, Colour, from_code_points
from quantal.media._exif import EXIF_PREFIX
from quantal.media._survey.jpeg import survey_segments
from quantal.media._survey.photoshop import survey_resources
from quantal.media._survey.png import PROPERTIES
from quantal.media._survey.tiff import exif_of_tags, survey_tags

__all__ = ["as_bytes", "exif_bytes", "info_of"]

#: Entries of Pillow's `info` that are carried, describe the pixels or belong to other frames.
_INFO = frozenset(
    {"icc_profile", "exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif", "dpi", "gamma"}
    | {"chromaticity", "srgb", "transparency", "comment", "photoshop", "resolution", "aspect"}
    | {"jfif", "jfif_version", "jfif_unit", "jfif_density", "adobe", "adobe_transform", "mp"}
    | {"mpoffset", "progressive", "progression", "compression", "interlace", "version"}
    | {"background", "duration", "loop", "timestamp", "extension", "blend", "disposal", "bbox"}
    | {"default_image", "encoding", "codec", "quality", "mode", "primary", "bit_depth", "chroma"}
    | {"nclx_profile", "original_orientation"}
)
#: Those that Pillow sets to a string itself; others that are strings come from texts of PNG.
_TEXTS_OF_PILLOW = frozenset(
    {"comment", "compression", "xmp", "XML:com.adobe.xmp", "Raw profile type exif", "exif"}
    | {"icc_profile", "codec"}
)


def info_of(image: Image.Image) -> Beside:
    """List what Pillow knows about an image, whose file may be gone."""
    info = image.info
    beside = Beside(
        icc=as_bytes(info.get("icc_profile")),
        xmp=as_bytes(info.get("xmp") or info.get("XML:com.adobe.xmp")),
        companions_lost=True,  # no image in memory holds them
    )
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        segments = survey_segments(getattr(image, "applist", ()), info)
        beside.properties, beside.dropped = segments.properties, segments.dropped
        beside.density = segments.density
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        survey_tags(image.tag_v2, beside)
    for name, *_ in getattr(image, "private_chunks", ()):  # of PNG
        beside.drop(f"the chunk {name.decode('latin-1')}")
    beside.exif = _exif_of(image, beside)
    beside.density = _density(image) or beside.density
    beside.colour = _colour(info) or beside.colour
    photoshop = info.get("photoshop")
    if isinstance(photoshop, dict):
        _photoshop(photoshop, beside)
    comment = info.get("comment")
    if isinstance(comment, (bytes, str)) and comment:
        text = comment if isinstance(comment, str) else comment.decode("utf-8", "replace")
        beside.properties.append(("exif:UserComment", text))
    _survey_texts(info, beside)
    return beside


def _density(image: Image.Image) -> Density | None:
    aspect, dpi = image.info.get("aspect"), image.info.get("dpi")
    if isinstance(dpi, tuple) and len(dpi) == 2 and not _is_of_exif(image):
        x, y = map(_number, dpi[::-1] if _is_turned(image) else dpi)
        return Density(x, y)
    if isinstance(aspect, tuple) and len(aspect) == 2:
        return Density(_number(aspect[0]), _number(aspect[1]), inch=False)
    return None


def _colour(info: Mapping[Any, Any]) -> Colour | None:
    nclx = info.get("nclx_profile")  # of pillow-heif
    if isinstance(nclx, dict):
        points = (nclx.get("color_primaries", 2), nclx.get("transfer_characteristics", 2))
        return from_code_points(*map(int, points))
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    known = isinstance(gamma, (int, float)) or isinstance(chromaticity, tuple)
    if "srgb" in info or not known:
        return None
    exponent = 1 / gamma if isinstance(gamma, (int, float)) and gamma > 0 else 2.2
    primaries = SRGB_PRIMARIES
    if isinstance(chromaticity, tuple) and len(chromaticity) == 8:
        primaries = (*chromaticity[2:], *chromaticity[:2])
    return Colour(primaries, float(exponent))


def _survey_texts(info: Mapping[Any, Any], beside: Beside) -> None:
    """List the texts of a PNG, and what is neither a text nor carried otherwise."""
    for key, value in info.items():
        text_of_png = isinstance(value, str) and key not in _TEXTS_OF_PILLOW
        if not value or (key in _INFO and not text_of_png):
            continue
        if key in PROPERTIES and isinstance(value, str):
            beside.properties.append((PROPERTIES[key], value))
        elif isinstance(key, str) and isinstance(value, str):
            beside.texts.append((key, value))
        else:
            beside.drop(f"info {key!r:.40}")


def _photoshop(resources: Mapping[Any, Any], beside: Beside) -> None:
    """List image resources as Pillow keeps them; it parses that of the density."""
    raw = b""
    for kind, content in resources.items():
        if isinstance(kind, int) and isinstance(content, bytes):
            size = len(content).to_bytes(4, "big")
            raw += b"8BIM" + kind.to_bytes(2, "big") + bytes(2) + size
            raw += content + bytes(len(content) % 2)
    survey_resources(raw, beside)


def _is_of_exif(image: Image.Image) -> bool:
    """Whether the density in `info` is what Pillow makes of EXIF, where y is always x."""
    is_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
    return is_jpeg and "exif" in image.info and image.info.get("jfif_unit") not in (1, 2)


def _is_turned(image: Image.Image) -> bool:
    """Whether Pillow exchanged the axes of a TIFF; it then forgets its orientation."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    stored = (image.tag_v2.get(256), image.tag_v2.get(257))
    return image.size == stored[::-1] != stored


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0


def as_bytes(value: object) -> bytes:
    """Convert a value of `info`, which may have any type, to bytes."""
    if isinstance(value, str):
        return value.encode("utf-8")
    return bytes(value) if isinstance(value, (bytes, bytearray)) else b""


def exif_bytes(exif: object) -> bytes:
    exif = exif.tobytes() if isinstance(exif, Image.Exif) else exif
    return as_bytes(exif).removeprefix(EXIF_PREFIX)


def _exif_of(image: Image.Image, beside: Beside) -> bytes:
    exif = exif_bytes(image.info.get("exif"))
    if not exif and "Raw profile type exif" in image.info:  # as ImageMagick writes it to PNG
        lines = str(image.info["Raw profile type exif"]).split("\n")
        try:
            exif = exif_bytes(bytes.fromhex("".join(lines[3:])))
        except ValueError:
            beside.drop("its EXIF, which is broken")
    if not exif and isinstance(image, TiffImagePlugin.TiffImageFile):
        return exif_of_tags(image.getexif(), _is_turned(image), beside)
    return exif
