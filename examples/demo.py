"""A photograph there and back, beside JPEG and WebP of the same size: `make demo` runs this.

The photograph is one that ships inside scikit-image; name another on the command line.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import quantal
from quantal import container, media


@dataclass(frozen=True)
class Row:
    """One codec's result on the photograph."""

    name: str
    data: bytes
    picture: Image.Image
    encode_seconds: float
    decode_seconds: float


def photograph() -> Path:
    """The path of the photograph in scikit-image, of which nothing is imported."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image, which has the photograph, is not here; name a picture")
    return Path(spec.origin).parent / "data" / "coffee.png"


def psnr(before: Image.Image, after: Image.Image) -> float:
    """Peak signal-to-noise ratio over RGB, in dB."""
    a, b = (np.asarray(image.convert("RGB"), dtype=np.float64) for image in (before, after))
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


def with_quantal(picture: Image.Image, quality: int) -> Row:
    """Our default codec, weights already loaded: what the second picture of a batch takes."""
    quantal.decompress(quantal.compress(picture.crop((0, 0, 64, 64))))
    start = time.perf_counter()
    data = quantal.compress(picture, quality=quality)
    middle = time.perf_counter()
    drawn = quantal.decompress(data)
    end = time.perf_counter()
    name = f"Quantal {container.probe(data).header.codec}, quality {quality}"
    return Row(name, data, drawn, middle - start, end - middle)


def with_pillow(picture: Image.Image, name: str, size: int, **options: object) -> Row:
    """JPEG or WebP at the lowest quality that needs no fewer bytes than `size`."""

    def encode(quality: int) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, name, quality=quality, **options)
        return buffer.getvalue()

    quality = _lowest(lambda q: len(encode(q)) >= size)
    start = time.perf_counter()
    data = encode(quality)
    middle = time.perf_counter()
    with Image.open(io.BytesIO(data)) as image:
        drawn = image.convert("RGB")
    end = time.perf_counter()
    shown = {"WEBP": "WebP"}.get(name, name)
    return Row(f"{shown}, quality {quality}", data, drawn, middle - start, end - middle)


def _lowest(enough: Callable[[int], bool]) -> int:
    """The lowest quality 1..100 that is enough, where more of it never hurts; else 100."""
    low, high = 1, 100
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def table_of(rows: list[Row], picture: Image.Image, title: str) -> Table:
    """Bytes, rate, quality and time, a line for each codec."""
    table = Table(title=title)
    table.add_column("codec", no_wrap=True)
    for heading in ("bytes", "bpp", "PSNR dB", "encode s", "decode s"):
        table.add_column(heading, justify="right")
    pixels = picture.width * picture.height
    for row in rows:
        table.add_row(
            row.name,
            f"{len(row.data):,}",
            f"{8 * len(row.data) / pixels:.3f}",
            f"{psnr(picture, row.picture):.2f}",
            f"{row.encode_seconds:.2f}",
            f"{row.decode_seconds:.2f}",
        )
    return table


def main() -> None:
    """Code the photograph three ways, print a table, keep all files for a look."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, help="a picture of your own")
    parser.add_argument("-q", "--quality", type=int, default=40, help="1..100, default 40")
    asked = parser.parse_args()
    if asked.picture is None:
        picture, name = Image.open(photograph()).convert("RGB"), "coffee"
    else:
        picture, name = Image.fromarray(media.read(asked.picture).pixels), asked.picture.stem

    ours = with_quantal(picture, asked.quality)
    size = len(ours.data)
    rows = [
        ours,
        with_pillow(picture, "JPEG", size, optimize=True, progressive=True),
        with_pillow(picture, "WEBP", size, method=6),
    ]
    folder = Path(tempfile.mkdtemp(prefix="quantal-demo-"))
    picture.save(folder / f"{name}.png")
    for row, suffix in zip(rows, ("qtl", "jpg", "webp"), strict=True):
        (folder / f"{name}.{suffix}").write_bytes(row.data)
    ours.picture.save(folder / f"{name}-from-qtl.png")

    console = Console()
    console.print(table_of(rows, picture, f"{name}, {picture.width} x {picture.height}"))
    console.print(f"The original and all results: {folder}", soft_wrap=True)


if __name__ == "__main__":
    main()
