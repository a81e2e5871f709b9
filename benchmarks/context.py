"""What the parts of a context codec's stream are worth, and what selective coding saves.

    python benchmarks/context.py KODAK [--codec context-m] [--weights FILE] [--qualities 8,30,54,78]
                                       [--pictures 24] [--sure 1,4,6,8]

The first table: bytes and PSNR-RGB of pictures drawn from the first parts of their streams. The
second: the codec with other tables, in which more or fewer scale indices mean a sure zero, whose
symbols are not coded at all; the tables of the smallest scales follow the law of training.
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import quantal
from quantal import container
from quantal.codecs.context.codec import Context
from quantal.codecs.contract import Latents
from quantal.codecs.transform import QUARTERS
from quantal.entropy.coder import IndexArray, IntArray
from quantal.entropy.models.tables import law_table
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Pricing, Writing


def psnr(codec: Context, latents: Latents, pixels: np.ndarray) -> float:
    error = codec.synthesise(latents).astype(np.int32) - pixels
    return 10 * math.log10(255**2 / float(np.square(error).mean()))


def with_sure(codec: Context, sure: int) -> Context:
    """Return the same codec with certain tables for the first `sure` scale indices."""
    tables = codec.entropy.y_tables
    first, weights = [], []
    for index in range(len(tables)):
        if index < sure:
            first.append(0)
            weights.append(np.array([1 << 24], np.int32))
        elif tables.certain[index]:
            low, law = law_table(index)
            first.append(low)
            weights.append(law)
        else:
            first.append(int(tables.first[index]))
            weights.append(tables.weights(index).astype(np.int32))
    other = copy.copy(codec)
    other.entropy = copy.copy(codec.entropy)
    other.entropy.y_tables = TableSet.from_weights(first, weights)
    return other


def bits_of_parts(codec: Context, y: np.ndarray, rate: int) -> np.ndarray:
    """Return the bits of the first part of a stream, of the first two, and so on."""
    position, (_, rows, columns) = rate / QUARTERS, y.shape
    found = []
    for parts in range(1, codec.entropy.parts + 1):
        pricing = Pricing(codec.entropy.latents(y, position))
        codec.entropy.walk(pricing, rows, columns, position, parts)
        found.append(pricing.bits)
    return np.array(found)


def sure_zeros(codec: Context, y: np.ndarray, rate: int) -> tuple[int, int]:
    """Return how many symbols of y mean a sure zero, and how many there are."""
    batches: list[IndexArray] = []

    def observe(index: IndexArray, symbols: IntArray) -> None:
        batches.append(index)

    position, (_, rows, columns) = rate / QUARTERS, y.shape
    writing = Writing(codec.entropy.latents(y, position), observer=observe)
    codec.entropy.walk(writing, rows, columns, position)
    of_y = np.concatenate([index.ravel() for index in batches[1:]])  # the first batch is z
    return int(codec.entropy.y_tables.certain[of_y].sum()), of_y.size


def prefixes(codec: Context, pictures: list[np.ndarray], qualities: list[int]) -> Table:
    table = Table(title=f"{codec.name}: pictures from the first parts of their streams")
    for name in ("quality", "parts", "of the bytes", "bpp", "PSNR, dB"):
        table.add_column(name, justify="right")
    for quality in qualities:
        rate = container.quality_to_rate(quality)
        parts = codec.entropy.parts
        bits, values = np.zeros(parts), np.zeros(parts)
        for pixels in pictures:
            height, width = pixels.shape[:2]
            y = codec.analyse(pixels)
            bits += bits_of_parts(codec, y, rate) / (height * width) / len(pictures)
            payload = codec.encode(y, rate)
            for k in range(parts):
                shown = codec.read_prefix(payload, 0, width, height, rate, k + 1)
                values[k] += psnr(codec, shown, pixels) / len(pictures)
        for k in range(parts):
            share = f"{bits[k] / bits[-1]:.1%}"
            table.add_row(str(quality), str(k + 1), share, f"{bits[k]:.4f}", f"{values[k]:.2f}")
    return table


def selection(
    codec: Context, pictures: list[np.ndarray], qualities: list[int], sure: list[int]
) -> Table:
    table = Table(title=f"{codec.name}: scale indices that mean a sure zero")
    for name in ("quality", "sure below", "not coded", "bpp", "PSNR, dB"):
        table.add_column(name, justify="right")
    for quality in qualities:
        rate = container.quality_to_rate(quality)
        for count in sure:
            other = with_sure(codec, count)
            skipped = elements = 0
            bpp = value = 0.0
            for pixels in pictures:
                height, width = pixels.shape[:2]
                y = other.analyse(pixels)
                sure_here, all_here = sure_zeros(other, y, rate)
                skipped += sure_here
                elements += all_here
                payload = other.encode(y, rate)
                bpp += 8 * len(payload) / (height * width) / len(pictures)
                shown = other.read(payload, width, height, rate)
                value += psnr(other, shown, pixels) / len(pictures)
            share = f"{skipped / elements:.1%}"
            table.add_row(str(quality), str(count), share, f"{bpp:.4f}", f"{value:.3f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--codec", default="context-m")
    parser.add_argument("--weights")
    parser.add_argument("--qualities", default="8,30,54,78")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--sure", default="1,4,6,8")
    options = parser.parse_args()
    codec = quantal.load(options.codec, weights=options.weights)
    if not isinstance(codec, Context):
        raise SystemExit(f"{options.codec} is no context codec")
    files = sorted(options.folder.glob("*.png"))[: options.pictures]
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    qualities = [int(q) for q in options.qualities.split(",")]
    console = Console()
    console.print(prefixes(codec, pictures, qualities))
    console.print(selection(codec, pictures, qualities, [int(s) for s in options.sure.split(",")]))


if __name__ == "__main__":
    main()
