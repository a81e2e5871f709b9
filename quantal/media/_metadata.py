"""Metadata of pictures: ICC profile, EXIF and XMP with all that is carried inside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from quantal.media._beside import Beside, Density
from quantal.media._colour import Colour, profile
from quantal.media._exif import density_of, upright, with_density
from quantal.media._info import as_bytes, exif_bytes
from quantal.media._xmp import in_utf_8, with_texts, without_companions

__all__ = ["Metadata", "icc_fits", "metadata_of"]

_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>\s*))([1-8])""")
_XMP_SIZES = {
    0: re.compile(rb"""((?:tiff:ImageWidth|exif:PixelXDimension)(?:\s*=\s*["']|>\s*))\d+"""),
    1: re.compile(rb"""((?:tiff:ImageLength|exif:PixelYDimension)(?:\s*=\s*["']|>\s*))\d+"""),
}


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


def metadata_of(
    beside: Beside, stored: tuple[int, int], given: Mapping[str, object], grey: bool
) -> Metadata:
    """Return the metadata of a picture; the caller applies the orientation to the pixels.

    Args:
        beside: What the file holds.
        stored: Width and height of the stored pixels.
        given: "icc_profile", "exif" or "xmp" to use in place of the file's.
        grey: Whether the picture is grey.
    """
    warnings: list[str] = []
    exif = exif_bytes(given["exif"]) if "exif" in given else beside.exif or b""
    xmp = in_utf_8(as_bytes(given["xmp"]) if "xmp" in given else beside.xmp or b"")
    icc = beside.icc
    orientation, exif = upright(exif, {False: stored, True: stored[::-1]})
    found = _XMP_ORIENTATION.search(xmp)
    orientation = orientation or (int(found[2]) if found else 1)
    if orientation > 1:
        for axis, pattern in _XMP_SIZES.items():
            side = stored[axis if orientation < 5 else 1 - axis]
            xmp = pattern.sub(rb"\g<1>" + str(side).encode(), xmp)
    xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    if beside.companions_lost:
        xmp = without_companions(xmp)
    if "exif" not in given:
        exif = _dense(exif, beside.density, orientation, warnings)
    if "xmp" not in given:
        xmp = _described(xmp, beside, warnings)
    if "icc_profile" in given:
        icc = as_bytes(given["icc_profile"])
    elif beside.colour is not None and (beside.overrides_icc or not icc):
        icc = _stated(beside.colour, grey, warnings)
    warnings += beside.warnings()
    return Metadata(icc or None, exif or None, xmp or None, orientation, tuple(warnings))


def icc_fits(icc: bytes, grey: bool) -> bool:
    """Whether an ICC profile applies to grey or RGB samples.

    RGB profiles apply to grey pictures too, whose three channels are equal.
    """
    if len(icc) < 128 or icc[36:40] != b"acsp":
        return False
    return icc[16:20] == b"RGB " or (grey and icc[16:20] == b"GRAY")


def _dense(exif: bytes, density: Density | None, orientation: int, warnings: list[str]) -> bytes:
    """Return EXIF that states the density of the file, unless it states one already."""
    if density is None or not density.says_something:
        return exif
    if orientation >= 5:
        density = Density(density.y, density.x, density.inch)
    known = density_of(exif) if exif else None
    if known is not None:
        if density.differs(known):
            warnings.append(
                f"its EXIF says {known.x:g}x{known.y:g} pixels per inch, the file "
                f"{density.x:g}x{density.y:g}, which was kept"
            )
        elif known.inch or not density.inch:
            return exif
    added = with_density(exif or None, density)
    if added is None:
        warnings.append(
            f"its density of {density.x:g}x{density.y:g} per inch was dropped: its EXIF is broken"
        )
    return exif if added is None else added


def _described(xmp: bytes, beside: Beside, warnings: list[str]) -> bytes:
    """Return XMP with the texts and properties of the file."""
    if not beside.properties and not beside.texts:
        return xmp
    added = with_texts(xmp or None, beside.properties, beside.texts)
    if added is None:
        names = [name for name, _ in (*beside.properties, *beside.texts)]
        warnings.append(
            f"its texts were dropped, for its XMP has no place for them: {', '.join(names)}"
        )
    return xmp if added is None else added


def _stated(colour: Colour, grey: bool, warnings: list[str]) -> bytes | None:
    """Return the ICC profile of a colour space; None for sRGB, which needs none."""
    if not colour.is_possible:
        warnings.append("its chromaticities and gamma are impossible and were dropped")
        return None
    if colour.is_bright:
        warnings.append(
            "its high dynamic range is kept by an ICC profile; viewers that don't know the "
            "profile's tag cicp show what is brighter than white as white"
        )
    return None if colour.is_srgb else profile(colour, grey)
