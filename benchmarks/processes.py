"""Seconds of whole processes: a picture compressed and decompressed from the command line.

    python benchmarks/processes.py PICTURE [--codecs context-s,context-m] [--rounds 7]
                                   [--light PYTHON] [--markdown FILE]

Each command is started anew, as a user at a terminal starts it, and commands take turns, so that a
disturbance affects all alike. Seconds are the best and, in brackets, the median of wall time; then
the processor time of the best, all threads together. `--light` names the Python of an environment
without torch (`make demo` makes .venv-light); without it, ours run in this one, where ONNX Runtime
runs the networks all the same. cjxl and djxl (libjxl) and avifenc and avifdec (libavif) stand
beside them where they are installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quantal.markdown import table

COLUMNS = ("command", "compress s", "CPU", "decompress s", "CPU", "bytes")


@dataclass
class Command:
    """What compresses a picture to a file, and what gives the picture back."""

    name: str
    there: list[str]
    back: list[str]
    file: Path
    environment: dict[str, str] = field(default_factory=dict)
    #: Wall and processor seconds of every run, there and back.
    runs: tuple[list[tuple[float, float]], list[tuple[float, float]]] = field(
        default_factory=lambda: ([], [])
    )

    def run(self) -> None:
        """Measure both once."""
        for command, found in zip((self.there, self.back), self.runs, strict=True):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            start = time.perf_counter()
            subprocess.run(
                command,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
            )
            wall = time.perf_counter() - start
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            found.append((wall, spent))

    def cells(self) -> list[str]:
        """Return a line of the table."""
        cells = [self.name]
        for runs in self.runs:
            walls = [wall for wall, _ in runs]
            cells += [f"{min(walls):.2f} ({statistics.median(walls):.2f})", f"{min(runs)[1]:.2f}"]
        return [*cells, f"{self.file.stat().st_size:,}"]


def commands(options: argparse.Namespace, folder: Path) -> list[Command]:
    """Return the commands that can run here."""
    picture, back = str(options.picture), str(folder / "back.png")
    found = []
    for codec in options.codecs.split(","):
        for backend in ("onnx", "torch") if options.torch else ("onnx",):
            python = sys.executable if backend == "torch" else options.light
            quantal = [python, "-c", "from quantal.cli import main; main()"]
            file = folder / f"{codec}-{backend}.qtl"
            there = [*quantal, "compress", picture, "-o", str(file), "--codec", codec, "--force"]
            found.append(
                Command(
                    f"quantal, {codec}, {backend}",
                    there,
                    [*quantal, "decompress", str(file), "-o", back, "--force"],
                    file,
                    {"QUANTAL_BACKEND": backend},
                )
            )
    others = (
        ("cjxl / djxl, effort 7", "jxl", ["cjxl", picture], ["djxl"]),
        ("avifenc / avifdec, speed 6", "avif", ["avifenc", "-s", "6", picture], ["avifdec"]),
        ("avifenc / avifdec, speed 4", "avif", ["avifenc", "-s", "4", picture], ["avifdec"]),
    )
    for number, (name, suffix, there, over) in enumerate(others):
        if shutil.which(there[0]) and shutil.which(over[0]):
            file = folder / f"{number}.{suffix}"
            found.append(Command(name, [*there, str(file)], [*over, str(file), back], file))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("--codecs", default="context-s,context-m")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--light", default=sys.executable, help="Python of an environment")
    parser.add_argument("--torch", action="store_true", help="ours by torch as well")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = commands(options, Path(name))
        for _ in range(options.rounds):
            for command in found:
                command.run()
        rows = [command.cells() for command in found]
    shown = Table(title=f"{options.picture.name}, {os.cpu_count()} cores")
    for column in COLUMNS:
        shown.add_column(column, no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    Console(width=110).print(shown)
    if options.markdown:
        options.markdown.write_text(table(COLUMNS, rows, compact=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
