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
from pathlib import Path

import numpy as np
from _sheets import Pixels, View, draw_sheet, no_smaller
from skimage import data

import quantal
from quantal.eval.codecs import codec
from quantal.eval.metrics import metric

Distance = Callable[[Pixels, Pixels], float]

PHOTOGRAPHS = {"coffee": data.coffee, "chelsea": data.chelsea, "astronaut": data.astronaut}
RIVALS = {"AVIF": "avif:speed=4", "JPEG XL": "jxl", "WebP": "webp"}
COLUMNS = 3
#: Pixels of a picture that are shown, from the middle, a little above it.
SHOWN = (400, 300)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--perceptual", type=Path, required=True)
    parser.add_argument("--bpp", type=float, default=0.03)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    distance = metric("lpips", options.perceptual)

    def said(original: Pixels, decoded: Pixels) -> str:
        return f"LPIPS {distance(original, decoded):.2f}"

    for name, load in PHOTOGRAPHS.items():
        original = np.ascontiguousarray(load())
        ours = _ours("vq", original, options.bpp)
        views = [View("original", 0, original), ours, _ours("context-m", original, options.bpp)]
        views += [_rival(t, s, original, ours.size, distance) for t, s in RIVALS.items()]
        target = options.out / f"low-rate-{name}.jpg"
        sheet = draw_sheet(views, COLUMNS, _shown(original), said)
        sheet.save(target, quality=92, subsampling=0, optimize=True)
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
        coded = no_smaller(coder, original, size)
        drawn = np.asarray(coder.decode(coded), dtype=np.uint8)
        found.append((scale, len(coded), drawn))
    # A file that costs far more does not count if there is one of about the size.
    near = [f for f in found if f[1] <= 1.15 * size] or [min(found, key=lambda f: f[1])]
    scale, cost, drawn = min(near, key=lambda f: distance(original, f[2]))
    return View(title if scale == 1 else f"{title} at 1/{scale}", cost, drawn)


def _shown(pixels: Pixels) -> tuple[int, int, int, int]:
    """Return the crop of a picture that is shown."""
    width, height = (min(a, b) for a, b in zip(SHOWN, pixels.shape[1::-1], strict=True))
    left, top = (pixels.shape[1] - width) // 2, (pixels.shape[0] - height) // 4
    return left, top, left + width, top + height


if __name__ == "__main__":
    main()
