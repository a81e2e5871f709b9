"""Draw photographs as codecs show them at equal bytes, at a rate too low for classical ones.

    python benchmarks/low_rate_pictures.py --perceptual DIR [--bpp 0.03] [--out docs/images]

The photographs are those of skimage.data. DIR: weights of LPIPS' AlexNet
(docs/reference/metrics.md). Each classical codec may code the photograph at full, 1/2 or 1/4 size;
of the files that are as large as ours or just larger the one with the lowest LPIPS is shown.
Without such a file the smallest is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import quantal
from quantal.eval.codecs import ImageCodec, codec
from quantal.eval.metrics import metric

Pixels = npt.NDArray[np.uint8]
Distance = Callable[[Pixels, Pixels], float]

PHOTOGRAPHS = {"coffee": data.coffee, "chelsea": data.chelsea, "astronaut": data.astronaut}
RIVALS = {"AVIF": "avif:speed=4", "JPEG XL": "jxl", "WebP": "webp"}
CAPTION, GAP, COLUMNS = 24, 8, 3
#: Pixels of a picture that are shown, from the middle, a little above it.
SHOWN = (400, 300)


@dataclass(frozen=True)
class View:
    """A picture as a codec shows it."""

    title: str
    size: int
    pixels: Pixels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--perceptual", type=Path, required=True)
    parser.add_argument("--bpp", type=float, default=0.03)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    distance = metric("lpips", options.perceptual)
    for name, load in PHOTOGRAPHS.items():
        original = np.ascontiguousarray(load())
        ours = _ours("vq", original, options.bpp)
        views = [View("original", 0, original), ours, _ours("context-m", original, options.bpp)]
        views += [_rival(t, s, original, ours.size, distance) for t, s in RIVALS.items()]
        target = options.out / f"low-rate-{name}.jpg"
        _sheet(views, distance).save(target, quality=92, subsampling=0, optimize=True)
        print(target, *(f"{view.title} {view.size:,}" for view in views[1:]), sep=", ")


def _ours(name: str, original: Pixels, bpp: float) -> View:
    coded = quantal.compress(original, codec=name, bpp=bpp)
    return View(f"Quantal {name}", len(coded), np.asarray(quantal.decompress(coded)))


def _rival(title: str, spec: str, original: Pixels, size: int, distance: Distance) -> View:
    """Return the best of a codec's files of three sizes, none smaller than `size` bytes."""
    found = []
    for scale in (1, 2, 4):
        joined = f"{spec}{',' if ':' in spec else ':'}scale={scale}"
        coder = codec(joined if scale > 1 else spec)
        coded = _no_smaller(coder, original, size)
        drawn = np.asarray(coder.decode(coded), dtype=np.uint8)
        found.append((scale, len(coded), drawn))
    # A file that costs far more does not count if there is one of about the size.
    near = [f for f in found if f[1] <= 1.15 * size] or [min(found, key=lambda f: f[1])]
    scale, cost, drawn = min(near, key=lambda f: distance(original, f[2]))
    return View(title if scale == 1 else f"{title} at 1/{scale}", cost, drawn)


def _no_smaller(coder: ImageCodec, original: Pixels, size: int) -> bytes:
    """Return the file of the lowest quality that has at least this many bytes."""
    low, high = (int(end) for end in coder.limits)
    while low < high:
        middle = (low + high) // 2
        if len(coder.encode(original, middle)) < size:
            low = middle + 1
        else:
            high = middle
    return coder.encode(original, low)


def _sheet(views: list[View], distance: Distance) -> Image.Image:
    original = views[0].pixels
    width, height = (min(a, b) for a, b in zip(SHOWN, original.shape[1::-1], strict=True))
    left, top = (original.shape[1] - width) // 2, (original.shape[0] - height) // 4
    rows = -(-len(views) // COLUMNS)
    size = (COLUMNS * (width + GAP) - GAP, rows * (height + CAPTION + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for place, view in enumerate(views):
        x, y = place % COLUMNS * (width + GAP), place // COLUMNS * (height + CAPTION + GAP)
        shown = Image.fromarray(view.pixels).crop((left, top, left + width, top + height))
        sheet.paste(shown, (x, y + CAPTION))
        text = view.title
        if view.size:
            text += f": {view.size:,} bytes, LPIPS {distance(original, view.pixels):.2f}"
        ImageDraw.Draw(sheet).text((x + 4, y + 4), text, "black", ImageFont.load_default(14))
    return sheet


if __name__ == "__main__":
    main()
