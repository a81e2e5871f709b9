"""Engines beside the pool of --jobs: seconds of the same pictures, and of each further picture.

    python benchmarks/engine.py [--few 200] [--pictures 800] [--side 256] [--workers 2] [--rounds 3]

Each way compresses a few pictures and many, in turns, as a command of its own. What starting costs
is in both, so that their difference is what a picture costs; medians of all rounds. The few have to
take longer than a cluster starts: its own processes are busy for seconds after the first picture.
Ray starts a cluster on this machine for each command, with workers of the priority that the others
have.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from skimage import data

from quantal.markdown import table


def make(folder: Path, count: int, side: int) -> None:
    """Write crops of photographs as PNG."""
    from PIL import Image

    photographs = [Image.fromarray(each()) for each in (data.chelsea, data.astronaut, data.coffee)]
    chance = random.Random(1)
    folder.mkdir()
    for number in range(count):
        photograph = chance.choice(photographs)
        x, y = chance.randrange(photograph.width - side), chance.randrange(photograph.height - side)
        crop = photograph.crop((x, y, x + side, y + side))
        crop.save(folder / f"{number:05}.png", compress_level=1)


def seconds(source: Path, target: Path, codec: str, words: list[str]) -> float:
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "quantal", "compress", str(source), "-o", str(target)]
    usual = {**os.environ, "RAY_worker_niceness": "0"}
    start = time.perf_counter()
    subprocess.run(
        [*command, "--codec", codec, *words], check=True, stdout=subprocess.DEVNULL, env=usual
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--codec", default="hyperprior")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    jobs = ["--jobs", str(options.workers)]
    ways = {"--jobs": jobs, "--engine processes": ["--engine", "processes", *jobs]}
    if importlib.util.find_spec("ray") is not None:
        ways["--engine ray"] = ["--engine", "ray", *jobs]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        few, many, target = (Path(folder) / name for name in ("few", "many", "out"))
        make(few, options.few, options.side)
        make(many, options.pictures, options.side)
        for _ in range(options.rounds):
            for name, words in ways.items():
                a, b = (seconds(source, target, options.codec, words) for source in (few, many))
                found[name].append((a, b))
    usual = None
    rows = []
    for name, times in found.items():
        a, b = (statistics.median(each) for each in zip(*times, strict=True))
        each = statistics.median(
            1000 * (more - less) / (options.pictures - options.few) for less, more in times
        )
        usual = usual or each
        rows.append(
            (name, f"{a:.2f}", f"{b:.2f}", f"{each:.2f}", f"{100 * (each / usual - 1):+.1f} %")
        )
    heads = ("", f"{options.few} pictures, s", f"{options.pictures}, s", "each further, ms", "more")
    print(
        f"{options.workers} workers, {options.side} x {options.side}, {options.codec}; load ",
        end="",
    )
    print("of the machine " + " ".join(f"{each:.1f}" for each in os.getloadavg()))
    print(table(heads, rows))


if __name__ == "__main__":
    main()
