"""Shards of latents: bytes beside those of the .qtl files, and pictures read per second.

    python benchmarks/shards.py FOLDER [--quality 40] [--codecs hyperprior,context-s,context-m]

The pictures of a folder (its whole tree) are compressed and packed, once to be small and once to be
quick to read. Each shard is then read several times by one process: single pictures in random
order; blocks of neighbours; and batches of a DataLoader without workers, in random order.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

import quantal
from quantal.latents import LatentDataset, Shard, collate, pack

SUFFIXES = {".png", ".jpg", ".jpeg"}
SECONDS = 3.0  # of each measurement, at least
BLOCK = 1 << 20  # symbols that are read together: as much as the caches hold


def rate(work: Callable[[], int]) -> float:
    """Return pictures per second of the processor, which others may use beside this process."""
    work()
    begun, count = time.process_time(), 0
    while time.process_time() - begun < SECONDS:
        count += work()
    return count / (time.process_time() - begun)


def measure(shards: tuple[Path, ...], folder: Path) -> tuple[float, float, float]:
    """Return pictures per second: single, in blocks, from a DataLoader."""
    opened = [Shard(path) for path in shards]

    def single() -> int:
        noise = np.random.default_rng(0)
        for shard in opened:
            for index in noise.permutation(len(shard)).tolist():
                shard.symbols(index)
        return sum(map(len, opened))

    def blocks() -> int:
        for shard in opened:
            layouts = shard.column("layout")
            for layout in np.unique(layouts).tolist():
                size = sum(int(np.prod(shape)) for shape in shard.shapes(layout))
                members = np.flatnonzero(layouts == layout).tolist()
                step = max(BLOCK // size, 1)
                for start in range(0, len(members), step):
                    shard.block(members[start : start + step])
        return sum(map(len, opened))

    dataset = LatentDataset(folder)
    loader = DataLoader(
        dataset, batch_size=32, shuffle=True, collate_fn=lambda s: collate(s, sizes="group")
    )

    def batches() -> int:
        return sum(len(batch) for group in loader for batch in group)

    return rate(single), rate(blocks), rate(batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quality", default="40")
    parser.add_argument("--codecs", default="hyperprior,context-s,context-m")
    parser.add_argument("--every", type=int, default=1, help="take every so many pictures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    pictures = pictures[:: options.every]
    print(
        "| codec | quality | shards | bytes by .qtl | single/s | blocks/s | batches: pictures/s |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in options.codecs.split(","):
        codec = quantal.load(name, "cpu")
        for quality in map(int, options.quality.split(",")):
            with tempfile.TemporaryDirectory() as place:
                files = Path(place, "files")
                for picture in pictures:
                    path = files / picture.relative_to(options.folder).with_suffix(".qtl")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    quantal.write(path, picture, codec, quality=quality)
                for compact in (True, False):
                    out = Path(place, f"shards-{compact}")
                    packed = pack(files, out, compact=compact)
                    speeds = measure(packed.shards, out)
                    cells = (
                        name,
                        quality,
                        "compact" if compact else "quick",
                        f"{packed.bytes_out / packed.bytes_in:.2f}",
                        *(f"{speed:,.0f}" for speed in speeds),
                    )
                    print("|", *" | ".join(map(str, cells)).split("\n"), "|", flush=True)


if __name__ == "__main__":
    main()
