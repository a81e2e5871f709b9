"""RGB from decoded frames, and frames to encode from RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from av import VideoFrame
from av.video.format import VideoFormat
from av.video.reformatter import VideoReformatter

from quantal.clips._properties import UNSPECIFIED, Colour, Pixels
from quantal.errors import MediaError

__all__ = ["Converter", "bits_of", "colour_of", "encodable", "matrix_by_size", "subsampling_of"]

#: Matrices of H.273 as swscale calls them.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
#: Shares of red and blue in luma, by matrix of swscale.
_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_RGB = 0
_LIMITED, _FULL = 1, 2
#: Flags of swscale: bilinear, accurate rounding, chroma of every pixel in and out. Without them it
#: darkens by up to two steps.
_EXACTLY = 0x2 | 0x40000 | 0x4000 | 0x2000
_SUBSAMPLING = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (4, 1): "4:1:1",
    (1, 2): "4:4:0",
    (4, 4): "4:1:0",
}
#: Cb of 8 bits from which 1.164 (255 - 16) + 2.142 (Cb - 128) may reach 512.
_OVERFLOW = 236
_SAMPLE = 16  # a size that every subsampling divides


def bits_of(form: VideoFormat) -> int:
    """Return the bits of a sample of a pixel format; palettes and 16 colours count as 8."""
    return max(8, *(component.bits for component in form.components))


def subsampling_of(form: VideoFormat) -> str:
    """Return how a pixel format stores chroma, as `Properties.subsampling` has it."""
    if form.is_rgb or form.has_palette:
        return "rgb"
    sampled = VideoFormat(form.name, _SAMPLE, _SAMPLE).components
    if len(sampled) < 3:
        return "grey"
    return _SUBSAMPLING.get((_SAMPLE // sampled[1].width, _SAMPLE // sampled[1].height), "other")


def colour_of(frame: VideoFrame) -> Colour:
    """Return what a decoded frame's tags say."""
    full = {_LIMITED: False, _FULL: True}.get(int(frame.color_range))
    if frame.format.name.startswith("yuvj"):  # a name for full range, of old
        full = True
    return Colour(int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc), full)


def matrix_by_size(width: int, height: int) -> int:
    """Return the matrix that players assume for clips without a tag: BT.709 for HD, else BT.601."""
    return 1 if height >= 720 or width >= 1280 else 6


class Converter:
    """Conversion between RGB of 8 bits and the pixel formats of codecs.

    Matrix and range are converted; primaries and transfer are not.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def to_rgb(self, frame: VideoFrame) -> Pixels:
        """Return the picture of a decoded frame, as stored.

        More than 8 bits are rounded to 8.

        Returns:
            RGB, uint8 [H, W, 3].

        Raises:
            MediaError: Its matrix is none that is converted.
        """
        colour, form = colour_of(frame), frame.format
        kind, bits = subsampling_of(form), bits_of(form)
        matrix = colour.matrix
        if kind in ("rgb", "grey") or matrix == UNSPECIFIED:
            matrix = matrix_by_size(frame.width, frame.height)
        if matrix not in _MATRICES:
            raise MediaError(
                f"its colours have matrix {matrix} of H.273, expected 1, 4, 5, 6, 7 or 9; convert "
                "the clip to BT.709 first"
            )
        # Grey and RGB without a tag use all values.
        full = kind in ("rgb", "grey") if colour.full_range is None else colour.full_range
        deep = bits > 8 and (full or kind == "rgb")
        if not full and kind not in ("rgb", "grey") and _overflows(frame, bits):
            return self._by_numpy(frame, matrix, bits)
        found = self._reformat(frame, "rgb48le" if deep else "rgb24", matrix, full, True)
        if not deep:
            return found.astype(np.uint8, copy=False)
        # swscale divides full range of n bits by 2^n instead of 2^n - 1, except that of RGB.
        white = 65535 if kind == "rgb" else ((1 << bits) - 1) << (16 - bits)
        return np.minimum(np.rint(found * (255 / white)), 255).astype(np.uint8)

    def _by_numpy(self, frame: VideoFrame, matrix: int, bits: int) -> Pixels:
        """Return the picture of a frame of YUV in limited range (ITU-T H.273, 8.3)."""
        samples, unit = ("yuv444p", 1) if bits == 8 else ("yuv444p16le", 256)
        planes = self._reformat(frame, samples, matrix, False, False).astype(np.float32)
        luma, blue, red = planes if bits == 8 else np.moveaxis(planes, -1, 0)
        red_weight, blue_weight = _WEIGHTS[_MATRICES[matrix]]
        y = (luma - 16 * unit) / (219 * unit)
        r = y + (red - 128 * unit) * (2 * (1 - red_weight) / (224 * unit))
        b = y + (blue - 128 * unit) * (2 * (1 - blue_weight) / (224 * unit))
        g = (y - red_weight * r - blue_weight * b) / (1 - red_weight - blue_weight)
        return np.rint(np.clip(np.stack([r, g, b], -1), 0, 1) * 255).astype(np.uint8)

    def _reformat(
        self, frame: VideoFrame, form: str, matrix: int, full: bool, full_after: bool
    ) -> np.ndarray[Any, Any]:
        """Return the samples of a frame in another pixel format."""
        return self._reformatter.reformat(
            frame,
            format=form,
            src_colorspace=_MATRICES[matrix],
            dst_colorspace=_MATRICES[matrix],
            src_color_range=_FULL if full else _LIMITED,
            dst_color_range=_FULL if full_after else _LIMITED,
            interpolation=_EXACTLY,
        ).to_ndarray()

    def from_rgb(self, pixels: Pixels, pixel_format: str, colour: Colour) -> VideoFrame:
        """Return a frame to encode.

        Args:
            pixels: RGB, uint8 [H, W, 3].
            pixel_format: FFmpeg's name of a pixel format.
            colour: Matrix and range to convert to; both have to be given unless it is RGB.
        """
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        rgb = VideoFormat(pixel_format).is_rgb
        if not rgb:  # PyAV 17 hands on the matrix of the source alone
            frame.colorspace = colour.matrix
        frame = self._reformatter.reformat(
            frame,
            format=pixel_format,
            dst_colorspace=None if rgb else _MATRICES[colour.matrix],
            src_color_range=_FULL,
            dst_color_range=_FULL if rgb or colour.full_range else _LIMITED,
            interpolation=_EXACTLY,
        )
        frame.colorspace = _RGB if rgb else colour.matrix
        frame.color_range = _FULL if rgb or colour.full_range else _LIMITED
        frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
        return frame


def encodable(colour: Colour) -> Colour:
    """Return the nearest colour description with a matrix and a range that YUV can be coded in."""
    known = 0 <= colour.primaries < 256, 0 <= colour.transfer < 256
    primaries = colour.primaries if known[0] else UNSPECIFIED
    transfer = colour.transfer if known[1] else UNSPECIFIED
    if colour.matrix in _MATRICES:
        return Colour(colour.matrix, primaries, transfer, bool(colour.full_range))
    return Colour(9 if primaries == 9 else 1, primaries, transfer, False)


def _overflows(frame: VideoFrame, bits: int) -> bool:
    """Whether swscale may overflow, where blue is more than twice white, and make it black."""
    if not frame.format.is_planar or len(frame.planes) < 3:
        return False
    plane = frame.planes[1]
    kind = np.dtype(np.uint8 if bits == 8 else ">u2" if frame.format.is_big_endian else "<u2")
    rows = np.frombuffer(memoryview(plane), kind).reshape(
        plane.height, plane.line_size // kind.itemsize
    )
    return int(rows[:, : plane.width].max()) >= _OVERFLOW << (bits - 8)
