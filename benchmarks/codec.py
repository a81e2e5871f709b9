"""Seconds to encode and decode one picture, warm and in process, beside CompressAI's hyperpriors.

    python benchmarks/codec.py [--picture FILE | --size 768x512] [--threads 2] [--repeats 10]

Ours goes from pixels to the bytes of a .qtl file and back. CompressAI's models have random weights
(their speed does not depend on them much) and go to strings and back; they run in turns with ours.
Peak memory is of a process that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console
from rich.table import Table

from quantal import codecs, media
from quantal.codecs.files import Target, decode_picture, encode_picture

OTHERS = ("bmshj2018_hyperprior", "mbt2018_mean")
CODECS = ("quantal hyperprior", *OTHERS)


class Coder(NamedTuple):
    """encode: pixels uint8 [H, W, 3] to something; decode: that to pixels."""

    encode: Callable[[np.ndarray], Any]
    decode: Callable[[Any], np.ndarray]
    size: Callable[[Any], int]


def ours(quality: int) -> Coder:
    codec = codecs.load(device="cpu")
    return Coder(
        lambda pixels: encode_picture(
            media.from_array(pixels), codec, Target(quality=quality)
        ).data,
        lambda data: decode_picture(data, codec=codec).pixels,
        len,
    )


def compressai(name: str) -> Coder:
    """The model of its lowest quality: N = 128, M = 192, the size of the lower five or so."""
    from compressai import zoo

    model = getattr(zoo, name)(quality=1, pretrained=False).eval()
    model.update(force=True)

    def encode(pixels: np.ndarray) -> Any:
        height, width = pixels.shape[:2]
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div_(255)
        x = F.pad(x, (0, -width % 64, 0, -height % 64), mode="replicate")
        return {**model.compress(x), "crop": (height, width)}

    def decode(coded: Any) -> np.ndarray:
        height, width = coded["crop"]
        x = model.decompress(coded["strings"], coded["shape"])["x_hat"][0, :, :height, :width]
        return x.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()

    return Coder(encode, decode, lambda coded: sum(len(s[0]) for s in coded["strings"]))


def build(name: str, quality: int) -> Coder:
    return compressai(name) if name in OTHERS else ours(quality)


def picture(options: argparse.Namespace) -> np.ndarray:
    if options.picture:
        return media.read(options.picture).pixels
    width, height = map(int, options.size.split("x"))
    try:
        from skimage import data

        image = Image.fromarray(data.astronaut())
    except ImportError:
        noise = np.random.default_rng(1).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
        image = Image.fromarray(noise)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


@torch.inference_mode()
def alone(options: argparse.Namespace) -> float:
    """Peak gigabytes of this process after one codec has gone both ways once."""
    coder = build(options.alone, options.quality)
    coder.decode(coder.encode(picture(options)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def peak(name: str) -> float:
    """The same of a process with this one's options."""
    command = [sys.executable, *sys.argv, "--alone", name]
    return float(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


@torch.inference_mode()
def race(
    options: argparse.Namespace, names: list[str]
) -> tuple[dict[str, list[list[float]]], dict[str, int]]:
    """Seconds of every encode and every decode, by codec, taken in turns; and coded bytes."""
    pixels = picture(options)
    coders = {name: build(name, options.quality) for name in names}
    times: dict[str, list[list[float]]] = {name: [[], []] for name in names}
    sizes = {}
    for repeat in range(options.repeats + 1):
        for name, coder in coders.items():
            encoding, coded = seconds(lambda coder=coder: coder.encode(pixels))
            decoding, _ = seconds(lambda coder=coder, coded=coded: coder.decode(coded))
            sizes[name] = coder.size(coded)
            if repeat:  # the first time warms up
                times[name][0].append(encoding)
                times[name][1].append(decoding)
    return times, sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, help="a file; one that is synthesised if not given")
    parser.add_argument("--size", default="768x512", help="of the synthesised one, WIDTHxHEIGHT")
    parser.add_argument("--quality", type=int, default=60, help="of ours")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.alone:
        print(json.dumps(alone(options)))
        return

    names = list(CODECS)
    try:
        import compressai  # noqa: F401
    except ImportError:
        print("compressai is not installed, so ours runs alone: pip install 'quantal[compressai]'")
        names = names[:1]
    # First, while this process is small: a child's peak begins at the size of its parent.
    peaks = {name: peak(name) for name in names}
    times, sizes = race(options, names)
    height, width = picture(options).shape[:2]
    title = f"{width}x{height}, {options.threads} threads: seconds, best (median)"
    table = Table(title=title)
    table.add_column("codec", no_wrap=True)
    for column in ("encode", "decode", "bytes", "peak GB"):
        table.add_column(column, justify="right")
    for name in names:
        cells = [f"{min(t):.3f} ({statistics.median(t):.3f})" for t in times[name]]
        table.add_row(name, *cells, f"{sizes[name]:,}", f"{peaks[name]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
