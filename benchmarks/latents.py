"""Speed of reading latents: pictures a second on one core, beside decoders of JPEG.

    python benchmarks/latents.py [--codecs wavelet,hyperprior,context-s,context-m] [--quality 40]
                                 [--pictures FOLDER] [--count 48] [--size 480x360] [--batch 16]
                                 [--repeats 5] [--resize 256] [--json FILE] [--markdown FILE]

A codec's files are read from memory, header and checksums included, in four ways: one by one or in
batches; symbols alone, or dequantised latents with them. Then come blocks of neighbours in a shard,
and batches of a shuffling DataLoader without workers, of a folder, a tar and shards on the disk,
which the system's cache holds. The others decode JPEG files of the same pictures to pixels in
memory, as they are or resized to a shorter side of `resize`; the quality of JPEG is the one whose
mean PSNR comes nearest to that of the first of our codecs that is named.

Pictures are those of a folder, cut or mirrored to the size, or pieces of photographs of
scikit-image. Every coder is measured in a process of its own, on one core and one thread. It reads
all pictures once to warm up, then `repeats` times; pictures a second of processor time are the best
and, in brackets, the median.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import math
import os
import pickle
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from quantal.markdown import table

Pixels = NDArray[np.uint8]
#: Reads all of some files, in memory.
Reader = Callable[[Sequence[bytes]], None]
#: What a coder can be measured at, by name.
Ways = dict[str, Reader]

#: Symbols of a shard that are read together: as many as the caches hold.
BLOCK = 1 << 20
CODECS = ("wavelet", "hyperprior", "context-s", "context-m")
COLUMNS = ("read from", "way", "pictures/s", "ms a picture", "bytes a picture")


@dataclass
class Row:
    """Measurements of one way to read.

    Attributes:
        source: a codec, or what decodes JPEG.
        way: how, and what it gives.
        speed: pictures a second of processor time, of each repeat.
        size: mean size of a file, in bytes.
        psnr: mean PSNR over pictures, in dB.
    """

    source: str
    way: str
    speed: list[float]
    size: float
    psnr: float


# -- ways to read ----------------------------------------------------------------------------------


def ours(name: str, options: dict[str, Any]) -> Ways:
    import quantal
    from quantal import container
    from quantal.codecs import TransformCodec
    from quantal.files.matching import coded_part

    codec = quantal.load(name, "cpu")
    if not isinstance(codec, TransformCodec):
        raise SystemExit(f"codec {name!r} reads no batches")

    def opened(file: bytes) -> tuple[bytes, int, int, int]:
        return coded_part(container.read(file))

    def alone(read: Callable[[bytes, int, int, int], object]) -> Reader:
        def reader(files: Sequence[bytes]) -> None:
            for file in files:
                read(*opened(file))

        return reader

    def together(dequantised: bool) -> Reader:
        def reader(files: Sequence[bytes]) -> None:
            for start in range(0, len(files), options["batch"]):
                parts = [opened(file) for file in files[start : start + options["batch"]]]
                payloads, place = [part[0] for part in parts], parts[0][1:]
                if len(codec.read_stacked(payloads, *place, dequantised=dequantised)) < len(parts):
                    raise SystemExit("a file could not be read")

        return reader

    batch = f"batches of {options['batch']}"
    return {
        "one by one, latents": alone(codec.read),
        "one by one, symbols": alone(codec.parse),
        f"{batch}, symbols": together(False),
        f"{batch}, latents": together(True),
    }


def stored(files: Sequence[bytes], folder: Path, options: dict[str, Any]) -> Ways:
    """Return ways to read files from the disk, by a data set."""
    from torch.utils.data import DataLoader

    from quantal.latents import LatentDataset, Shard, collate, pack

    tree, tar, shards = folder / "tree", folder / "files.tar", folder / "shards"
    tree.mkdir()
    with tarfile.open(tar, "w") as archive:
        for number, file in enumerate(files):
            path = tree / f"{number:05}.qtl"
            path.write_bytes(file)
            archive.add(path, path.name)
    opened = [Shard(path) for path in pack(tree, shards).shards]

    def blocks(_: Sequence[bytes]) -> None:
        for shard in opened:
            step = max(BLOCK // sum(map(math.prod, shard.shapes(0))), 1)
            for start in range(0, len(shard), step):
                shard.block(range(start, min(start + step, len(shard))))

    def loader(source: Path, values: str) -> Reader:
        dataset = LatentDataset(source, values=values)
        given = DataLoader(dataset, options["batch"], shuffle=True, collate_fn=collate)
        return lambda _: [len(batch) for batch in given] and None

    return {
        "shard, blocks, symbols": blocks,
        "DataLoader, shard, symbols": loader(shards, "symbols"),
        "DataLoader, shard, latents": loader(shards, "latents"),
        "DataLoader, folder, symbols": loader(tree, "symbols"),
        "DataLoader, folder, latents": loader(tree, "latents"),
        "DataLoader, tar, latents": loader(tar, "latents"),
    }


def resized(options: dict[str, Any]) -> tuple[int, int]:
    """Return width and height of resized pictures."""
    width, height = map(int, options["size"].split("x"))
    factor = options["resize"] / min(width, height)
    return round(width * factor), round(height * factor)


def pillow(options: dict[str, Any]) -> Ways:
    size = resized(options)

    def decoded(file: bytes) -> Image.Image:
        return Image.open(io.BytesIO(file)).convert("RGB")

    def small(file: bytes) -> Pixels:
        return np.asarray(decoded(file).resize(size, Image.Resampling.BILINEAR))

    return both(lambda file: np.asarray(decoded(file)), small, options)


def simplejpeg(options: dict[str, Any]) -> Ways:
    from simplejpeg import decode_jpeg

    size = resized(options)

    def small(file: bytes) -> Pixels:
        picture = Image.fromarray(decode_jpeg(file, fastdct=True, fastupsample=True))
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))

    return both(lambda file: decode_jpeg(file, fastdct=True, fastupsample=True), small, options)


def torchvision(options: dict[str, Any]) -> Ways:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2 import functional

    size = list(reversed(resized(options)))

    def decoded(file: bytes) -> torch.Tensor:
        return decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), ImageReadMode.RGB)

    return both(
        decoded, lambda file: functional.resize(decoded(file), size, antialias=True), options
    )


def both(
    whole: Callable[[bytes], object], small: Callable[[bytes], object], options: dict[str, Any]
) -> Ways:
    def reader(decode: Callable[[bytes], object]) -> Reader:
        return lambda files: [decode(file) for file in files] and None

    width, height = resized(options)
    return {"JPEG, pixels": reader(whole), f"JPEG, pixels at {width}x{height}": reader(small)}


JPEG: dict[str, Callable[[dict[str, Any]], Ways]] = {
    "Pillow": pillow,
    "simplejpeg": simplejpeg,
    "torchvision": torchvision,
}


# -- pictures and files ----------------------------------------------------------------------------


def fitted(picture: Pixels, width: int, height: int) -> Pixels:
    """Return a picture of at least that size, mirrored where it is smaller, to keep its detail."""
    sides = zip((height, width), picture.shape[:2], strict=True)
    edges = [(0, max(wanted - has, 0)) for wanted, has in sides]
    return np.pad(picture, (*edges, (0, 0)), mode="symmetric")


def pictures(folder: str | None, width: int, height: int, count: int) -> list[Pixels]:
    """Return pictures, uint8 [height, width, 3]."""
    from quantal import media

    if folder:
        paths = [path for path in sorted(Path(folder).iterdir()) if path.is_file()][:count]
        sources = [media.read(path).pixels for path in paths]
        if not sources:
            raise SystemExit(f"{folder} has no pictures")
        return [fitted(each, width, height)[:height, :width].copy() for each in sources]
    from skimage import data

    rng = np.random.default_rng(0)
    sources = [fitted(s, width, height) for s in (data.astronaut(), data.coffee(), data.chelsea())]
    found = []
    for number in range(count):
        source = sources[number % len(sources)]
        top = rng.integers(source.shape[0] - height + 1)
        left = rng.integers(source.shape[1] - width + 1)
        piece = source[top : top + height, left : left + width]
        found.append(np.ascontiguousarray(piece[:, ::-1] if number % 2 else piece))
    return found


def psnr(pixels: Pixels, other: Pixels) -> float:
    """Return the PSNR over RGB in dB."""
    return float(10 * np.log10(255**2 / np.square(pixels.astype(float) - other).mean()))


def coded(name: str, given: list[Pixels], quality: int) -> tuple[list[bytes], float]:
    """Return files of a codec and their mean PSNR."""
    import quantal

    codec = quantal.load(name, "cpu")
    files = [quantal.compress(pixels, codec, quality=quality) for pixels in given]
    drawn = [np.asarray(quantal.decompress(file, codec=codec)) for file in files]
    return files, float(np.mean([psnr(*pair) for pair in zip(given, drawn, strict=True)]))


def as_jpeg(given: list[Pixels], wanted: float) -> tuple[list[bytes], float, int]:
    """Return JPEG files of about a mean PSNR, that PSNR, and their quality."""

    def at(quality: int) -> tuple[list[bytes], float]:
        files, found = [], []
        for pixels in given:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=quality)
            files.append(file.getvalue())
            found.append(psnr(pixels, np.asarray(Image.open(file).convert("RGB"))))
        return files, float(np.mean(found))

    # PSNR rises with the quality.
    low, high = 1, 100
    while low < high:
        middle = (low + high) // 2
        if at(middle)[1] < wanted:
            low = middle + 1
        else:
            high = middle
    quality = min((low, max(low - 1, 1)), key=lambda each: abs(at(each)[1] - wanted))
    return *at(quality), quality


# -- measuring -------------------------------------------------------------------------------------


def work(task: dict[str, Any]) -> dict[str, list[float]]:
    """Return the speeds of each way, measured in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    import torch

    torch.set_num_threads(1)
    files = pickle.loads(Path(task["files"]).read_bytes())
    source = task["source"]
    if source in JPEG:
        return speeds(JPEG[source](task), files, task["repeats"])
    with tempfile.TemporaryDirectory() as folder:
        ways = ours(source, task) | stored(files, Path(folder), task)
        return speeds(ways, files, task["repeats"])


def speeds(ways: Ways, files: Sequence[bytes], repeats: int) -> dict[str, list[float]]:
    """Return pictures a second of processor time, of each repeat."""
    found: dict[str, list[float]] = {}
    for way, reader in ways.items():
        reader(files)
        for _ in range(repeats):
            start = time.process_time()
            reader(files)
            found.setdefault(way, []).append(len(files) / (time.process_time() - start))
    return found


def measured(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Yield the rows of all coders."""
    width, height = map(int, options.size.split("x"))
    given = pictures(options.pictures, width, height, options.count)
    wanted: float | None = None
    for source in [*options.codecs.split(","), *JPEG]:
        if source == "simplejpeg" and importlib.util.find_spec(source) is None:
            print("simplejpeg is not installed, and left out", file=sys.stderr)
            continue
        name = source
        if source not in JPEG:
            files, found = coded(source, given, options.quality)
            wanted = found if wanted is None else wanted
        elif wanted is not None:
            files, found, quality = as_jpeg(given, wanted)
            name = f"{source}, quality {quality}"
        path = folder / "files"
        path.write_bytes(pickle.dumps(files))
        task = {key: getattr(options, key) for key in ("size", "batch", "repeats", "resize")}
        measurements = child({**task, "source": source, "files": str(path)})
        size = statistics.mean(map(len, files))
        for way, speed in measurements.items():
            yield Row(name, way, speed, size, found)


def child(task: dict[str, Any]) -> dict[str, list[float]]:
    """Return what work() finds in a process of its own."""
    command = [sys.executable, __file__, "--work", json.dumps(task)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, list[float]] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found


def cells(row: Row) -> list[str]:
    best = max(row.speed)
    return [
        row.source,
        row.way,
        f"{best:.0f} ({statistics.median(row.speed):.0f})",
        f"{1000 / best:.2f}",
        f"{row.size:,.0f} ({row.psnr:.1f} dB)",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--quality", type=int, default=40, help="of ours")
    parser.add_argument("--pictures", help="a folder; photographs of scikit-image if not given")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--size", default="480x360", help="WIDTHxHEIGHT")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--resize", type=int, default=256, help="shorter side, in pixels")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(json.loads(options.work))))
        return

    with tempfile.TemporaryDirectory() as folder:
        rows = list(measured(options, Path(folder)))
    shown = Table(title=f"{options.size}, quality {options.quality}, one core")
    for column in COLUMNS:
        shown.add_column(column, no_wrap=True)
    for row in rows:
        shown.add_row(*cells(row))
    Console(width=110).print(shown)
    if options.markdown:
        options.markdown.write_text(table(COLUMNS, map(cells, rows)) + "\n")
    if options.json:
        found = {"machine": platform.platform(), "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
