"""From decoded images of all modes to pictures, and from pictures to images.

Pixels are copied once, in strips, to their final position and orientation, to limit memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from PIL import Image

from quantal.arguments import typed
from quantal.errors import MediaError, OutOfMemoryError, QuantalError
from quantal.limits import check_size
from quantal.media._decoded import Decoded
from quantal.media._exif import EXIF_PREFIX
from quantal.media._metadata import icc_fits, metadata_of
from quantal.media._picture import Bytes, Picture
from quantal.media._samples import reduce_samples

__all__ = ["from_decoded", "pillow_errors", "to_image"]

_STRIP_PIXELS = 1 << 20
_GREY = frozenset({"1", "L", "LA", "La"})
_DEEP = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_FOREIGN = {"CMYK": "CMYK", "YCbCr": "YCbCr", "LAB": "L*a*b*", "HSV": "HSV"}


@contextmanager
def pillow_errors(what: str) -> Iterator[None]:
    """Convert all exceptions of Pillow's decoders to MediaError.

    They raise various exceptions for broken files.
    """
    try:
        yield
    except QuantalError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{what} needs more memory than there is; resize it first", code="memory"
        ) from error
    except Image.DecompressionBombError as error:
        raise MediaError(
            f"{what} is too large for Pillow: {error} Raise PIL.Image.MAX_IMAGE_PIXELS if you "
            "trust it"
        ) from error
    except Exception as error:
        raise MediaError(
            f"{what} is cut, broken or beyond what its decoder takes: {error}"
        ) from error


def from_decoded(
    decoded: Decoded, given: Mapping[str, object], what: str = "the picture"
) -> Picture:
    """Convert a decoded file to a picture.

    Args:
        decoded: The image and what lies beside it.
        given: "icc_profile", "exif" and "xmp" to use in place of those of the file; empty or None
            drops them.
        what: The picture's name, for errors.
    """
    image = decoded.image
    check_size(*image.size)
    with pillow_errors(what):
        warnings = list(decoded.warnings)
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            warnings.append(f"only frame {image.tell() + 1} of {frames} was taken")
        bits = _sample_bits(image)  # known only until the image is loaded
        image.load()
        alpha = decoded.alpha
        grey = image.mode in _GREY or image.mode in _DEEP
        meta = metadata_of(decoded.beside, image.size, given, grey)
        warnings += meta.warnings
        bits = max(bits, decoded.beside.bits)
        if image.mode in _DEEP:
            colour, opacity = _reduce(image, bits, warnings)
            alpha = opacity if alpha is None else alpha
            image = Image.fromarray(colour)
        elif bits > 8:
            warnings.append(f"{bits}-bit samples were reduced to 8 bits")
            if isinstance(image.info.get("transparency"), tuple):  # Pillow finds no pixel of it
                warnings.append("its transparent colour of 16 bits was lost")
        foreign = _FOREIGN.get(image.mode)
        pixels, alpha = _arrays(image, grey, alpha, meta.orientation)

    icc = meta.icc
    if icc and not icc_fits(icc, grey):
        icc = None
        warnings.append(
            f"{foreign} was converted to RGB; its ICC profile no longer applies and was dropped"
            if foreign
            else "its ICC profile is broken or not one for its colours and was dropped"
        )
    elif foreign:
        warnings.append(f"{foreign} was converted to RGB")
    return Picture(pixels, alpha, grey, icc, meta.exif, meta.xmp, tuple(dict.fromkeys(warnings)))


def to_image(picture: Picture) -> Image.Image:
    """Convert a picture to an image of mode L, LA, RGB or RGBA, with metadata in its `info`."""
    typed("picture", picture, Picture)
    samples = picture.pixels[:, :, 0] if picture.grey else picture.pixels
    image = Image.fromarray(np.ascontiguousarray(samples))
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = EXIF_PREFIX + picture.exif
    if picture.xmp:
        image.info["xmp"] = picture.xmp
    return image


def _arrays(
    image: Image.Image, grey: bool, alpha: Bytes | None, orientation: int
) -> tuple[Bytes, Bytes | None]:
    """Return upright RGB [H, W, 3] and alpha [H, W] of an image with 8 bits per sample."""
    width, height = image.size
    shape = (width, height) if orientation >= 5 else (height, width)
    has_alpha = image.has_transparency_data
    mode = ("L" if grey else "RGB") + ("A" if has_alpha else "")
    pixels = np.empty((*shape, 3), np.uint8)
    opacity = np.empty(shape, np.uint8) if has_alpha or alpha is not None else None
    # Views of the upright arrays in the orientation of the stored image.
    stored = _stored(pixels, orientation)
    stored_opacity = None if opacity is None else _stored(opacity, orientation)
    if stored_opacity is not None and alpha is not None:
        stored_opacity[...] = alpha
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = image.crop((0, top, width, bottom))
        # Pillow can't convert these modes in one step.
        strip = strip.convert("LA") if strip.mode == "La" else strip
        strip = strip.convert("RGBA") if strip.mode in ("RGBa", "PA") else strip
        samples = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        samples = samples.reshape(bottom - top, width, len(mode))
        stored[top:bottom] = samples[:, :, : len(mode) - has_alpha]
        if has_alpha and stored_opacity is not None:
            stored_opacity[top:bottom] = samples[:, :, -1]
    return pixels, opacity


def _stored(upright: Bytes, orientation: int) -> Bytes:
    """Return a view of an upright array in the orientation of the stored image, EXIF 1..8."""
    if orientation == 2:
        return upright[:, ::-1]
    if orientation == 3:
        return upright[::-1, ::-1]
    if orientation == 4:
        return upright[::-1]
    if orientation == 5:
        return upright.swapaxes(0, 1)
    if orientation == 6:
        return upright.swapaxes(0, 1)[::-1]
    if orientation == 7:
        return upright[::-1, ::-1].swapaxes(0, 1)
    if orientation == 8:
        return upright.swapaxes(0, 1)[:, ::-1]
    return upright


def _sample_bits(image: Image.Image) -> int:
    """Return the bits per sample of an image's file, before it is loaded; 8 if unknown."""
    tiles = getattr(image, "tile", None)
    if not tiles or getattr(image, "format", None) not in ("PNG", "TIFF"):
        return 8
    args = tiles[0][3]
    raw_mode = args if isinstance(args, str) else args[0] if args else ""
    found = re.search(r";(\d+)", str(raw_mode))
    return max(8, int(found[1])) if found else 8


def _reduce(image: Image.Image, bits: int, warnings: list[str]) -> tuple[Bytes, Bytes | None]:
    """Reduce an image of mode I, F or I;16 to 8 bits: grey [H, W] and alpha [H, W] or None."""
    samples = np.asarray(image)
    key = image.info.get("transparency")
    alpha = np.where(samples == key, 0, 255).astype(np.uint8) if isinstance(key, int) else None
    if image.mode.startswith("I;16"):
        samples = samples.astype(np.uint16, copy=False)
        return reduce_samples(samples, bits if 8 < bits < 16 else 16, warnings), alpha
    if image.mode == "I" and bits == 16:  # as older versions of Pillow open a PNG
        return reduce_samples(samples.astype(np.uint16), 16, warnings), alpha
    return reduce_samples(samples, 32, warnings), alpha
