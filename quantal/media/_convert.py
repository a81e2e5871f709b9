"""From decoded images of all modes to pictures, and from pictures to images.

Pixels are copied once, in strips, to their final position and orientation, to limit memory.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from PIL import Image

from quantal.arguments import typed
from quantal.errors import MediaError, OutOfMemoryError, QuantalError, QuantalWarning
from quantal.limits import check_size
from quantal.media._arrays import reduced
from quantal.media._decoded import PREMULTIPLIED, Decoded
from quantal.media._exif import EXIF_PREFIX
from quantal.media._metadata import icc_fits, metadata_of
from quantal.media._orientation import stored_view, upright
from quantal.media._picture import Bytes, Picture
from quantal.media._samples import deep_samples, reduce_samples, with_opacity

__all__ = ["eight_bit_image", "from_decoded", "pillow_errors", "to_image"]

_STRIP_PIXELS = 1 << 20
_GREY = frozenset({"1", "L", "LA", "La"})
_PREMULTIPLIED = frozenset({"La", "RGBa"})
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
    check_size(*decoded.size)
    with pillow_errors(what):
        frames = getattr(decoded.image, "n_frames", 1)
        if frames > 1:
            decoded.warnings.append(f"only frame {decoded.image.tell() + 1} of {frames} was taken")
        if decoded.deep is None:
            _load(decoded)
        image, deep = decoded.image, decoded.deep
        grey = image.mode in _GREY if deep is None else deep.shape[2] < 3
        meta = metadata_of(decoded.beside, decoded.size, given, grey)
        decoded.warnings += meta.warnings
        foreign = _FOREIGN.get(image.mode) if deep is None else None
        if deep is None:
            pixels, alpha = _arrays(image, grey, decoded.alpha, meta.orientation)
        else:
            deep = upright(deep, meta.orientation)
            pixels, alpha = reduced(deep, decoded.depth)

    icc, notes, altered = meta.icc, decoded.warnings, decoded.altered
    conversion = f"{foreign} was converted to RGB"
    if foreign:
        altered.append(conversion)
    if icc and not icc_fits(icc, grey):
        icc = None
        notes.append(
            f"{conversion}; its ICC profile no longer applies and was dropped"
            if foreign
            else "its ICC profile is broken or not one for its colours and was dropped"
        )
    elif foreign:
        notes.append(conversion)
    return Picture(
        pixels=pixels,
        alpha=alpha,
        grey=grey,
        icc=icc,
        exif=meta.exif,
        xmp=meta.xmp,
        warnings=tuple(dict.fromkeys(notes)),
        deep=deep,
        depth=decoded.depth,
        altered=tuple(dict.fromkeys(altered)),
    )


def to_image(picture: Picture) -> Image.Image:
    """Convert a picture to an image of Pillow, with metadata in its `info`.

    Returns:
        An image of mode L, LA, RGB or RGBA. Of a grey picture with `deep` it is I;16, whose samples
        are those of `deep`; other modes of Pillow have 8 bits, of which a QuantalWarning tells.
    """
    typed("picture", picture, Picture)
    if picture.deep is None:
        return eight_bit_image(picture)
    if picture.deep.shape[2] == 1:
        return _with_metadata(Image.fromarray(picture.deep[:, :, 0]), picture)
    warnings.warn(
        f"Pillow has no mode for {picture.depth}-bit samples that are not grey, or have alpha; "
        "the image has 8 bits per sample",
        QuantalWarning,
        stacklevel=2,
    )
    return eight_bit_image(picture)


def eight_bit_image(picture: Picture) -> Image.Image:
    """Return the `pixels` and `alpha` of a picture as an image, with metadata in its `info`."""
    samples = picture.pixels[:, :, 0] if picture.grey else picture.pixels
    image = Image.fromarray(np.ascontiguousarray(samples))
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    return _with_metadata(image, picture)


def _with_metadata(image: Image.Image, picture: Picture) -> Image.Image:
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
    stored = stored_view(pixels, orientation)
    stored_opacity = None if opacity is None else stored_view(opacity, orientation)
    if stored_opacity is not None and alpha is not None:
        stored_opacity[...] = alpha
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        # Pillow before 13 checks its global limit of pixels in a crop of all, too.
        whole = bottom - top == height
        strip = image.copy() if whole else image.crop((0, top, width, bottom))
        # Pillow can't convert these modes in one step.
        strip = strip.convert("LA") if strip.mode == "La" else strip
        strip = strip.convert("RGBA") if strip.mode in ("RGBa", "PA") else strip
        samples = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        samples = samples.reshape(bottom - top, width, len(mode))
        stored[top:bottom] = samples[:, :, : len(mode) - has_alpha]
        if has_alpha and stored_opacity is not None:
            stored_opacity[top:bottom] = samples[:, :, -1]
    return pixels, opacity


def _sample_bits(image: Image.Image) -> int:
    """Return the bits per sample of an image's file, before it is loaded; 8 if unknown."""
    tiles = getattr(image, "tile", None)
    if not tiles or getattr(image, "format", None) not in ("PNG", "TIFF"):
        return 8
    args = tiles[0][3]
    raw_mode = args if isinstance(args, str) else args[0] if args else ""
    found = re.search(r";(\d+)", str(raw_mode))
    return max(8, int(found[1])) if found else 8


def _load(decoded: Decoded) -> None:
    """Load an image, and take its samples to `deep` where 9 to 16 bits hold them."""
    image = decoded.image
    bits = _sample_bits(image)  # known only until the image is loaded
    image.load()
    bits = max(bits, decoded.beside.bits)
    if image.mode in _DEEP:
        _take_samples(decoded, bits)
    elif bits > 8:
        decoded.alter(f"{bits}-bit samples were reduced to 8 bits")
        if isinstance(image.info.get("transparency"), tuple):  # Pillow finds no pixel of it
            decoded.alter("its transparent colour of 16 bits was lost")
    elif image.mode in _PREMULTIPLIED:
        decoded.altered.append(PREMULTIPLIED)


def _take_samples(decoded: Decoded, bits: int) -> None:
    """Take the samples of an image of mode I, F or I;16, whose file has so many bits."""
    image = decoded.image
    samples = np.asarray(image)
    if image.mode.startswith("I;16"):
        samples, bits = samples.astype(np.uint16, copy=False), bits if 8 < bits < 16 else 16
    elif image.mode == "I" and bits == 16:  # as older versions of Pillow open a PNG
        samples = samples.astype(np.uint16)
    else:
        bits = 32
    key = image.info.get("transparency")
    clear = samples == key if isinstance(key, int) else None
    found = deep_samples(samples, bits)
    if found is None:
        changes: list[str] = []
        decoded.image = Image.fromarray(reduce_samples(samples, bits, changes))
        decoded.alter(*changes)
        if clear is not None and decoded.alpha is None:
            decoded.alpha = np.where(clear, 0, 255).astype(np.uint8)
    else:
        deep, decoded.depth = found
        decoded.deep = with_opacity(deep, clear, decoded.depth)
