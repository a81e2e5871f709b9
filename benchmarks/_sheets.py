"""Sheets of pictures: one scene as several codecs show it at equal bytes, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from quantal.eval.codecs import ImageCodec

__all__ = ["Pixels", "View", "draw_sheet", "no_smaller", "psnr"]

Pixels = npt.NDArray[np.uint8]

CAPTION, GAP = 24, 8


@dataclass(frozen=True)
class View:
    """A picture as a codec shows it.

    Attributes:
        title: the codec's.
        size: bytes of the file; 0 for the original.
        pixels: uint8 [H, W, 3].
    """

    title: str
    size: int
    pixels: Pixels


def psnr(original: Pixels, decoded: Pixels) -> float:
    """Return PSNR over RGB in dB."""
    error = np.square(original.astype(np.float64) - decoded).mean()
    return float(10 * np.log10(255**2 / error)) if error else np.inf


def no_smaller(coder: ImageCodec, original: Pixels, size: int) -> bytes:
    """Return a codec's file of the lowest quality that has at least `size` bytes."""
    low, high = (int(end) for end in coder.limits)
    while low < high:
        middle = (low + high) // 2
        if len(coder.encode(original, middle)) < size:
            low = middle + 1
        else:
            high = middle
    return coder.encode(original, low)


def draw_sheet(
    views: Sequence[View],
    columns: int,
    crop: tuple[int, int, int, int],
    measured: Callable[[Pixels, Pixels], str],
    scale: int = 1,
) -> Image.Image:
    """Draw a crop of every view, with title, bytes and a measured figure above it.

    Args:
        views: the original first.
        columns: views of a row.
        crop: left, top, right and bottom in pixels of the picture.
        measured: what is said of (original, decoded).
        scale: how many pixels of the sheet a pixel of the picture takes along each side.
    """
    original = views[0].pixels
    width, height = (crop[2] - crop[0]) * scale, (crop[3] - crop[1]) * scale
    rows = -(-len(views) // columns)
    size = (columns * (width + GAP) - GAP, rows * (height + CAPTION + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for place, view in enumerate(views):
        x, y = place % columns * (width + GAP), place // columns * (height + CAPTION + GAP)
        shown = Image.fromarray(view.pixels).crop(crop)
        sheet.paste(shown.resize((width, height), Image.Resampling.NEAREST), (x, y + CAPTION))
        text = view.title
        if view.size:
            text += f": {view.size:,} bytes, {measured(original, view.pixels)}"
        ImageDraw.Draw(sheet).text((x + 4, y + 4), text, "black", ImageFont.load_default(14))
    return sheet
