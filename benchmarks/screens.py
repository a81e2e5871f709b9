"""Screens by the synthetic layer, alone and with the transforms of a context codec.

    python benchmarks/screens.py PICTURE... [--codec context-m] [--rates 85 120 150]

Prints the bytes of a layer of all tiles without loss, then for each rate index (quarters of a
position) the bytes and the PSNR-RGB of a hybrid: synthetic tiles where they cost less, transforms
with filled holes elsewhere. Headers are not counted.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from PIL import Image

from quantal.codecs import TransformCodec, load
from quantal.codecs.synthetic import (
    TILE,
    Costs,
    cheaper_tiles,
    decode_layer,
    encode_layer,
    fill_holes,
    guess_costs,
    looks_synthetic,
)


def price_of(rate: int) -> float:
    """Return what a bit is worth to a context codec, in squared differences of all channels.

    Measured on screens: -dD / dR between neighbouring rates, the same within a fifth.
    """
    return 1100 * 2 ** (-0.0518 * (rate - 80))


def tile_sums(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return sums of pixels' values [H, W] in each tile [rows, columns]."""
    height, width = values.shape
    margins = ((0, rows * TILE - height), (0, columns * TILE - width))
    return np.pad(values, margins).reshape(rows, TILE, columns, TILE).sum((1, 3))


def transform_costs(codec: TransformCodec, pixels: np.ndarray, rate: int) -> tuple[Costs, bytes]:
    """Return what tiles cost by transforms, and the image part.

    The bits of a file are shared by the logarithms of its latents.
    """
    height, width = pixels.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    encoding = codec.encoding(pixels)
    data = encoding.at(rate)
    drawn = codec.synthesise(codec.read(data, width, height, rate))
    latents = codec.entropy.latents(encoding.y, rate / 4)[1]
    bits = np.log2(1 + (2 * np.abs(latents)) ** 2).sum(0)
    bits = np.repeat(np.repeat(bits, 2, 0), 2, 1)[:rows, :columns]
    bits = bits * (8 * len(data) / bits.sum())
    lost = ((drawn.astype(float) - pixels) ** 2).sum(-1)
    return Costs(bits, tile_sums(lost, rows, columns)), data


def hybrid(codec: TransformCodec, pixels: np.ndarray, rate: int) -> tuple[int, int, np.ndarray]:
    """Return bytes of the layer and of the transforms, and the decoded picture."""
    height, width = pixels.shape[:2]
    price = price_of(rate)
    by_transforms, data = transform_costs(codec, pixels, rate)
    looks = looks_synthetic(pixels)
    tiles = cheaper_tiles(price, guess_costs(pixels, looks, price), by_transforms)
    layer, drawn = encode_layer(pixels, tiles, price)
    if tiles.all():
        return len(layer), 0, drawn
    holes = np.repeat(np.repeat(tiles, TILE, 0), TILE, 1)[:height, :width]
    if tiles.any():
        data = codec.encoding(fill_holes(pixels, holes)).at(rate)
    other = codec.synthesise(codec.read(data, width, height, rate))
    return len(layer), len(data), np.where(holes[..., None], drawn, other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--codec", default="context-m")
    parser.add_argument("--rates", type=int, nargs="*", default=[85, 120, 150])
    given = parser.parse_args()
    codec = load(given.codec) if given.rates else None
    for name in given.pictures:
        with Image.open(name) as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = pixels.shape[:2]
        everywhere = np.ones((-(-height // TILE), -(-width // TILE)), np.bool_)
        start = time.process_time()
        data, _ = encode_layer(pixels, everywhere)
        middle = time.process_time()
        assert (decode_layer(data, width, height)[1] == pixels).all()
        seconds = middle - start, time.process_time() - middle
        print(f"{name}: {len(data)} bytes without loss, {seconds[0]:.1f} s, {seconds[1]:.1f} s")
        for rate in given.rates:
            layer, rest, drawn = hybrid(codec, pixels, rate)
            error = float(((drawn.astype(float) - pixels) ** 2).mean())
            quality = 10 * np.log10(255**2 / max(error, 1e-9))
            print(f"  rate {rate}: {layer} + {rest} bytes, {quality:.2f} dB")


if __name__ == "__main__":
    main()
