"""Rate-distortion on a folder of pictures: ours beside WebP and JPEG, real bytes, and BD-rate.

    python benchmarks/rate_distortion.py DIR [--out results.json] [--plot rd.svg]

bpp counts whole files; PSNR is over RGB, of 8-bit pictures, averaged over pictures at each
quality, as is bpp. BD-rate interpolates log rate by pchip (package bjontegaard) over the range of
PSNR that both curves reach. WebP: method 6. JPEG: optimised, progressive, Pillow's 4:2:0.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import bjontegaard
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

import quantal

WEBP = (0, 2, 5, 10, 20, 35, 50, 65, 75, 82, 88, 92, 95, 97, 99, 100)
JPEG = (5, 8, 12, 18, 26, 36, 50, 65, 75, 82, 88, 92, 95, 97)
OURS = (1, 8, 15, 22, 30, 38, 46, 54, 62, 70, 78, 86, 93, 100)


@dataclass(frozen=True)
class Point:
    quality: int
    bpp: float
    psnr: float


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of two uint8 pictures."""
    return float(10 * np.log10(255**2 / np.square(a.astype(np.float64) - b).mean()))


def through_pillow(format: str, **options: object) -> Callable[[Image.Image, int], bytes]:
    def encode(image: Image.Image, quality: int) -> bytes:
        file = io.BytesIO()
        image.save(file, format, quality=quality, **options)
        return file.getvalue()

    return encode


def ours(codec: quantal.codecs.Codec) -> Callable[[Image.Image, int], bytes]:
    return lambda image, quality: codec.compress(image, quality=quality)


def curve(
    name: str,
    files: Sequence[Path],
    qualities: Sequence[int],
    encode: Callable[[Image.Image, int], bytes],
    decode: Callable[[bytes], Image.Image],
) -> list[Point]:
    sums = {quality: np.zeros(2) for quality in qualities}
    for file in track(files, description=name):
        image = Image.open(file).convert("RGB")
        pixels = np.asarray(image)
        for quality in qualities:
            data = encode(image, quality)
            drawn = np.asarray(decode(data).convert("RGB"))
            bpp = 8 * len(data) / (image.width * image.height)
            sums[quality] += (bpp, psnr(pixels, drawn))
    return [Point(q, *(sums[q] / len(files))) for q in qualities]


def bd_rate(anchor: Sequence[Point], test: Sequence[Point]) -> float:
    """Percent of rate that the test needs more (less: negative) than the anchor."""
    sides = [[p.bpp for p in anchor], [p.psnr for p in anchor]]
    sides += [[p.bpp for p in test], [p.psnr for p in test]]
    return float(bjontegaard.bd_rate(*sides, method="pchip", require_matching_points=False))


def plot(curves: dict[str, list[Point]], path: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    for name, points in curves.items():
        axes.plot([p.bpp for p in points], [p.psnr for p in points], ".-", label=name)
    axes.set(xlabel="bits per pixel", ylabel="PSNR-RGB, dB", xscale="log")
    ticks = (0.05, 0.1, 0.2, 0.5, 1, 2, 3)
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    files = sorted(p for p in options.data.iterdir() if p.suffix in (".png", ".webp"))
    codec = quantal.load("hyperprior", weights=options.weights)
    pillow = lambda data: Image.open(io.BytesIO(data))  # noqa: E731
    curves = {
        "quantal": curve("quantal", files, OURS, ours(codec), codec.decompress),
        "WebP": curve("WebP", files, WEBP, through_pillow("WEBP", method=6), pillow),
        "JPEG": curve(
            "JPEG", files, JPEG, through_pillow("JPEG", optimize=True, progressive=True), pillow
        ),
    }
    table = Table(title=f"{options.data.name}, {len(files)} pictures")
    for column in ("codec", "quality", "bpp", "PSNR-RGB dB"):
        table.add_column(column, justify="left" if column == "codec" else "right")
    for name, points in curves.items():
        for point in points:
            table.add_row(name, str(point.quality), f"{point.bpp:.4f}", f"{point.psnr:.2f}")
    console = Console()
    console.print(table)
    result = {name: [asdict(p) for p in points] for name, points in curves.items()}
    rates = {name: bd_rate(curves[name], curves["quantal"]) for name in ("WebP", "JPEG")}
    for name, value in rates.items():
        console.print(f"BD-rate of quantal versus {name}: {value:+.1f} %")
    if options.out:
        text = json.dumps({"curves": result, "bd_rate": rates}, indent=2)
        options.out.write_text(text + "\n", encoding="utf-8")
    if options.plot:
        plot(curves, options.plot)


if __name__ == "__main__":
    main()
