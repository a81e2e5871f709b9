"""Pixels of PNG files, where Pillow would lose some: 16 bits per sample and transparent colours."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, PngImagePlugin

from quantal.errors import MediaError
from quantal.limits import check_size
from quantal.media._decoded import Decoded
from quantal.media._picture import Bytes
from quantal.media._samples import Samples, reduce_samples
from quantal.media._survey.png import Png, survey

__all__ = ["decode_png"]

#: Raw modes of 16 bits per sample, most significant byte first, and those with the bytes exchanged.
#: Pillow takes one byte of each sample; by both, all bits are known.
_EXCHANGED = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
_DEFLATE_RATIO = 1032  # maximum of zlib: 258 bytes from two bits
_GREY_ALPHA_16 = "LA;16B"  # which Pillow turns into RGBA


def decode_png(data: bytes) -> Decoded:
    """Decode a PNG file; texts and other chunks, whatever their size, don't reach Pillow.

    Args:
        data: The file.
    """
    png = survey(data)
    image = PngImagePlugin.PngImageFile(io.BytesIO(png.pixels))
    check_size(*image.size)
    _check_bytes(png, *image.size)
    decoded = Decoded(image, png.beside)
    if png.frames > 1:
        decoded.warnings.append(f"only frame 1 of {png.frames} was taken")
    raw_mode = image.tile[0].args if image.tile else None
    depth = _depth(raw_mode)
    if raw_mode == _GREY_ALPHA_16:
        image.load()
        decoded.image = Image.merge("LA", (image.getchannel("R"), image.getchannel("A")))
        decoded.warnings.append("16-bit samples were reduced to 8 bits")
    elif depth == 16:
        samples = _deep_samples(image, png, str(raw_mode))
        if png.transparent:
            decoded.alpha = _opacity(samples, png.transparent)
        eight = reduce_samples(samples, 16, decoded.warnings)
        decoded.image = Image.fromarray(eight)
    elif png.transparent:
        image.load()
        scale = 255 // ((1 << depth) - 1)
        samples = np.asarray(image.convert("L") if image.mode == "1" else image)
        decoded.alpha = _opacity(samples, tuple(value * scale for value in png.transparent))
    return decoded


def _check_bytes(png: Png, width: int, height: int) -> None:
    """Check that a file has bytes enough for its size, before memory is allocated."""
    if height * (width * png.bits_per_pixel // 8 + 1) > _DEFLATE_RATIO * png.packed:
        raise MediaError(
            f"the PNG is cut or broken: {png.packed} bytes of pixels found, too few for "
            f"{width}x{height} pixels"
        )


def _depth(raw_mode: object) -> int:
    """Return the bits per sample of a raw mode of Pillow, such as "L;4"."""
    if raw_mode == "1":
        return 1
    bits = str(raw_mode).partition(";")[2].rstrip("B")
    return int(bits) if bits.isdigit() else 8


def _deep_samples(image: PngImagePlugin.PngImageFile, png: Png, raw_mode: str) -> Samples:
    """Return samples of 16 bits, uint16 [H, W] or [H, W, C]."""
    if raw_mode not in _EXCHANGED:
        image.load()
        return np.asarray(image).astype(np.uint16, copy=False)
    again = PngImagePlugin.PngImageFile(io.BytesIO(png.pixels))
    again.tile = [again.tile[0]._replace(args=_EXCHANGED[raw_mode])]
    samples = np.array(image, dtype=np.uint16)
    samples <<= 8
    samples |= np.asarray(again)
    return samples


def _opacity(samples: Samples, transparent: tuple[int, ...]) -> Bytes:
    """Return alpha [H, W]: 0 where a pixel has the transparent colour, else 255."""
    if samples.ndim == 2:
        clear = samples == transparent[0]
    else:
        clear = (samples == np.array(transparent, samples.dtype)).all(axis=2)
    return np.where(clear, 0, 255).astype(np.uint8)
