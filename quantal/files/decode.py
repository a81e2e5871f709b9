"""Pictures and latents out of .qtl files, and checking them."""

from __future__ import annotations

import numpy as np

from quantal import container, media
from quantal.codecs.contract import Codec, Concealing, Latents, Pixels, Progressive
from quantal.codecs.registry import codec_class
from quantal.errors import ArgumentError, CorruptError, QuantalError, TruncatedError
from quantal.files.matching import codec_for, coded_part, needs_own_weights
from quantal.planes import bands

__all__ = ["decode_picture", "draw", "read_latents", "verify"]

_CUT = "the file was cut: what is shown could not be checked, and metadata may be lost"
_CUT_BEHIND = "the file was cut: metadata may be lost"
#: Rows that are worked on at a time, in pixels, to need little memory.
_STRIP_PIXELS = 1 << 20


def _without_colour(pixels: Pixels) -> Pixels:
    """RGB to its luma (ITU-R BT.601) in every channel."""
    grey = np.empty_like(pixels)
    height, width = pixels.shape[:2]
    for rows in bands(height, width, _STRIP_PIXELS):
        red, green, blue = (pixels[rows, :, c].astype(np.uint32) for c in range(3))
        luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
        grey[rows] = luma[..., None]
    return grey


def draw(latents: Latents, grey: bool, codec: Codec) -> Pixels:
    """Draw a picture, uint8 [H, W, 3]; grey: without colour."""
    pixels = codec.synthesise(latents)
    return _without_colour(pixels) if grey else pixels


def decode_picture(
    data: bytes,
    device: str = "auto",
    codec: Codec | None = None,
    max_parts: int | None = None,
    conceal: bool = False,
) -> media.Picture:
    """Draw the picture in a .qtl file.

    Args:
        data: the bytes of the file.
        device: where networks run; see quantal.load.
        codec: by which; default: the one that the file names.
        max_parts: draw it from so many parts of its stream alone, which may be all that a cut file
            has.
        conceal: draw a damaged file too, and make up what is lost of it.

    Raises:
        BitstreamError, ModelError: Before any pixel is drawn.
        ArgumentError: If the codec can't do what is asked for.
    """
    if conceal and max_parts is not None:
        raise ArgumentError("a picture is drawn from its first parts or concealed, not both")
    file = _opened(data, conceal, max_parts is not None)
    codec = codec_for(file, device, codec)
    warnings = [*codec.warnings, *_left_out(file)]
    # First of all, because only a size that the coded picture fills justifies any memory.
    if conceal and "image" in file.damaged:
        if not isinstance(codec, Concealing):
            raise ArgumentError(
                f"what a file of codec {codec.name!r} lost can't be concealed",
                code="no-concealment",
            )
        concealed = codec.read_damaged(*coded_part(file))
        latents = concealed.latents
        warnings.append(concealed.warning)
    elif max_parts is None:
        latents = codec.read(*coded_part(file))
    else:
        if not isinstance(codec, Progressive):
            raise ArgumentError(
                f"streams of codec {codec.name!r} have no parts to draw from", code="no-parts"
            )
        payload, width, height, rate = coded_part(file)
        latents = codec.read_prefix(payload, file.missing, width, height, rate, max_parts)
    alpha = file.part("alpha")
    plane = (
        None if alpha is None else media.decode_alpha(alpha, file.header.width, file.header.height)
    )
    return media.Picture(
        pixels=draw(latents, file.header.grey, codec),
        alpha=plane,
        grey=file.header.grey,
        icc=file.part("icc"),
        exif=file.part("exif"),
        xmp=file.part("xmp"),
        warnings=(*warnings, _CUT_BEHIND if conceal else _CUT) if file.cut else tuple(warnings),
    )


def _opened(data: bytes, conceal: bool, prefix: bool) -> container.File:
    """A file to be drawn; prefix: its first parts will do. Says what can be done about damage."""
    try:
        return container.read(data, cut=conceal or prefix, damaged=conceal)
    except (CorruptError, TruncatedError) as error:
        if conceal or prefix or not _concealable(data):
            raise
        raise type(error)(f"{error}, or conceal what is lost", code="conceal") from error


def _concealable(data: bytes) -> bool:
    """Whether what a damaged file lost can be concealed."""
    try:
        file = container.read(data, cut=True, damaged=True)
        kind = codec_class(file.header.codec)
        return issubclass(kind, Concealing) and kind.can_conceal(coded_part(file)[0])
    except QuantalError:
        return False


def _left_out(file: container.File) -> list[str]:
    """A warning of parts that came damaged, other than the picture itself."""
    lost = ", ".join(name for name in file.damaged if name != "image")
    return [f"damaged and left out: {lost}"] if lost else []


def read_latents(data: bytes, device: str = "auto", codec: Codec | None = None) -> Latents:
    """Return the compressed latents in a .qtl file; no synthesis is run."""
    file = container.read(data)
    return codec_for(file, device, codec).read(*coded_part(file))


def verify(data: bytes | container.File, codec: Codec | None = None) -> str | None:
    """Check structure, checksums and that every symbol parses; draws nothing.

    Args:
        data: the bytes of a file, or the file as container.read() gave it, which has checked
            structure and checksums.
        codec: by which to parse; default: the one that the file names.

    Returns:
        What kept the symbols from being parsed, if they need weights that only the user has.

    Raises:
        BitstreamError: If the file is bad.
        ModelError: If its codec isn't here.
    """
    file = data if isinstance(data, container.File) else container.read(data)
    if codec is None:
        needed = needs_own_weights(file)
        if needed is not None:
            return needed
    codec_for(file, "cpu", codec).parse(*coded_part(file))
    alpha = file.part("alpha")
    if alpha is not None:
        media.decode_alpha(alpha, file.header.width, file.header.height)
    return None
