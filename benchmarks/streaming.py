"""Crops a second of pictures that are read as they are needed, beside those of pictures in memory.

    python benchmarks/streaming.py DATA [--crop 256] [--crops N] [--shards 8]

DATA: what `data` of a recipe takes; its pictures are also packed into tar shards, as webdataset
has them. No network is trained: a row says how many crops a sampler gives, and how many seconds it
takes until its first one.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from quantal.train.data import CropSampler, read_pictures
from quantal.train.files import pictures_under
from quantal.train.streaming import StreamSampler

#: Workers that decode, in each of the rows.
WORKERS = (0, 1, 2)
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--crops", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--buffer", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("pictures", "workers", "first crop, s", "crops a second")
    row = measured(lambda: CropSampler(read_pictures([options.data]), CPU, 1), options)
    table.add_row("in memory", "", *row)
    with tempfile.TemporaryDirectory() as folder:
        pack(options.data, Path(folder), options.shards)
        for workers in WORKERS:
            make = partial(StreamSampler, buffer=options.buffer, workers=workers)
            row = measured(partial(make, [folder], CPU, 1), options)
            table.add_row(f"of {options.shards} tar shards", str(workers), *row)
    Console().print(table)


def measured(make: Callable[[], Any], options: argparse.Namespace) -> tuple[str, str]:
    """Return the seconds until a first batch, and crops a second after it."""
    began = time.monotonic()
    sampler = make()
    sampler.batch(options.batch, options.crop)
    first = time.monotonic()
    batches = options.crops // options.batch
    for _ in range(batches):
        sampler.batch(options.batch, options.crop)
    rate = batches * options.batch / (time.monotonic() - first)
    return f"{first - began:.1f}", f"{rate:.0f}"


def pack(data: str, folder: Path, shards: int) -> None:
    """Write the pictures of training data into tar shards."""
    with ExitStack() as opened:
        paths = [folder / f"{number:04}.tar" for number in range(shards)]
        tars = [opened.enter_context(tarfile.open(path, "w")) for path in paths]
        for number, (name, content) in enumerate(pictures_under(data)):
            about = tarfile.TarInfo(f"{number:06}{Path(name).suffix}")
            about.size = len(content)
            tars[number % shards].addfile(about, io.BytesIO(content))


if __name__ == "__main__":
    main()
