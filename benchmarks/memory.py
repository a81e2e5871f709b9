"""Memory for a large picture, from pixels to a file and back, each in a process of its own.

    python benchmarks/memory.py [--size 4000x3000] [--size 10000x10000] [--quality 60]
                                [--codec context-m]

Peak resident memory of the whole process, torch and the picture included, and wall seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

SIZES = ["4000x3000", "10000x10000"]


def synthesise(width: int, height: int) -> np.ndarray:
    """Return a picture [H, W, 3] with gradients, edges and grain, made strip by strip."""
    pixels = np.empty((height, width, 3), np.uint8)
    x = np.arange(width, dtype=np.float32)[None, :, None]
    shift = np.arange(3, dtype=np.float32)
    rng = np.random.default_rng(1)
    for top in range(0, height, 256):
        y = np.arange(top, min(top + 256, height), dtype=np.float32)[:, None, None]
        strip = 128 + 50 * np.sin(x / 37 + shift) * np.cos(y / 53) + 40 * ((x // 96 + y // 64) % 2)
        strip += rng.normal(0, 4, strip.shape)
        pixels[top : top + 256] = strip.clip(0, 255)
    return pixels


def measure(name: str, way: str, file: Path, size: str, quality: int) -> dict[str, float]:
    """Run in a process of its own: encode a picture into a file, or decode that."""
    from quantal import codecs, media
    from quantal.files import Target, decode_picture, encode_picture

    codec = codecs.load(name, "cpu")
    if way == "encode":
        picture = media.from_array(synthesise(*map(int, size.split("x"))))
        start = time.perf_counter()
        file.write_bytes(encode_picture(picture, codec, Target(quality=quality)).data)
    else:
        data = file.read_bytes()
        start = time.perf_counter()
        decode_picture(data, codec=codec)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "gigabytes": peak * (1 if sys.platform == "darwin" else 1024) / 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", action="append", help="WIDTHxHEIGHT; may be given again")
    parser.add_argument("--quality", type=int, default=60)
    parser.add_argument("--codec", default="context-m")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way, file = options.measure
        print(json.dumps(measure(options.codec, way, Path(file), options.size[0], options.quality)))
        return

    table = Table(title=f"{options.codec} at quality {options.quality}, peak memory of the process")
    for column in ("megapixels", "way", "GB", "seconds", "file bytes"):
        table.add_column(column, justify="left" if column == "way" else "right")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.qtl"
        for size in options.size or SIZES:
            width, height = map(int, size.split("x"))
            for way in ("encode", "decode"):
                command = [sys.executable, __file__, "--size", size, "--measure", way, str(file)]
                command += ["--quality", str(options.quality), "--codec", options.codec]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found = json.loads(done.stdout)
                figures = f"{found['gigabytes']:.2f}", f"{found['seconds']:.1f}"
                pixels = f"{width * height / 1e6:.0f}"
                table.add_row(pixels, way, *figures, f"{file.stat().st_size:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
