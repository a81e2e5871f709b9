"""Pixels of PNG files, where Pillow would lose some: 16 bits per sample and transparent colours."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import PngImagePlugin

from quantal.errors import MediaError
from quantal.limits import check_size
from quantal.media._both_bytes import both_bytes
from quantal.media._decoded import Decoded
from quantal.media._picture import Deep
from quantal.media._samples import Samples, widened, with_opacity
from quantal.media._survey.png import SIGNATURE, Png, survey

__all__ = ["decode_png"]

_DEFLATE_RATIO = 1032  # maximum of zlib: 258 bytes from two bits
_GREY_ALPHA_16 = "LA;16B"  # which Pillow turns into RGBA of 8 bits
_RGBA = 6  # colour type


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
    if depth == 16:
        samples = _deep_samples(image, png, str(raw_mode))
        clear = _clear(samples, png.transparent) if png.transparent else None
        decoded.deep, decoded.depth = with_opacity(samples, clear, 16), 16
        _heed_significant_bits(decoded, png)
    elif png.transparent:
        image.load()
        scale = 255 // ((1 << depth) - 1)
        samples = np.asarray(image.convert("L") if image.mode == "1" else image)
        clear = _clear(samples, tuple(value * scale for value in png.transparent))
        decoded.alpha = np.where(clear, 0, 255).astype(np.uint8)
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


def _deep_samples(image: PngImagePlugin.PngImageFile, png: Png, raw_mode: str) -> Deep:
    """Return samples of 16 bits, uint16 [H, W] or [H, W, C]."""
    if raw_mode == _GREY_ALPHA_16:
        return _deep_grey_and_alpha(png)
    if raw_mode == "I;16B":
        return np.asarray(image).astype(np.uint16, copy=False)
    again = PngImagePlugin.PngImageFile(io.BytesIO(png.pixels))
    return both_bytes(image, again)


def _deep_grey_and_alpha(png: Png) -> Deep:
    """Return grey and alpha, uint16 [H, W, 2].

    A pixel has four bytes, as one of RGBA with 8 bits has. Filters and interlacing heed only their
    number, so Pillow reads the bytes as RGBA.
    """
    start = len(SIGNATURE)
    head = bytearray(png.pixels[start + 4 : start + 21])  # IHDR, without its length and checksum
    head[-5], head[-4] = 8, _RGBA
    checksum = struct.pack(">I", zlib.crc32(head))
    data = png.pixels[: start + 4] + head + checksum + png.pixels[start + 25 :]
    image = PngImagePlugin.PngImageFile(io.BytesIO(data))
    return np.array(image).view(">u2").astype(np.uint16)


def _heed_significant_bits(decoded: Decoded, png: Png) -> None:
    """Take samples of fewer bits back to their depth, if a file was made from such ones."""
    bits = png.significant[0] if len(set(png.significant)) == 1 else 16
    if decoded.deep is None or not 9 <= bits < 16:
        return
    samples = decoded.deep >> np.uint16(16 - bits)
    if np.array_equal(widened(samples, bits), decoded.deep):
        decoded.deep, decoded.depth = samples, bits
        decoded.beside.dropped.remove("the chunk sBIT")


def _clear(samples: Samples, transparent: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return where a pixel has the transparent colour [H, W]."""
    if samples.ndim == 2:
        return np.asarray(samples == transparent[0])
    return np.asarray((samples == np.array(transparent, samples.dtype)).all(axis=2))
