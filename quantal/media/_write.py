"""Encoding of pictures as PNG, JPEG and WebP files, in memory."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from typing import Any

from PIL import Image, PngImagePlugin

from quantal.arguments import choice, typed
from quantal.errors import OutputError, QuantalWarning
from quantal.media._convert import eight_bit_image
from quantal.media._deep_png import with_deep_samples
from quantal.media._exif import density_of
from quantal.media._metadata import icc_fits
from quantal.media._picture import Picture
from quantal.media._xmp import texts_of

__all__ = ["write"]

_JPEG_SEGMENT = 65533
_XMP_SEGMENT = _JPEG_SEGMENT - len(b"http://ns.adobe.com/xap/1.0/\0")
_PILLOW_NAMES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}


def write(picture: Picture, format: str) -> bytes:
    """Encode a picture as a file.

    What the format can't hold is dropped with a QuantalWarning. A picture with `deep` becomes a PNG
    of 16 bits per sample, or a JPEG or WebP file of its `pixels`. Where it has fewer bits than 16,
    those of a sample are repeated, and the chunk sBIT says how many there are.

    Args:
        picture: The picture.
        format: "png", "jpg" (quality 95, no chroma subsampling) or "webp" (lossless).

    Returns:
        The bytes of the file.

    Raises:
        ArgumentError: The format is unknown.
        OutputError: The picture is too large for the format.
    """
    format = choice("format", format, _PILLOW_NAMES)
    typed("picture", picture, Picture)
    if picture.reduction and format != "png":
        _warn(f"{format} has 8 bits per sample; {picture.reduction}")
    image, icc = _in_space_of_profile(eight_bit_image(picture), picture, format)
    options: dict[str, Any] = {key: image.info[key] for key in ("exif", "xmp") if key in image.info}
    if icc:
        options["icc_profile"] = icc
    density = density_of(picture.exif or b"")
    if density is not None and density.inch and density.says_something:
        options["dpi"] = density.x, density.y
    if format == "png":
        options["pnginfo"] = _png_texts(options.pop("xmp", None))
    elif format == "jpg":
        image = _on_white(image)
        _drop_what_no_segment_holds(options)
        options |= {"quality": 95, "subsampling": "4:4:4"}
    else:
        # exact: keep colours of fully transparent pixels.
        options |= {"lossless": True, "exact": True}
    deep = picture.deep if format == "png" else None
    if deep is not None:
        if image.mode.startswith("RGB") and picture.grey:
            deep = deep[:, :, [0, 0, 0, 1][: len(image.mode)]]
        image = Image.new(image.mode, (1, 1))  # its place is taken by the samples
    file = io.BytesIO()
    try:
        image.save(file, _PILLOW_NAMES[format], **options)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"a picture of {picture.width}x{picture.height} pixels can't be written as {format}: "
            f"{error}; choose png"
        ) from error
    data = file.getvalue()
    return data if deep is None else with_deep_samples(data, deep, picture.depth)


def _in_space_of_profile(
    image: Image.Image, picture: Picture, format: str
) -> tuple[Image.Image, bytes | None]:
    """Return an image and an ICC profile that agree on grey or RGB, as readers demand.

    A grey picture with an RGB profile is written as RGB. WebP has no grey.
    """
    icc = picture.icc
    if icc is None:
        return image, None
    if not icc_fits(icc, picture.grey):
        _warn("the ICC profile is broken or not one for these colours and was dropped")
        return image, None
    if format == "webp" and icc[16:20] == b"GRAY":
        _warn("webp has no grey samples, to which the ICC profile applies; it was dropped")
        return image, None
    if picture.grey and icc[16:20] == b"RGB ":
        info, image = image.info, image.convert("RGBA" if image.mode == "LA" else "RGB")
        image.info.update(info)
    return image, icc


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    _warn("jpg has no transparency; the picture was laid on white")
    mode = image.mode.removesuffix("A")
    white = Image.new(mode, image.size, "white")
    white.paste(image.convert(mode), mask=image.getchannel("A"))
    return white


def _drop_what_no_segment_holds(options: dict[str, Any]) -> None:
    for key, limit in (("exif", _JPEG_SEGMENT), ("xmp", _XMP_SEGMENT)):
        if len(options.get(key, b"")) > limit:
            _warn(f"jpg holds {limit} bytes of {key.upper()}, not {len(options.pop(key))}: dropped")


def _png_texts(xmp: bytes | None) -> PngImagePlugin.PngInfo:
    """Return chunks with XMP, and with the texts in it that have keywords of PNG."""
    texts = PngImagePlugin.PngInfo()
    if xmp:
        for keyword, text in texts_of(xmp):
            with suppress(ValueError, UnicodeError):  # a keyword that PNG does not allow
                texts.add_itxt(keyword.encode("latin-1"), text)
        try:
            texts.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8"))
        except UnicodeDecodeError:
            _warn("png holds XMP in UTF-8 only; this one is in another encoding and was dropped")
    return texts


def _warn(message: str) -> None:
    warnings.warn(message, QuantalWarning, stacklevel=4)
