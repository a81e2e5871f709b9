"""The parts of a context codec's stream by quality, and the gain of selective coding.

    python benchmarks/context.py KODAK [--codec context-m] [--weights FILE] [--qualities 8,30,54,78]
                                       [--pictures 24] [--sure 1,4,6,8]

The first table: bytes and PSNR-RGB of pictures drawn from the first parts of their streams. The
second: the codec with other tables, in which more or fewer scale indices are certain of zero,
whose symbols are not coded at all; the tables of the smallest scales follow the distribution of
training.
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import quantal
from quantal import container, media
from quantal.codecs.context.codec import Context
from quantal.codecs.contract import Latents
from quantal.entropy.coder import IndexArray, IntArray, estimate_bits
from quantal.entropy.models.tables import law_table
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import FloatArray, Pricing


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


class Batches(Pricing):
    """Counts the bits of every batch, and how many of its elements are coded at all."""

    def __init__(self, codec: Context, y: FloatArray, rate: int) -> None:
        super().__init__(codec.entropy.latents(y, rate / 4))
        self.costs: list[float] = []
        self.certain: list[int] = []
        self.elements: list[int] = []
        _, rows, columns = y.shape
        codec.entropy.walk(self, rows, columns, rate / 4)

    def _take(self, symbols: IntArray, index: IndexArray, tables: TableSet) -> None:
        self.costs.append(estimate_bits(symbols, index, tables))
        self.certain.append(int(tables.certain[index].sum()))
        self.elements.append(len(index))


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
            costs = Batches(codec, y, rate).costs
            # z is one batch; every step has as many batches as there are bands.
            bands = (len(costs) - 1) // (parts - 1)
            steps = [sum(costs[1 + k * bands : 1 + (k + 1) * bands]) for k in range(parts - 1)]
            bits += np.cumsum([costs[0], *steps]) / (height * width) / len(pictures)
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
                batches = Batches(other, y, rate)
                skipped += sum(batches.certain[1:])
                elements += sum(batches.elements[1:])
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
        raise SystemExit(f"{options.codec} is not a context codec")
    files = sorted(options.folder.glob("*.png"))[: options.pictures]
    pictures = [media.read(file).pixels for file in files]
    qualities = [int(q) for q in options.qualities.split(",")]
    console = Console()
    console.print(prefixes(codec, pictures, qualities))
    console.print(selection(codec, pictures, qualities, [int(s) for s in options.sure.split(",")]))


if __name__ == "__main__":
    main()
