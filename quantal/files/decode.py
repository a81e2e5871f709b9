"""Pictures and latents from .qtl files, and checks of files."""

from __future__ import annotations

import dataclasses

import numpy as np

from quantal import container, media
from quantal.arguments import flag, whole
from quantal.codecs.contract import Codec, Concealing, Exact, Latents, Pixels, Progressive
from quantal.codecs.registry import codec_class
from quantal.errors import ArgumentError, CorruptError, QuantalError, TruncatedError
from quantal.files.matching import codec_for, coded_part, describe_work, needs_own_weights
from quantal.memory import memory_errors
from quantal.planes import bands

__all__ = ["decode_picture", "draw", "read_latents", "verify"]

_CUT = "the file was cut: what is shown could not be checked, and metadata may be lost"
_CUT_BEHIND = "the file was cut: metadata may be lost"
#: Pixels of the rows that are processed at a time, to save memory.
_STRIP_PIXELS = 1 << 20


def _without_colour(pixels: Pixels) -> Pixels:
    """Return RGB pixels with their luma (ITU-R BT.601) in every channel."""
    grey = np.empty_like(pixels)
    height, width = pixels.shape[:2]
    for rows in bands(height, width, _STRIP_PIXELS):
        red, green, blue = (pixels[rows, :, c].astype(np.uint32) for c in range(3))
        luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
        grey[rows] = luma[..., None]
    return grey


def draw(latents: Latents, grey: bool, codec: Codec) -> Pixels:
    """Draw a picture, uint8 [H, W, 3].

    Args:
        latents: of the picture.
        grey: whether to remove colour.
        codec: of the latents.
    """
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
        device: where networks run; see quantal.load().
        codec: default: the one that the file names.
        max_parts: draw from this many parts of the stream, for example all that a cut file has.
        conceal: draw a damaged file too, and make up what is lost.

    Raises:
        BitstreamError, ModelError: Before any pixel is drawn.
        ArgumentError: If the codec can't do what is asked for.
    """
    conceal = flag("conceal", conceal)
    max_parts = None if max_parts is None else whole("max_parts", max_parts, 1)
    if conceal and max_parts is not None:
        raise ArgumentError("a picture is drawn from its first parts or concealed, not both")
    file = _opened(data, conceal, max_parts is not None)
    codec = codec_for(file, device, codec)
    with memory_errors(f"drawing {describe_work(file.header.width, file.header.height)}"):
        return _draw_picture(file, codec, max_parts, conceal)


def _draw_picture(
    file: container.File, codec: Codec, max_parts: int | None, conceal: bool
) -> media.Picture:
    warnings = [*codec.warnings, *_left_out(file)]
    # First, because only a size that the coded picture fills justifies any memory.
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
    return dataclasses.replace(
        _drawn(latents, file, codec),
        icc=file.part("icc"),
        exif=file.part("exif"),
        xmp=file.part("xmp"),
        warnings=(*warnings, _CUT_BEHIND if conceal else _CUT) if file.cut else tuple(warnings),
    )


def _drawn(latents: Latents, file: container.File, codec: Codec) -> media.Picture:
    """Return the picture of latents, without metadata."""
    alpha = file.part("alpha")
    if isinstance(codec, Exact):
        if alpha is not None:
            raise CorruptError(
                f"the file has alpha apart, which codec {codec.name!r} never writes; it is damaged"
            )
        depth = codec.depth(latents)
        return media.from_array(codec.samples(latents), *([depth] if depth > 8 else []))
    plane = (
        None if alpha is None else media.decode_alpha(alpha, file.header.width, file.header.height)
    )
    return media.Picture(
        pixels=draw(latents, file.header.grey, codec), alpha=plane, grey=file.header.grey
    )


def _opened(data: bytes, conceal: bool, prefix: bool) -> container.File:
    """Open a file to be drawn; errors name what can be done about damage.

    Args:
        data: the bytes of the file.
        conceal: whether damage is accepted.
        prefix: whether its first bytes are enough.
    """
    try:
        return container.read(data, cut=conceal or prefix, damaged=conceal)
    except (CorruptError, TruncatedError) as error:
        if conceal or prefix or not _concealable(data):
            raise
        raise type(error)(f"{error}, or conceal what is lost", code="conceal") from error


def _concealable(data: bytes) -> bool:
    """Return whether the damage to a file can be concealed."""
    try:
        file = container.read(data, cut=True, damaged=True)
        kind = codec_class(file.header.codec)
        return issubclass(kind, Concealing) and kind.can_conceal(coded_part(file)[0])
    except QuantalError:
        return False


def _left_out(file: container.File) -> list[str]:
    """Return a warning that names damaged parts other than the picture itself."""
    lost = ", ".join(name for name in file.damaged if name != "image")
    return [f"damaged and left out: {lost}"] if lost else []


def read_latents(data: bytes, device: str = "auto", codec: Codec | None = None) -> Latents:
    """Return the latents in a .qtl file; no synthesis is run.

    Args:
        data: the bytes of the file.
        device: where networks run; see quantal.load().
        codec: default: the one that the file names.
    """
    file = container.read(data)
    codec = codec_for(file, device, codec)
    with memory_errors(f"reading {describe_work(file.header.width, file.header.height)}"):
        return codec.read(*coded_part(file))


def verify(data: bytes | container.File, codec: Codec | None = None) -> str | None:
    """Check structure, checksums and that every symbol parses; draws nothing.

    Args:
        data: the bytes of a file, or a file from container.read(), which has checked structure and
            checksums.
        codec: parses the symbols; default: the one that the file names.

    Returns:
        Why symbols were not parsed, if they need weights that only the user has; else None.

    Raises:
        BitstreamError: If the file is damaged.
        ModelError: If its codec isn't here.
    """
    file = data if isinstance(data, container.File) else container.read(data)
    if codec is None:
        needed = needs_own_weights(file)
        if needed is not None:
            return needed
    codec = codec_for(file, "cpu", codec)
    with memory_errors(f"reading {describe_work(file.header.width, file.header.height)}"):
        codec.parse(*coded_part(file))
    alpha = file.part("alpha")
    if alpha is not None:
        media.decode_alpha(alpha, file.header.width, file.header.height)
    return None
