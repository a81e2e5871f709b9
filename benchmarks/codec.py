"""Cost of codecs: seconds to encode and decode, work and memory, by size of picture and cores.

    python benchmarks/codec.py [--codecs hyperprior,context-m,mbt2018-mean,elic,avif-6]
                               [--sizes 768x512,1920x1080,4000x3000] [--threads 1,2]
                               [--rounds 3] [--repeats 3] [--limit 150] [--picture FILE]
                               [--json FILE] [--markdown FILE]

Quantal's codecs go from pixels to the bytes of a .qtl file and back; a codec without weights runs
untrained, from its recipe, and is marked; QUANTAL_WEIGHTS names a folder with more. CompressAI's
models go to strings and back, at the width of their upper qualities and untrained as well: their
cost hardly depends on weights. AVIF (libaom, speeds 4 and 6) and WebP (method 6) are Pillow's.

torch runs ours; after a colon another library does, or another precision: context-m:onnx,
context-m:openvino (float32), context-m:bfloat16 and context-m:auto (OpenVINO). benchmarks/
processes.py measures whole processes, which begin cold.

Every measurement is a process of its own on as many cores as it has threads: it codes the picture
once to warm up, then `repeats` times. Processes of all codecs take turns, `rounds` times, so that a
disturbance affects all alike. Seconds are the best and, in brackets, the median. Memory is the peak
of the process with libraries and weights; these alone are in brackets. kMAC/pixel are the
multiplications of convolutions and matrix products while 256x256 pixels are coded; the limit is the
time that these would take as one large float32 matrix product, measured in the same run. A codec is
left out of a size if, extrapolated from a smaller one, coding and decoding would exceed `limit`
seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Nothing heavy is imported here: a child's peak of memory begins at the size of its parent.
from coders import CLASSICAL, CODECS, OURS, WAYS, ZOO, plain
from rich.console import Console
from rich.table import Table

from quantal import codecs
from quantal.markdown import table


@dataclass
class Row:
    """Measurements of one codec at one size with one number of threads."""

    codec: str
    size: str
    threads: int
    untrained: bool = False
    failed: bool = False
    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    bpp: float = 0.0
    peak_gb: float = 0.0
    loaded_gb: float = 0.0
    encode_kmac: float | None = None
    decode_kmac: float | None = None
    #: Billion multiplications a second of float32 matrix products.
    peak: float = 0.0

    @property
    def pixels(self) -> int:
        """Of the picture."""
        width, height = map(int, self.size.split("x"))
        return width * height


def child(*arguments: str, threads: int = 1) -> str:
    """Return the last line that coders.py prints when it runs with these arguments."""
    command = [sys.executable, str(Path(__file__).with_name("coders.py")), *arguments]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout.strip().rpartition("\n")[2]


class Bench:
    """All measurements that the options ask for."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.notes: list[str] = []
        self.weights: dict[str, str] = {}
        self.codecs = list(self._present(options.codecs.split(",")))
        if any(map(self._untrained, self.codecs)):
            self.notes.insert(0, "* with weights that were never trained")
        sizes = options.sizes.split(",")
        self.sizes = sorted(sizes, key=self._pixels)

    @staticmethod
    def _pixels(size: str) -> int:
        width, height = map(int, size.split("x"))
        return width * height

    def _present(self, names: list[str]) -> Iterator[str]:
        """Yield the codecs that can run here; missing weights are made, untrained."""
        trained = {info.name for info in codecs.available() if info.weights}
        for name in names:
            if plain(name) not in CODECS or (
                ":" in name and (plain(name) not in OURS or name.partition(":")[2] not in WAYS)
            ):
                raise SystemExit(f"there is no codec {name!r} here; there are: {', '.join(CODECS)}")
            if name in ZOO and find_spec("compressai") is None:
                self.notes.append(f"{name} is left out: pip install 'quantal[compressai]'")
                continue
            if plain(name) in OURS and plain(name) not in trained:
                self.weights[name] = str(self.folder / f"{plain(name)}.safetensors")
                child("untrained", plain(name), self.weights[name])
                self.notes.append(
                    f"{name} has no weights here: untrained, its files are larger than they should "
                    "be, and its coder's part of the time is as well"
                )
            yield name

    def _ask(self, codec: str, size: str, threads: int, count: bool = False) -> dict[str, Any]:
        names = ("quality", "picture", "repeats", "limit")
        task = {name: getattr(self.options, name) for name in names}
        task |= {"codec": codec, "size": size, "threads": threads, "count": count}
        task["weights"] = self.weights.get(codec)
        found: dict[str, Any] = json.loads(child("work", json.dumps(task), threads=threads))
        return found

    def rows(self) -> Iterator[list[Row]]:
        """Yield the rows of each size and number of threads, in that order."""
        counted = {plain(c) for c in self.codecs if c not in CLASSICAL}
        work = {c: self._ask(c, "", 1, count=True) for c in counted}
        for threads in map(int, self.options.threads.split(",")):
            peak = float(child("peak", threads=threads))
            self.notes.append(f"{threads} threads: {peak:.0f} G multiplications/s in float32")
            slowest: dict[str, float] = {}
            for size in self.sizes:
                rows = [
                    Row(
                        name,
                        size,
                        threads,
                        self._untrained(name),
                        peak=peak,
                        **work.get(plain(name), {}),
                    )
                    for name in self.codecs
                    if self._bearable(name, size, threads, slowest)
                ]
                for _ in range(self.options.rounds):
                    for row in rows:
                        self._measure(row)
                rows = [row for row in rows if row.encode]
                for row in rows:
                    both = statistics.median(row.encode) + statistics.median(row.decode)
                    slowest[row.codec] = both / self._pixels(size)
                yield rows

    def _untrained(self, name: str) -> bool:
        return name in ZOO or name in self.weights

    def _bearable(self, name: str, size: str, threads: int, slowest: dict[str, float]) -> bool:
        expected = slowest.get(name, 0.0) * self._pixels(size)
        if expected > self.options.limit:
            self.notes.append(
                f"{name} is left out at {size}, threads: {threads}: about {expected:.0f} s"
            )
        return expected <= self.options.limit

    def _measure(self, row: Row) -> None:
        if row.encode and min(row.encode) + min(row.decode) > self.options.limit / 2:
            return  # once is enough
        if row.failed:
            return
        try:
            found = self._ask(row.codec, row.size, row.threads)
        except subprocess.CalledProcessError as error:
            row.failed = True
            reason = "was killed, for want of memory" if error.returncode < 0 else "failed"
            self.notes.append(f"{row.codec} {reason} at {row.size}, threads: {row.threads}")
            return
        row.encode += found["encode"]
        row.decode += found["decode"]
        row.bpp = found["bpp"]
        row.peak_gb = max(row.peak_gb, found["peak_gb"])
        row.loaded_gb = found["loaded_gb"]


COLUMNS = ("codec", "encode s", "decode s", "kMAC/pixel", "limit s", "peak GB", "bpp")


def cells(row: Row) -> list[str]:
    def seconds(times: list[float]) -> str:
        return f"{min(times):.3f} ({statistics.median(times):.3f})"

    def limit(work: float | None) -> str:
        return f"{(work or 0) * row.pixels / row.peak / 1e6:.3f}"

    counted = row.encode_kmac is not None and row.decode_kmac is not None
    return [
        row.codec + " *" * row.untrained,
        seconds(row.encode),
        seconds(row.decode),
        f"{row.encode_kmac:.1f} / {row.decode_kmac:.1f}" if counted else "",
        f"{limit(row.encode_kmac)} / {limit(row.decode_kmac)}" if counted else "",
        f"{row.peak_gb:.2f} ({row.loaded_gb:.2f})",
        f"{row.bpp:.2f}",
    ]


def markdown(title: str, rows: list[Row]) -> str:
    return f"{title}\n\n{table(COLUMNS, map(cells, rows), compact=True)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--sizes", default="768x512,1920x1080,4000x3000", help="WIDTHxHEIGHT,...")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=150, help="seconds there and back")
    parser.add_argument("--picture", help="a file; scikit-image's astronaut if not given")
    parser.add_argument("--quality", type=int, default=60, help="of ours")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()

    all_rows, texts = [], []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        for rows in bench.rows():
            if not rows:
                continue
            title = f"{rows[0].size}, {rows[0].threads} thread{'s' * (rows[0].threads > 1)}"
            table = Table(title=title)
            for column in COLUMNS:
                table.add_column(column, no_wrap=True)
            for row in rows:
                table.add_row(*cells(row))
            Console(width=120).print(table)
            all_rows += rows
            texts.append(markdown(f"**{title}**", rows))
    print(*bench.notes, sep="\n")
    if options.markdown:
        notes = "".join(f"- {note}\n" for note in bench.notes)
        options.markdown.write_text("\n".join([*texts, notes]))
    if options.json:
        found = {"machine": platform.platform(), "rows": [asdict(row) for row in all_rows]}
        options.json.write_text(json.dumps({**found, "notes": bench.notes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
