"""Gain and cost of effort: BD-rate against no effort, and seconds per picture.

    python benchmarks/search.py --data KODAK [--codec hyperprior] [--weights FILE] [--efforts 1,2,3]
                                [--qualities 15,45,75,100] [--every 1] [--device cpu] [--threads N]

Whole files and drawn pictures, PSNR over RGB; BD-rate of each picture by pchip in log rate, then
their mean, smallest and largest. `worst`: the largest need of more bytes at an equal PSNR, of any
picture at any point of its curve. Seconds are those of quantal.compress, from pixels to bytes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.interpolate import PchipInterpolator

import quantal
from quantal import media
from quantal.codecs import Codec


@dataclass(frozen=True)
class Point:
    """One picture at one quality and effort."""

    size: int
    psnr: float
    seconds: float


def measured(pixels: np.ndarray, codec: Codec, quality: int, effort: int) -> Point:
    began = time.perf_counter()
    data = quantal.compress(pixels, codec, quality=quality, effort=effort)
    seconds = time.perf_counter() - began
    drawn = np.asarray(codec.decompress(data), np.float64)
    mse = np.square(drawn - pixels).mean()
    return Point(len(data), float(10 * np.log10(255**2 / mse)), seconds)


def differences(test: list[Point], anchor: list[Point]) -> np.ndarray:
    """Return log ratios of the test's bytes and the anchor's at equal PSNR, where both reach."""
    low = max(curve[0].psnr for curve in (test, anchor))
    high = min(curve[-1].psnr for curve in (test, anchor))
    at = np.linspace(low, high, 500)
    ours, theirs = (
        PchipInterpolator([p.psnr for p in curve], [np.log(p.size) for p in curve])(at)
        for curve in (test, anchor)
    )
    return ours - theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--codec", default="hyperprior")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--efforts", default="1,2,3")
    parser.add_argument("--qualities", default="15,45,75,100")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    codec = quantal.load(options.codec, options.device, options.weights)
    qualities = sorted(int(q) for q in options.qualities.split(","))
    efforts = [0, *(int(e) for e in options.efforts.split(","))]
    paths = sorted(p for p in options.data.iterdir() if p.suffix.lower() in media.PICTURE_SUFFIXES)
    paths = paths[:: options.every]
    curves: dict[int, list[list[Point]]] = {effort: [] for effort in efforts}
    for path in track(paths, "coding", console=Console(stderr=True), transient=True):
        pixels = media.read(path).pixels
        for effort in efforts:
            curves[effort].append([measured(pixels, codec, q, effort) for q in qualities])
    table = Table(title=f"{options.codec}: {len(paths)} pictures, qualities {qualities}")
    for name in ("effort", "BD-rate, %", "from", "to", "worst, %", "seconds", "median"):
        table.add_column(name, justify="right")
    for effort in efforts:
        found = [differences(*pair) for pair in zip(curves[effort], curves[0], strict=True)]
        rates = [100 * np.expm1(each.mean()) for each in found]
        worst = 100 * np.expm1(max(each.max() for each in found))
        seconds = [point.seconds for curve in curves[effort] for point in curve]
        figures = (np.mean(rates), min(rates), max(rates), worst, np.mean(seconds))
        row = [f"{value:.2f}" for value in (*figures, np.median(seconds))]
        table.add_row(str(effort), *row)
    Console().print(table)


if __name__ == "__main__":
    main()
